"""The room's commands, one embedded or online part each, in the foreground."""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import BadInputError
from features.config import FeaturesConfig

if TYPE_CHECKING:
    from datetime import datetime

    from streams.settings import StreamSettings
    from warehouse.address import WarehouseAddress


def _ready(part: str, address: str, **more: object) -> None:
    click.echo(json.dumps({"part": part, "address": address, **more}))


@click.command()
@click.option("--port", default=0, show_default=True, help="0: the kernel chooses, as it must (see below)")
@click.option(
    "--partitions", type=click.IntRange(1, 1_000), default=4, show_default=True, help="of each topic; 5 MB each"
)
def broker(port: int, partitions: int) -> None:
    """Run the embedded Kafka broker until SIGINT or SIGTERM.

    It is librdkafka's mock cluster: volatile, at most 5 MB a partition, loopback only. Its port cannot be
    chosen; the ready line on stdout names it. For a broker that keeps its data: `make kafka`.

    \b
    Example:
      precedent broker
    """
    from streams.kafka.broker import embedded_broker

    if port:
        raise BadInputError(f"--port == {port}, must be 0: librdkafka's mock cluster cannot be given a port")
    stop = _stop_event()
    with embedded_broker(partitions=partitions) as running:
        _ready("broker", running.address, topics=len(running.topics), partitions=partitions)
        stop.wait()


@click.command()
@click.option("--releases", type=click.Path(file_okay=False, path_type=Path), default=None, help="PRECEDENT_RELEASES")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default=True,
    help="of /metrics and /live on loopback; 0: any free one",
)
@click.option(
    "--take", type=click.IntRange(1, 100_000), default=256, show_default=True, help="largest batch, in events"
)
@click.option(
    "--within-ms",
    type=click.FloatRange(0, 60_000),
    default=50.0,
    show_default=True,
    help="longest wait for a batch to fill",
)
@click.option(
    "--decoders", type=click.IntRange(1, 256), default=1, show_default=True, help="processes that decode media"
)
@click.option(
    "--session-timeout",
    type=click.FloatRange(0.1, 3_600),
    default=6.0,
    show_default=True,
    help="seconds until a killed worker is out",
)
@click.option("--in-process", is_flag=True, help="score by ONNX Runtime in this process, without Triton")
def worker(
    releases: Path | None,
    metrics_port: int,
    take: int,
    within_ms: float,
    decoders: int,
    session_timeout: float,
    *,
    in_process: bool,
) -> None:
    """Moderate uploads until SIGINT or SIGTERM; start several for more: they share the topic's partitions.

    The ready line is printed when the release pointer's models are ready and the group gave out partitions.
    PRECEDENT_BROKER, _TRITON, _RELEASES, _MEDIA_ROOTS, _ONLINE_STORE and _FEATURES_WRITER say where things are.

    \b
    Example:
      PRECEDENT_BROKER=127.0.0.1:9092 PRECEDENT_TRITON=127.0.0.1:8001 precedent worker --releases .state/releases
    """
    from streams.kafka.agents import AgentConfig, use_fast_loop
    from streams.settings import StreamSettings
    from streams.worker.assemble import assemble, make_scorer
    from streams.worker.run import run_worker

    _log_to_stderr()
    settings = StreamSettings.from_environment(releases=releases)
    config = AgentConfig(
        broker=settings.broker,
        group=settings.group,
        take_max=take,
        take_within_s=within_ms / 1000.0,
        session_timeout_s=session_timeout,
    )

    async def run() -> None:
        scorer = make_scorer(settings.releases, None if in_process else settings.triton)
        assembly = assemble(
            scorer,
            FeaturesConfig.from_environment(os.environ),
            broker=settings.broker,
            releases=settings.releases,
            media_roots=settings.media_folders,
            decoders=decoders,
        )
        await run_worker(config, assembly, metrics_port=metrics_port, ready=lambda address: _ready("worker", address))

    use_fast_loop()
    asyncio.run(run())


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
@click.option(
    "--session-timeout",
    type=click.FloatRange(0.1, 3_600),
    default=6.0,
    show_default=True,
    help="seconds until a killed sink is out",
)
def sink(batch: int, linger_ms: float, session_timeout: float) -> None:
    """Copy verdicts, impressions and sessions from Kafka into the warehouse until SIGINT or SIGTERM.

    Rows are idempotent by event id, and offsets are committed after the insert: nothing is lost, a replay
    leaves the same rows. PRECEDENT_BROKER and PRECEDENT_WAREHOUSE say where things are.

    \b
    Example:
      PRECEDENT_BROKER=127.0.0.1:9092 PRECEDENT_WAREHOUSE=http://u:p@127.0.0.1:8123/precedent precedent sink
    """
    from streams.ingest.bulk import SinkConfig, run_sink
    from streams.ingest.inserts import FREQUENT, LateWarehouse

    _log_to_stderr()
    settings, address = _broker_and_warehouse()
    config = SinkConfig(settings.broker, batch=batch, linger_s=linger_ms / 1000.0, session_timeout_s=session_timeout)
    inserts = LateWarehouse(address).inserts(FREQUENT)
    run_sink(config, inserts, _stop_event(), ready=lambda: _ready("sink", settings.broker))


@click.command()
@click.option(
    "--session-timeout",
    type=click.FloatRange(0.1, 3_600),
    default=6.0,
    show_default=True,
    help="seconds until a killed recorder is out",
)
def recorder(session_timeout: float) -> None:
    """Record reports, exposures and rulings from Kafka in the warehouse until SIGINT or SIGTERM.

    Events are acknowledged after their insert. PRECEDENT_BROKER and PRECEDENT_WAREHOUSE say where things are.

    \b
    Example:
      PRECEDENT_BROKER=127.0.0.1:9092 PRECEDENT_WAREHOUSE=http://u:p@127.0.0.1:8123/precedent precedent recorder
    """
    from datetime import UTC, datetime

    from streams.ingest.inserts import RARE, LateWarehouse
    from streams.ingest.recorder import run_recorder
    from streams.kafka.agents import AgentConfig, use_fast_loop
    from streams.kafka.delivery import ConfirmedProducer

    _log_to_stderr()
    settings, address = _broker_and_warehouse()
    config = AgentConfig(
        settings.broker, "precedent-recorder", take_max=2_000, take_within_s=0.2, session_timeout_s=session_timeout
    )
    producer = ConfirmedProducer(settings.broker, client_id="precedent-recorder")
    use_fast_loop()
    asyncio.run(
        run_recorder(
            config,
            LateWarehouse(address).inserts(RARE),
            producer,
            now=lambda: datetime.now(UTC),
            ready=lambda: _ready("recorder", settings.broker),
        )
    )
    producer.close()


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

    from features.writer import open_writer
    from streams.histories import refresh
    from warehouse.address import connect

    _, address = _broker_and_warehouse()
    moment = datetime.now(UTC) if as_of is None else as_of.replace(tzinfo=UTC)

    async def run() -> None:
        writer = open_writer(FeaturesConfig.from_environment(os.environ))
        done = await refresh(connect(address), writer, as_of=moment)
        await writer.close()
        click.echo(json.dumps({"as_of": moment.isoformat(), **{k: v._asdict() for k, v in done._asdict().items()}}))

    asyncio.run(run())


def _broker_and_warehouse() -> "tuple[StreamSettings, WarehouseAddress]":
    from streams.settings import StreamSettings
    from warehouse.address import parse_address

    settings = StreamSettings.from_environment()
    if not settings.warehouse:
        raise BadInputError("PRECEDENT_WAREHOUSE is not set, must be http://user:password@host:port/database")
    return settings, parse_address(settings.warehouse)


def _stop_event() -> threading.Event:
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    return stop


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
