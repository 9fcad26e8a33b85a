"""What the benchmark of lookups runs beside itself: the owner of the SQLite file, a Redis, a paced writer, verdicts."""

import asyncio
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from contracts.errors import DependencyError
from contracts.taxonomy import CATEGORIES, N_CATEGORIES, POSITIVE_INDEX, TAXONOMY_VERSION
from contracts.verdicts import Decision, Verdict
from features.config import FeaturesConfig
from features.writer import open_writer
from serving.ports import free_port

PACED_BATCH_ROWS = 64
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def video_id(number: int) -> str:
    return f"bench-{number:08d}"


def verdicts(numbers: Sequence[int] | np.ndarray[Any, Any], later: timedelta) -> Iterator[Verdict]:
    """Valid verdicts, not validated again: the benchmark is not of pydantic."""
    occurred_at = datetime.now(UTC) + later
    rng = np.random.default_rng(7)
    drawn = rng.dirichlet(np.full(N_CATEGORIES, 0.3), len(numbers))
    for number, probabilities in zip(numbers, drawn.tolist(), strict=True):
        yield Verdict.model_construct(
            event_id=f"event-{number}",
            video_id=video_id(int(number)),
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
def running_owner(folder: Path) -> Iterator[tuple[str, int]]:
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
def running_redis(binary: str, folder: str) -> Iterator[tuple[str, int]]:
    """A Redis that keeps nothing on disk, on a free loopback port: its address and its process id."""
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder]
    process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10.0
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise DependencyError(f"redis-server does not listen on port {port}")
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def paced_writer(config: FeaturesConfig, rows_per_s: int, videos: int) -> Iterator[None]:
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
            await writer.write(list(verdicts(rng.integers(0, videos, PACED_BATCH_ROWS), timedelta(seconds=2))))
            begun.set()
            due += PACED_BATCH_ROWS / rows_per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await writer.close()

    asyncio.run(write())


def cpu_s(pid: int) -> float:
    """Core seconds that a process has used, in user and kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
