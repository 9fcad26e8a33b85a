"""Guarded writes and lookups on SQLite: rows/s through the owner process, and 200 candidates idle and beside a writer.

`measure()` runs it all in a folder of its own and returns what it printed. The lookups read from this process, the
owner and the paced writer are processes of their own, as in production.
"""

import asyncio
import gc
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from contracts.errors import DependencyError
from contracts.taxonomy import CATEGORIES, N_CATEGORIES, POSITIVE_INDEX, TAXONOMY_VERSION
from contracts.verdicts import Decision, Verdict
from features.config import FeaturesConfig
from features.lookup import ViewerFeatures, lookup, warm_up
from features.rank import Candidates, rank
from features.store import OpenStore, open_store
from features.views import VIDEO_TOXICITY
from features.writer import open_writer

CANDIDATES = 200
BATCH_ROWS = 256
PACED_BATCH_ROWS = 64
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `limit` is what it must stay under (ms) or reach (rows/s), None where none is set."""

    what: str
    value: float
    unit: str
    limit: float | None = None


def measure(
    *, seconds: float = 10.0, videos: int = 50_000, paces: Sequence[int] = (750, 1_500), seed: int = 1
) -> dict[str, Any]:
    """Run the benchmark, print its table and return it; `seconds` for each kind of lookup."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="precedent-bench-") as folder, _owner(Path(folder)) as (address, pid):
        config = FeaturesConfig(
            online=f"sqlite:///{folder}/online.db", offline=f"parquet:///{folder}/history", writer=address
        )
        rows = _write_rates(config, pid, videos)
        store = open_store(config)
        ids = [_video_id(i) for i in range(videos)]
        warm_up(store, ids[:CANDIDATES], datetime.now(UTC))
        rows += _lookups(store, ids, rng, seconds, "idle", 12.0)
        for pace in paces:
            with _paced_writer(config, pace, videos):
                rows += _lookups(store, ids, rng, seconds, f"beside {pace} rows/s", 25.0)
        rows += _around(store, ids, rng, seconds)
    result = {
        "rows": [asdict(row) for row in rows],
        "candidates": CANDIDATES,
        "videos": videos,
        "load": os.getloadavg(),
    }
    _print(rows, videos)
    return result


def _write_rates(config: FeaturesConfig, owner: int, videos: int) -> list[Row]:
    """Write every video twice through the owner: new rows in random order, then newer versions of them."""
    order = np.random.default_rng(0).permutation(videos)
    rows = []
    for round_, what in enumerate(("new videos", "newer versions")):
        verdicts = list(_verdicts(order, timedelta(seconds=round_)))
        gc.collect()  # what is left to collect is this benchmark's, not the writer's
        gc.freeze()
        wall_s, client_s, owner_s = asyncio.run(_timed_writes(config, owner, verdicts))
        rows += [
            Row(f"guarded write of {what}, one worker", videos / wall_s, "rows/s"),
            Row(f"guarded write of {what}, per core", videos / (client_s + owner_s), "rows/s", 15_000),
            Row(f"guarded write of {what}, worker", client_s / videos * 1e6, "core-us/row"),
            Row(f"guarded write of {what}, owner", owner_s / videos * 1e6, "core-us/row"),
        ]
    return rows


async def _timed_writes(config: FeaturesConfig, owner: int, verdicts: Sequence[Verdict]) -> tuple[float, float, float]:
    """Seconds passed, and core seconds of this process and of the owner, for all verdicts in batches."""
    writer = open_writer(config)
    started, client_s, owner_s = time.perf_counter(), time.process_time(), _cpu_s(owner)
    for start in range(0, len(verdicts), BATCH_ROWS):
        await writer.write(verdicts[start : start + BATCH_ROWS])
    spent = time.perf_counter() - started, time.process_time() - client_s, _cpu_s(owner) - owner_s
    await writer.close()
    return spent


def _lookups(
    store: OpenStore, ids: Sequence[str], rng: np.random.Generator, seconds: float, what: str, limit_ms: float
) -> list[Row]:
    timed = _time(lambda some: lookup(store, some, datetime.now(UTC)), ids, rng, seconds)
    name = f"lookup of {CANDIDATES}, {what}"
    return [
        Row(f"{name}, p50", timed.p50_ms, "ms"),
        Row(f"{name}, p99 of {timed.calls}", timed.p99_ms, "ms", limit_ms),
        Row(f"{name}, p99 of its own work", timed.p99_core_ms, "core-ms"),
    ]


def _around(store: OpenStore, ids: Sequence[str], rng: np.random.Generator, seconds: float) -> list[Row]:
    """What lies around a lookup: Feast's own response for the same candidates, and the ranking of them."""
    refs = [f"{VIDEO_TOXICITY.name}:{name}" for name in VIDEO_TOXICITY.field_names]
    feasts = _time(
        lambda some: store.feast.get_online_features(refs, [{"video_id": one} for one in some]), ids, rng, seconds
    )
    some = ids[:CANDIDATES]
    found = lookup(store, some, datetime.now(UTC))
    candidates = Candidates(tuple(some), rng.random(CANDIDATES))
    viewer = ViewerFeatures.unknown("user-1")
    ranks = _time(lambda _: rank(candidates, found, viewer), ids, rng, min(seconds, 2.0))
    return [
        Row(f"get_online_features of {CANDIDATES}, idle, p50", feasts.p50_ms, "ms"),
        Row(f"get_online_features of {CANDIDATES}, idle, p99 of {feasts.calls}", feasts.p99_ms, "ms"),
        Row(f"rank of {CANDIDATES}, p50", ranks.p50_ms, "ms"),
        Row(f"rank of {CANDIDATES}, p99", ranks.p99_ms, "ms"),
    ]


@dataclass(frozen=True, slots=True)
class _Timed:
    """Wall time of calls, and the core time of their thread: what a machine of one's own would show."""

    p50_ms: float
    p99_ms: float
    p99_core_ms: float
    calls: int


def _time(call: Callable[[list[str]], object], ids: Sequence[str], rng: np.random.Generator, seconds: float) -> _Timed:
    """Time calls with random candidates, one after the other for `seconds`."""
    wall_ms: list[float] = []
    core_ms: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        some = [ids[i] for i in rng.integers(0, len(ids), CANDIDATES)]
        wall_s, core_s = time.perf_counter(), time.thread_time()
        call(some)
        wall_ms.append((time.perf_counter() - wall_s) * 1e3)
        core_ms.append((time.thread_time() - core_s) * 1e3)
    p50, p99 = np.percentile(wall_ms, [50, 99])
    return _Timed(float(p50), float(p99), float(np.percentile(core_ms, 99)), len(wall_ms))


def _video_id(number: int) -> str:
    return f"bench-{number:08d}"


def _verdicts(numbers: Sequence[int] | np.ndarray[Any, Any], later: timedelta) -> Iterator[Verdict]:
    """Valid verdicts, not validated again: the benchmark is not of pydantic."""
    occurred_at = datetime.now(UTC) + later
    rng = np.random.default_rng(7)
    drawn = rng.dirichlet(np.full(N_CATEGORIES, 0.3), len(numbers))
    for number, probabilities in zip(numbers, drawn.tolist(), strict=True):
        yield Verdict.model_construct(
            event_id=f"event-{number}",
            video_id=_video_id(int(number)),
            author_id="author-1",
            occurred_at=occurred_at,
            scored_at=occurred_at,
            probabilities=tuple(probabilities),
            classifier=tuple(probabilities),
            toxicity=1.0 - probabilities[POSITIVE_INDEX],
            category=CATEGORIES[int(np.argmax(probabilities))],
            decision=Decision.ALLOW,
            citations=(),
            missing=(),
            release_version=1,
            casebook_version=1,
            taxonomy_version=TAXONOMY_VERSION,
            since_upload_ms=1.0,
        )


@contextmanager
def _owner(folder: Path) -> Iterator[tuple[str, int]]:
    """The owner process as a user starts it: its address and its process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "features", "writer", "--port", "0"],
        env={**os.environ, "PRECEDENT_ONLINE_STORE": f"sqlite:///{folder}/online.db"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            msg = f"features writer ended with code {process.wait()} before it was ready"
            raise DependencyError(msg)
        yield json.loads(line)["address"], process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextmanager
def _paced_writer(config: FeaturesConfig, rows_per_s: int, videos: int) -> Iterator[None]:
    """A process that writes newer versions of random videos at a steady pace, until the block ends."""
    context = multiprocessing.get_context("spawn")
    begun, stop = context.Event(), context.Event()
    process = context.Process(target=_write_paced, args=(config, rows_per_s, videos, begun, stop))
    process.start()
    try:
        if not begun.wait(timeout=60):
            msg = "the paced writer did not begin within 60 s"
            raise DependencyError(msg)
        yield
    finally:
        stop.set()
        process.join(timeout=10)
        if process.exitcode != 0:
            msg = f"the paced writer ended with code {process.exitcode}"
            raise DependencyError(msg)


def _write_paced(config: FeaturesConfig, rows_per_s: int, videos: int, begun: Any, stop: Any) -> None:
    rng = np.random.default_rng(3)

    async def write() -> None:
        writer = open_writer(config)
        due = time.perf_counter()
        while not stop.is_set():
            await writer.write(list(_verdicts(rng.integers(0, videos, PACED_BATCH_ROWS), timedelta(seconds=2))))
            begun.set()
            due += PACED_BATCH_ROWS / rows_per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await writer.close()

    asyncio.run(write())


def _cpu_s(pid: int) -> float:
    """Core seconds that a process has used, in user and kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _print(rows: Sequence[Row], videos: int) -> None:
    table = Table(
        title=f"Online features on SQLite, {videos:,} videos, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for column in ("what", "value", "unit", "must be"):
        table.add_column(column, justify="left" if column in {"what", "unit"} else "right")
    for row in rows:
        sign = "≥" if row.unit == "rows/s" else "<"
        table.add_row(
            row.what,
            f"{row.value:,.0f}" if row.value >= 1_000 else f"{row.value:.2f}",
            row.unit,
            "" if row.limit is None else f"{sign} {row.limit:,.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    measure()
