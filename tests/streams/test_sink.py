"""Verdicts in bulk to an insert, offsets after it; on the embedded broker and a real Kafka."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from contracts.dead_letters import DeadLetter
from contracts.errors import DependencyError
from contracts.topics import VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from serving.stopping import Stop
from streams.ingest.bulk import SinkConfig, run_sink
from streams.kafka.broker import PARTITIONS
from streams.kafka.connection import Connection
from tests.streams.conftest import Topics, on_each_broker
from tests.streams.events import raw
from tests.streams.test_moderation import moderated
from tests.streams.watching import until

VERDICTS = VIDEOS_VERDICTS.name
pytestmark = on_each_broker


class Rows:
    """An insert that remembers the events whose name begins so, and that fails as often as it is told to."""

    def __init__(self, prefix: str, failures: int = 0) -> None:
        self.prefix = prefix
        self.failures = failures
        self.tries = 0
        self.batches: list[list[str]] = []

    def insert(self, verdicts: Sequence[Verdict]) -> int:
        self.tries += 1
        if self.tries <= self.failures:
            raise DependencyError("the warehouse is away")
        self.batches.append([v.event_id for v in verdicts if v.event_id.startswith(f"e-{self.prefix}")])
        return len(verdicts)

    @property
    def all(self) -> list[str]:
        return sorted(event_id for batch in self.batches for event_id in batch)


@contextmanager
def running(broker: Connection, rows: Rows, *, batch_bytes: int = 1 << 20) -> Iterator[None]:
    """A sink of the group that is named like the rows."""
    stop, ready = Stop(), threading.Event()
    config = SinkConfig(
        broker,
        group=rows.prefix,
        batch_bytes=batch_bytes,
        linger_s=0.1,
        longest_pause_s=0.2,
        session_timeout_s=2.0,
    )
    inserts = {VIDEOS_VERDICTS: rows.insert}
    thread = threading.Thread(target=run_sink, args=(config, inserts, stop), kwargs={"ready": ready.set})
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        stop.set()
        thread.join()


def verdicts(*names: str) -> list[bytes]:
    return [v.model_dump_json().encode() for v in moderated(*(raw(name) for name in names)).verdicts]


def test_verdicts_are_inserted_once_and_not_again_by_the_sink_that_follows(broker: Connection, topics: Topics):
    first, second = Rows("once"), Rows("once")
    topics.send(VERDICTS, *verdicts(*(f"once{n}" for n in range(50))))
    with running(broker, first):
        until(lambda: len(first.all) == 50)
    topics.send(VERDICTS, *verdicts("once-after"))
    with running(broker, second):
        until(lambda: second.all == ["e-once-after"])
    assert first.all == sorted(f"e-once{n}" for n in range(50))
    assert len(list(filter(None, first.batches))) < 10


def test_a_warehouse_that_is_away_is_waited_for_and_gets_each_row_once(broker: Connection, topics: Topics):
    rows = Rows("away", failures=6)
    topics.send(VERDICTS, *verdicts("away-a", "away-b", "away-c"))
    with running(broker, rows):
        until(lambda: rows.tries > 3)
        topics.send(VERDICTS, *verdicts("away-d"))
        until(lambda: rows.all == ["e-away-a", "e-away-b", "e-away-c", "e-away-d"])


def test_partitions_that_were_lost_while_the_sink_waited_are_read_on_when_they_come_back(
    broker: Connection, topics: Topics
):
    waits, other = Rows("moved", failures=10**9), Rows("moved")
    topics.send(VERDICTS, *verdicts("moved-first"))
    with running(broker, waits):
        until(lambda: waits.tries > 0)
        with running(broker, other):
            waits.failures = 0
            until(lambda: waits.all + other.all != [])
        for partition in range(PARTITIONS):
            topics.send(VERDICTS, *verdicts(f"moved-{partition}"), partition=partition)
        until(lambda: {f"e-moved-{partition}" for partition in range(PARTITIONS)} <= set(waits.all))


def test_what_is_not_inserted_before_the_end_is_inserted_by_the_next(broker: Connection, topics: Topics):
    never, rows = Rows("next", failures=10**9), Rows("next")
    topics.send(VERDICTS, *verdicts("next-a", "next-b"))
    with running(broker, never):
        until(lambda: never.tries > 2)
    with running(broker, rows):
        until(lambda: rows.all == ["e-next-a", "e-next-b"])


def test_what_is_no_verdict_is_dead_lettered_and_holds_up_nobody(broker: Connection, topics: Topics):
    topics.watch(VIDEOS_VERDICTS.dead)
    rows = Rows("dead")
    topics.send(VERDICTS, b"{", *verdicts("dead-good"))
    with running(broker, rows):
        until(lambda: rows.all == ["e-dead-good"])
        [letter] = [DeadLetter.model_validate_json(m.value()) for m in topics.read(VIDEOS_VERDICTS.dead, 1)]
    assert letter.raw == b"{"


def test_a_batch_is_bounded_in_bytes_however_many_events_it_may_have(broker: Connection, topics: Topics):
    names = [f"bytes-{n:03d}" for n in range(300)]
    values = verdicts(*names)
    rows = Rows("bytes")
    topics.send(VERDICTS, *values)
    with running(broker, rows, batch_bytes=10 * len(values[0])):
        until(lambda: rows.all == [f"e-{name}" for name in names], within_s=30)
    assert max(map(len, rows.batches)) <= 10 + 64  # the bytes of ten, and what one call brought
