"""However much waits on a real Kafka while the scorer is away, and however large its events, a worker stays small."""

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stand_in import point_to, random_casebook, write_release
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from streams.kafka.buffer import BUFFER_BYTES
from streams.kafka.connection import Connection
from streams.kafka.lag import GroupLag
from streams.processes import Part
from streams.stack import Stack, embedded_stack
from tests.streams.conftest import Topics, needs_kafka
from tests.streams.watching import event, metric, named, until

pytestmark = [pytest.mark.kafka, needs_kafka]

MB = 1 << 20
PARTITIONS = 6
BOUND_MB = 3 * BUFFER_BYTES / MB + 2 * PARTITIONS + 150
"""What the buffers may hold at most (`streams.kafka.buffer`), and 150 MB for Python's objects of a batch under way."""


@pytest.fixture(scope="module")
def stack(real: Connection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("backlog")
    point_to(folder / "releases", write_release(folder / "releases", 1, random_casebook(50)))
    with embedded_stack(
        folder / "state", folder / "releases", workers=1, broker=real.servers, warehouse=False
    ) as running:
        yield running


def memory_mb(part: Part) -> dict[str, float]:
    """Resident memory now and at its peak, of a part's own process."""
    lines = Path(f"/proc/{part.pid}/status").read_text(encoding="ascii").splitlines()
    said = {name: text for name, _, text in (line.partition(":") for line in lines)}
    return {name: int(said[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


def large(name: str) -> bytes:
    """An upload whose longest texts are filled with three bytes a character: 126 kB that keep the contract."""
    drawn = random.Random(name)
    text = "".join(chr(drawn.randrange(0x4E00, 0x9FFF)) for _ in range(20_000))
    return event(name, title=text[:2_000], ocr=text, asr=text[::-1])


def test_the_memory_of_a_worker_is_bounded_at_a_lag_of_thousands_of_the_largest_events(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    [worker] = stack.workers
    triton, topics = stack.part("triton"), Topics(stack.kafka)
    topics.watch(VIDEOS_VERDICTS.name, VIDEOS_UPLOADED.dead)
    lag = GroupLag(stack.kafka, VIDEOS_UPLOADED.name, "precedent-moderation")
    name = VIDEOS_UPLOADED.name
    topics.send(name, *(event(f"before-{n}") for n in range(300)))
    topics.read(VIDEOS_VERDICTS.name, 300, within_s=60, where=named("before"))
    before = memory_mb(worker)

    triton.signal(signal.SIGSTOP)
    some = [large(f"large-{n}") for n in range(8)]
    junk = b"{" + b"x" * 900_000
    for _ in range(100):
        topics.send(name, *some, junk, junk, junk)
    until(lambda: metric(worker, 'precedent_waiting_seconds{part="scorer"}') > 0, within_s=60)
    small = [event(f"small-{n}", asr="x" * 1_400) for n in range(10_000)]
    topics.send(name, *small)
    waiting_mb = (sum(map(len, small)) + 100 * (sum(map(len, some)) + 3 * len(junk))) / MB
    seen = [memory_mb(worker)["VmRSS"]]

    def settled() -> bool:
        seen.append(memory_mb(worker)["VmRSS"])
        return len(seen) > 40 and max(seen[-20:]) - min(seen[-20:]) < 1.0

    until(settled, within_s=60)
    held = lag()
    triton.signal(signal.SIGCONT)
    until(lambda: lag() == 0, within_s=240)
    peak = memory_mb(worker)["VmHWM"]
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{held} events, {waiting_mb:.0f} MB before a worker of {before['VmRSS']:.0f} MB: {seen[-1]:.0f} MB while"
            f" it waits, {peak:.0f} MB at its peak, bound {before['VmRSS'] + BOUND_MB:.0f} MB"
        )
    assert held == 10_000 + 100 * 11
    assert seen[-1] - before["VmRSS"] < 3 * BUFFER_BYTES / MB + 2 * PARTITIONS
    assert peak - before["VmRSS"] < BOUND_MB < waiting_mb
    lag.close()
    topics.close()
