"""Guarded writes and lookups on SQLite and Redis: rows/s, and 200 candidates idle and beside a writer.

`measure()` runs it all in a folder of its own and returns what it printed. The lookups read from this process; the
owner or Redis, and the paced writer, are processes of their own, as in production. Without redis-server its rows are
left out, which the table says.

Predicted for Redis before the quick reader was written, from a profile in which Feast's own read took 5.2 ms at p50
and 6.6 ms at p99 idle: 2.3 and 3.5 ms with it (one write of 200 HMGET and their answers 0.8 ms, the values cut open
about 1 ms), and under 8 ms at p99 beside 1,000 rows/s.
"""

import asyncio
import gc
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.lookup_parts import cpu_s, paced_writer, running_owner, running_redis, verdicts, video_id
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from features.lookup import ViewerFeatures, lookup, read_rows, warm_up
from features.rank import Candidates, rank
from features.store import OpenStore, open_store
from features.views import VIDEO_TOXICITY
from features.writer import open_writer

CANDIDATES = 200
BATCH_ROWS = 256
REDIS_P99_MS = 10.0


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
    """Run the benchmark, print its tables and return them; `seconds` for each kind of lookup."""
    rng = np.random.default_rng(seed)
    ids = [video_id(i) for i in range(videos)]
    with (
        tempfile.TemporaryDirectory(prefix="precedent-bench-") as folder,
        running_owner(Path(folder)) as (address, pid),
    ):
        config = FeaturesConfig(
            online=f"sqlite:///{folder}/online.db", offline=f"parquet:///{folder}/history", writer=address
        )
        rows = _write_rates(config, pid, ids)
        store = open_store(config)
        rows += _read_rates(store, ids, rng, seconds, paces, (12.0, 25.0))
        rows += _around(store, ids, rng, seconds)
    _print("SQLite", rows, videos)
    redis = _on_redis(ids, rng, seconds)
    if redis:
        _print("Redis", redis, videos)
    else:
        Console().print("redis-server is not installed: no figures of Redis")
    return {
        "rows": [asdict(row) for row in rows],
        "redis": [asdict(row) for row in redis],
        "candidates": CANDIDATES,
        "videos": videos,
        "load": os.getloadavg(),
    }


def _on_redis(ids: Sequence[str], rng: np.random.Generator, seconds: float) -> list[Row]:
    """The same lookups on a Redis of the benchmark's own; none where there is no redis-server."""
    binary = shutil.which("redis-server")
    if binary is None:
        return []
    with tempfile.TemporaryDirectory(prefix="precedent-bench-") as folder, running_redis(binary, folder) as (url, pid):
        config = FeaturesConfig(online=url, offline=f"parquet:///{folder}/history", registry=Path(folder) / "registry")
        rows = _write_rates(config, pid, ids)
        store = open_store(config)
        rows += _read_rates(store, ids, rng, seconds, (1_000,), (REDIS_P99_MS, REDIS_P99_MS))
        rows += _around(store, ids, rng, seconds)
    return rows


def _read_rates(
    store: OpenStore,
    ids: Sequence[str],
    rng: np.random.Generator,
    seconds: float,
    paces: Sequence[int],
    limits_ms: tuple[float, float],
) -> list[Row]:
    """Lookups after a warm-up, idle and beside writes at each pace; both limits are of p99."""
    warm_up(store, ids[:CANDIDATES], datetime.now(UTC))
    rows = _lookups(store, ids, rng, seconds, "idle", limits_ms[0])
    for pace in paces:
        with paced_writer(store.config, pace, len(ids)):
            rows += _lookups(store, ids, rng, seconds, f"beside {pace} rows/s", limits_ms[1])
    return rows


def _write_rates(config: FeaturesConfig, owner: int, ids: Sequence[str]) -> list[Row]:
    """Write every video twice through the owner, or Redis: new rows in random order, then newer versions of them."""
    videos = len(ids)
    order = np.random.default_rng(0).permutation(videos)
    kept_by, least = ("owner", 15_000.0) if config.redis_url is None else ("Redis", None)
    rows = []
    for round_, what in enumerate(("new videos", "newer versions")):
        given = list(verdicts(order, timedelta(seconds=round_)))
        gc.collect()  # what is left to collect is this benchmark's, not the writer's
        gc.freeze()
        wall_s, client_s, owner_s = asyncio.run(_timed_writes(config, owner, given))
        rows += [
            Row(f"guarded write of {what}, one worker", videos / wall_s, "rows/s"),
            Row(f"guarded write of {what}, per core", videos / (client_s + owner_s), "rows/s", least),
            Row(f"guarded write of {what}, worker", client_s / videos * 1e6, "core-us/row"),
            Row(f"guarded write of {what}, {kept_by}", owner_s / videos * 1e6, "core-us/row"),
        ]
    return rows


async def _timed_writes(config: FeaturesConfig, owner: int, verdicts: Sequence[Verdict]) -> tuple[float, float, float]:
    """Seconds passed, and core seconds of this process and of the owner, for all verdicts in batches."""
    writer = open_writer(config)
    started, client_s, owner_s = time.perf_counter(), time.process_time(), cpu_s(owner)
    for start in range(0, len(verdicts), BATCH_ROWS):
        await writer.write(verdicts[start : start + BATCH_ROWS])
    spent = time.perf_counter() - started, time.process_time() - client_s, cpu_s(owner) - owner_s
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
    plain = _time(lambda some: read_rows(store, VIDEO_TOXICITY, some), ids, rng, seconds)
    some = ids[:CANDIDATES]
    found = lookup(store, some, datetime.now(UTC))
    candidates = Candidates(tuple(some), rng.random(CANDIDATES))
    viewer = ViewerFeatures.unknown("user-1")
    ranks = _time(lambda _: rank(candidates, found, viewer), ids, rng, min(seconds, 2.0))
    return [
        Row(f"Feast's online_read of {CANDIDATES}, idle, p50", plain.p50_ms, "ms"),
        Row(f"Feast's online_read of {CANDIDATES}, idle, p99 of {plain.calls}", plain.p99_ms, "ms"),
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


def _print(kept_in: str, rows: Sequence[Row], videos: int) -> None:
    table = Table(
        title=f"Online features in {kept_in}, {videos:,} videos, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
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
