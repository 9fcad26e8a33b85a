"""A steady rate through every part, on a real Kafka and a real Redis: what is lost, how late, and does memory grow.

Events of all kinds (new videos, newer and older versions, repeats, poison, reports) at 1,000 a second; the ledger is
held against topics, features, rows and daily sums. Kafka, Redis, Triton, warehouse, sink, recorder, two workers, the
probe and the load share the machine. One minute by default, ten in the long form (PRECEDENT_LONG=1).

Predicted before the first run (two cores): p50 90 ms (half of it the batches' waiting), p95 150, p99 250; memory flat
but for the warehouse, whose caches fill, and Redis, which keeps every video.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.load.loaded import Loaded, run_load
from bench.stand_in import point_to, random_casebook, write_release
from streams.processes import Part, Parts
from streams.stack import Stack, embedded_stack

MIX = "text=0.86,update=0.05,late=0.02,repeat=0.02,poison=0.01,report=0.04"
RATE = 1_000
WARM_UP_S = 10
P95_MS, P99_MS = 200.0, 500.0
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def measure() -> dict[str, Any]:
    """Run the load, print what it found, and return the figures."""
    seconds = 600 if os.environ.get("PRECEDENT_LONG") else 60
    with tempfile.TemporaryDirectory() as folder, real_stack(Path(folder), workers=2, partitions=8) as (stack, own):
        options = ["--rate", str(RATE), "--duration", str(seconds + WARM_UP_S), "--mix", MIX]
        limits = ["--max-p95-ms", f"{P95_MS:g}", "--max-p99-ms", f"{P99_MS:g}"]
        loaded = run_load(stack, *options, "--warm-up", str(RATE * WARM_UP_S), limits=limits, beside=own)
    slopes = loaded.slopes_mb_a_minute(after_s=WARM_UP_S + seconds / 4)
    _print(seconds, loaded, slopes)
    last = {name: held[-1] for name, held in loaded.resident_mb.items() if held}
    return {
        "seconds": seconds,
        "rate": RATE,
        "report": loaded.report,
        "core_ms_an_event": loaded.core_ms,
        "memory_mb": last,
        "memory_slope_mb_a_minute": slopes,
    }


@contextmanager
def real_stack(
    folder: Path, *, workers: int, partitions: int, worker_options: tuple[str, ...] = ()
) -> Iterator[tuple[Stack, list[Part]]]:
    """A stack with a stand-in release on a real Kafka and a real Redis, and these two, while the context is open."""
    with Parts() as parts:
        kafka = parts.start(
            "kafka",
            [
                str(DEPLOY / "kafka/run"),
                "--port",
                "0",
                "--state-dir",
                f"{folder}/kafka",
                "--partitions",
                str(partitions),
            ],
            log=folder / "kafka.log",
            ready_within_s=300.0,
        )
        redis = parts.start(
            "redis",
            [str(DEPLOY / "redis/run"), "--port", "0", "--state-dir", f"{folder}/redis"],
            log=folder / "redis.log",
        )
        releases = folder / "releases"
        point_to(releases, write_release(releases, 1, random_casebook(1_000)))
        with embedded_stack(
            folder / "state",
            releases,
            workers=workers,
            broker=kafka.address,
            online_store=f"redis://{redis.address}",
            worker_options=worker_options,
        ) as stack:
            yield stack, [kafka, redis]


def _print(seconds: int, loaded: Loaded, slopes: dict[str, float]) -> None:
    report = loaded.report
    table = Table(
        title=f"{RATE:,} events/s for {seconds} s on a real Kafka and a real Redis, load {os.getloadavg()[0]:.1f}"
    )
    for column in ("what", "value", "must be"):
        table.add_column(column, justify="left" if column == "what" else "right")
    latency, read = report["feature_latency_ms"], report["readable_ms"]
    rows: list[tuple[str, str, str]] = [
        ("events sent, of all kinds", f"{report['sent']:,}", ""),
        ("verdicts a second", f"{report['per_s']:,.1f}", ""),
        *((f"intended send to features, {q} (ms)", f"{latency[q]:,.0f}", "") for q in ("p50",)),
        ("intended send to features, p95 (ms)", f"{latency['p95']:,.0f}", f"< {P95_MS:g}"),
        ("intended send to features, p99 (ms)", f"{latency['p99']:,.0f}", f"< {P99_MS:g}"),
        ("intended send to features, max (ms)", f"{latency['max']:,.0f}", ""),
        (
            f"read by a probe, p50 / p95 / p99 of {read['n']:,} (ms)",
            f"{read['p50']:,.0f} / {read['p95']:,.0f} / {read['p99']:,.0f}",
            "",
        ),
        *((name.replace("_", " "), f"{report[name]}", "0") for name in _FINDINGS),
        ("verdicts repeated on the raw topic", f"{report['repeated_verdicts']}", ""),
    ]
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    parts = Table(title="Each part: core-milliseconds an event, memory at the end, its slope after the first quarter")
    for column in ("part", "core-ms", "MB", "MB a minute"):
        parts.add_column(column, justify="left" if column == "part" else "right")
    for name, cost in loaded.core_ms.items():
        held = loaded.resident_mb.get(name)
        slope = slopes.get(name)
        parts.add_row(
            name,
            f"{cost:.3f}",
            f"{held[-1]:,.0f}" if held else "",
            f"{slope:+.2f}" if slope is not None else "",
        )
    parts.add_row("together", f"{sum(loaded.core_ms.values()):.3f}", "", "")
    Console().print(parts)
    for limit in report["crossed"]:
        Console().print(f"crossed: {limit}")


_FINDINGS = ("lost", "reordered", "stale_features", "missing_features", "missing_rows", "repeated_rows", "wrong_sums")
