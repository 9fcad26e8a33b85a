"""`precedent sink`, `recorder` and `histories`: what goes into the warehouse, and the features that come out of it."""

import asyncio
import json
import os
from contextlib import closing
from typing import TYPE_CHECKING

import click

from features.config import FeaturesConfig
from serving.stopping import stop_on_signals
from streams.commands.foreground import broker_and_warehouse, ready
from streams.commands.options import session_timeout, watched

if TYPE_CHECKING:
    from datetime import datetime


@click.command()
@click.option(
    "--batch",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="most events in one insert",
)
@click.option(
    "--linger-ms",
    type=click.FloatRange(0, 60_000),
    default=500.0,
    show_default=True,
    help="longest wait for an insert to fill",
)
@watched
@session_timeout("sink")
def sink(batch: int, linger_ms: float, metrics_host: str, metrics_port: int, session_timeout: float) -> None:
    """Copy verdicts, impressions and sessions from Kafka into the warehouse until SIGINT or SIGTERM.

    Rows are idempotent by event id, and offsets are committed after the insert: nothing is lost, a replay
    leaves the same rows. PRECEDENT_BROKER and PRECEDENT_WAREHOUSE say where things are.

    \b
    Example:
      PRECEDENT_BROKER=127.0.0.1:9092 PRECEDENT_WAREHOUSE=http://u:p@127.0.0.1:8123/precedent precedent sink
    """
    from streams.ingest.bulk import SinkConfig, run_sink
    from streams.ingest.inserts import FREQUENT, LateWarehouse
    from streams.ingest.metrics import IngestMetrics
    from streams.watching.logs import log_to_stderr
    from streams.watching.serving import serve_metrics
    from streams.watching.traces import tracing_in

    log_to_stderr("sink", os.environ)
    tracing = tracing_in(os.environ, "sink")
    broker, address = broker_and_warehouse()
    config = SinkConfig(broker, batch=batch, linger_s=linger_ms / 1000.0, session_timeout_s=session_timeout)
    inserts = LateWarehouse(address).inserts(FREQUENT)
    metrics = IngestMetrics()
    with closing(serve_metrics(metrics, host=metrics_host, port=metrics_port)) as server, closing(tracing):
        run_sink(
            config,
            inserts,
            stop_on_signals(),
            ready=lambda: ready("sink", broker.servers, metrics=server.address),
            metrics=metrics,
            tracing=tracing,
        )


@click.command()
@watched
@session_timeout("recorder")
def recorder(metrics_host: str, metrics_port: int, session_timeout: float) -> None:
    """Record reports, exposures and rulings from Kafka in the warehouse until SIGINT or SIGTERM.

    Events are acknowledged after their insert. PRECEDENT_BROKER and PRECEDENT_WAREHOUSE say where things are.

    \b
    Example:
      PRECEDENT_BROKER=127.0.0.1:9092 PRECEDENT_WAREHOUSE=http://u:p@127.0.0.1:8123/precedent precedent recorder
    """
    from datetime import UTC, datetime

    from streams.ingest.inserts import RARE, LateWarehouse
    from streams.ingest.metrics import IngestMetrics
    from streams.ingest.recorder import run_recorder
    from streams.kafka.agents import AgentConfig, use_fast_loop
    from streams.kafka.delivery import ConfirmedProducer
    from streams.watching.logs import log_to_stderr
    from streams.watching.serving import serve_metrics

    log_to_stderr("recorder", os.environ)
    broker, address = broker_and_warehouse()
    config = AgentConfig(
        broker, "precedent-recorder", take_max=2_000, take_within_s=0.2, session_timeout_s=session_timeout
    )
    producer = ConfirmedProducer(broker, client_id="precedent-recorder")
    metrics = IngestMetrics()
    use_fast_loop()
    with closing(serve_metrics(metrics, host=metrics_host, port=metrics_port)) as server, closing(producer):
        asyncio.run(
            run_recorder(
                config,
                LateWarehouse(address).inserts(RARE),
                producer,
                now=lambda: datetime.now(UTC),
                ready=lambda: ready("recorder", broker.servers, metrics=server.address),
                metrics=metrics,
            )
        )


@click.command()
@click.option("--as-of", type=click.DateTime(), default=None, help="UTC; what happened later does not count [now]")
def histories(as_of: "datetime | None") -> None:
    """Compute features of all authors and viewers from the warehouse and write them, once.

    A history never replaces a newer one. PRECEDENT_WAREHOUSE, _ONLINE_STORE and _FEATURES_WRITER say where things are.

    \b
    Example:
      precedent histories --as-of 2026-11-01
    """
    from datetime import UTC, datetime

    from features.histories import materialise
    from warehouse.address import connect
    from warehouse.histories import CountedPast

    _, address = broker_and_warehouse()
    now = datetime.now(UTC)
    moment = now if as_of is None else as_of.replace(tzinfo=UTC)
    config = FeaturesConfig.from_environment(os.environ)
    done = asyncio.run(materialise(CountedPast(connect(address)), config, as_of=moment, now=now))
    click.echo(json.dumps({"as_of": moment.isoformat(), **{k: v._asdict() for k, v in done._asdict().items()}}))
