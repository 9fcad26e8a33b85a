"""The owner of the SQLite file as a process that is watched: rows it committed, alive while batches are answered."""

import asyncio
import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from features.config import FeaturesConfig
from features.writer import open_writer
from streams.processes import start_part
from streams.writing import WriterMetrics
from tests.streams.events import raw
from tests.streams.test_moderation import moderated


def test_a_batch_that_nobody_answers_for_a_minute_makes_the_writer_one_to_start_again():
    clock = [0.0]
    metrics = WriterMetrics(now=lambda: clock[0])
    clock[0] = 1_000.0
    assert metrics.progress.alive
    metrics.arrived()
    clock[0] = 1_030.0
    metrics.arrived()
    clock[0] = 1_059.9
    assert metrics.progress.alive
    clock[0] = 1_060.0
    assert not metrics.progress.alive
    metrics.failed(2)
    assert metrics.progress.alive
    assert metrics.registry.get_sample_value("precedent_writer_failed_batches_total") == 2


def test_the_rows_of_a_worker_s_batch_are_counted_when_they_are_on_disk(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'online.db'}"
    program = "from streams.commands.features import features; features(['writer'])"
    part = start_part(
        "writer", [sys.executable, "-c", program], log=tmp_path / "log", env={"PRECEDENT_ONLINE_STORE": store}
    )
    try:
        verdicts = moderated(raw("a"), raw("b")).verdicts

        async def write() -> None:
            writer = open_writer(FeaturesConfig(online=store, writer=part.address))
            await writer.write([v.model_copy(update={"occurred_at": datetime.now(UTC)}) for v in verdicts])
            await writer.close()

        asyncio.run(write())
        with urllib.request.urlopen(f"http://{part.ready['metrics']}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        assert "precedent_writer_rows_total 2.0" in lines
        assert "precedent_writer_commit_batches_count 1.0" in lines
        with urllib.request.urlopen(f"http://{part.ready['metrics']}/ready", timeout=5) as answer:
            assert answer.read() == b"ready\n"
    finally:
        assert part.end() == 0
