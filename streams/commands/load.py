"""`precedent load run | check`: put a system under load, and hold what it kept against what was sent."""

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contracts.errors import BadInputError, CheckFailedError

if TYPE_CHECKING:
    from contracts.videos import VideoUploaded
    from streams.load.ledger import Ledger

SIMULATED = 4_096


@click.group()
def load() -> None:
    """Send events at a schedule, write each down, and check what became of it.

    \b
    Example:
      precedent load run --rate 1000 --duration 60 --report json
    """


def _limits(command: Any) -> Any:
    """The thresholds that decide the exit code."""
    for option in (
        click.option("--report", "form", type=click.Choice(["text", "json"]), default="text", show_default=True),
        click.option("--max-repeated", type=click.IntRange(0), default=None, help="verdicts on the topic twice"),
        click.option("--max-p99-ms", type=click.FloatRange(0), default=None, help="of sending to readable feature"),
        click.option("--max-p95-ms", type=click.FloatRange(0), default=None, help="of sending to readable feature"),
        click.option(
            "--warehouse/--no-warehouse", default=None, help="check rows; default: if PRECEDENT_WAREHOUSE is set"
        ),
        click.option("--features/--no-features", default=True, show_default=True, help="check the online store"),
        click.option(
            "--settle", type=click.FloatRange(0), default=30.0, show_default=True, help="seconds for rows to come"
        ),
    ):
        command = option(command)
    return command


@load.command()
@click.option("--rate", type=float, default=None, help="events a second; without it, as fast as --window allows")
@click.option("--duration", type=click.FloatRange(0.1, 86_400), default=None, help="seconds; needs --rate")
@click.option("--count", type=click.IntRange(1, 100_000_000), default=None, help="events, instead of --duration")
@click.option("--window", type=click.IntRange(1), default=2_000, show_default=True, help="unanswered, without a rate")
@click.option("--mix", "words", default="text=1", show_default=True, help="shares of kinds of events")
@click.option(
    "--uploads", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSONL; default: simulated"
)
@click.option("--warm-up", type=click.IntRange(0), default=0, show_default=True, help="first events, not measured")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--probe", type=click.FloatRange(0, 1_000), default=10.0, show_default=True, help="reads of features a second"
)
@click.option("--patience", type=click.FloatRange(1), default=30.0, show_default=True, help="seconds without progress")
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="the ledger's folder  [default: .state/load/RUN]"
)
@_limits
def run(
    rate: float | None,
    duration: float | None,
    count: int | None,
    window: int,
    words: str,
    uploads: Path | None,
    warm_up: int,
    seed: int,
    probe: float,
    patience: float,
    out: Path | None,
    **checks: Any,
) -> None:
    """Send events, wait for what becomes of them, check it, and exit with 1 if a limit is crossed.

    Latency counts from the intended send time, whether or not the path keeps up. Kinds of events: text, media, update
    (a newer version of a video), late (an older one), repeat (the same again), poison, report (of a viewer). The
    ledger says of each event when it was due, sent, confirmed, judged and readable; `precedent load check` reads it.
    PRECEDENT_BROKER, _ONLINE_STORE and _WAREHOUSE say where things are.

    \b
    Example:
      precedent load run --rate 1000 --duration 60 --mix text=0.9,update=0.05,poison=0.01,report=0.04 --max-p95-ms 200
    """
    from features.config import FeaturesConfig
    from streams.kafka.connection import Connection
    from streams.load.events import Encoder
    from streams.load.ledger import Ledger
    from streams.load.plan import LoadPlan, Mix
    from streams.load.reading import probing
    from streams.load.send import Sending, is_forgetful, send

    kafka = Connection.from_environment(os.environ)
    plan = LoadPlan(
        run=f"load{time.time_ns():x}",
        count=_count(rate, duration, count),
        rate=rate,
        mix=Mix.parse(words),
        warm_up=warm_up,
        window=window,
        seed=seed,
    )
    some = _uploads(uploads)
    forgetful = is_forgetful(kafka)
    ledger = Ledger.create(out or Path(".state/load") / plan.run, plan)
    encode = Encoder(plan, ledger.drawn, some)
    began = time.process_time()
    looking = checks["features"] and probe > 0
    probed = (
        probing(ledger.folder, FeaturesConfig.from_environment(os.environ), per_s=probe) if looking else nullcontext()
    )
    with probed, click.progressbar(length=plan.count, label="judged", file=sys.stderr) as bar:
        done = 0

        def progress(settled: int) -> None:
            nonlocal done
            bar.update(settled - done)
            done = settled

        send(ledger, encode, Sending(kafka, patience_s=patience, forgetful=forgetful), progress=progress)
    _tell(ledger, {"core_s": round(time.process_time() - began, 3)}, **checks)


@load.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_limits
def check(folder: Path, **checks: Any) -> None:
    """Hold what the system keeps now against the ledger in FOLDER; what the topics showed stands in the ledger.

    \b
    Example:
      precedent load check .state/load/load18a2b --max-p95-ms 200
    """
    from streams.load.ledger import Ledger

    _tell(Ledger.open(folder), {}, **checks)


def _count(rate: float | None, duration: float | None, count: int | None) -> int:
    if (duration is None) == (count is None):
        raise BadInputError("one of --duration and --count must be given")
    if count is not None:
        return count
    if rate is None or duration is None:
        raise BadInputError("--duration needs --rate")
    return max(1, round(rate * duration))


def _uploads(path: Path | None) -> "Sequence[VideoUploaded]":
    from simulation.uploads import text_uploads
    from streams.load.events import read_uploads

    return list(text_uploads(SIMULATED, seed=9)) if path is None else list(read_uploads(path))


def _tell(
    ledger: "Ledger",
    more: dict[str, Any],
    *,
    features: bool,
    warehouse: bool | None,
    settle: float,
    max_p95_ms: float | None,
    max_p99_ms: float | None,
    max_repeated: int | None,
    form: str,
) -> None:
    """Check, print, and raise `CheckFailedError` with every limit that is crossed."""
    from streams.load.report import Limits, in_words, report

    limits = Limits(p95_ms=max_p95_ms, p99_ms=max_p99_ms, repeated_verdicts=max_repeated)
    figures = {**report(ledger, _findings(ledger, features=features, warehouse=warehouse, settle_s=settle)), **more}
    crossed = limits.crossed(figures)
    click.echo(json.dumps({**figures, "crossed": crossed}) if form == "json" else in_words(figures))
    if crossed:
        raise CheckFailedError("; ".join(crossed))


def _findings(ledger: "Ledger", *, features: bool, warehouse: bool | None, settle_s: float) -> Any:
    """Check what is to be checked; rows may take `settle_s` to come."""
    from contracts.secrets import secret_in
    from features.config import FeaturesConfig
    from streams.load.check import check_features, check_topics, settled_rows
    from streams.load.reading import StoredFeatures, StoredRows
    from warehouse.address import address_in

    findings = check_topics(ledger)
    if features:
        check_features(ledger, StoredFeatures(FeaturesConfig.from_environment(os.environ)), findings)
    if warehouse or (warehouse is None and secret_in(os.environ, "PRECEDENT_WAREHOUSE")):
        since = datetime.fromtimestamp(float(ledger.rows["intended_s"][0]), UTC)
        kept = StoredRows(address_in(os.environ), ledger.plan.run, since=since)
        try:
            settled_rows(ledger, kept, findings, within_s=settle_s)
        finally:
            kept.close()
    return findings
