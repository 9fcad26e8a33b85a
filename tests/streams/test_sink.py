"""Verdicts in bulk to an insert, offsets after it; on the real embedded broker."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from contracts.dead_letters import DeadLetter
from contracts.errors import DependencyError
from contracts.topics import VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from streams.sink import SinkConfig, run_sink
from tests.streams.conftest import Topics
from tests.streams.events import raw
from tests.streams.test_moderation import moderated
from tests.streams.watching import until

VERDICTS = VIDEOS_VERDICTS.name


class Rows:
    """An insert that remembers, and that fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.tries = 0
        self.batches: list[list[str]] = []

    def insert(self, verdicts: Sequence[Verdict]) -> int:
        self.tries += 1
        if self.tries <= self.failures:
            raise DependencyError("the warehouse is away")
        self.batches.append([v.event_id for v in verdicts])
        return len(verdicts)

    @property
    def all(self) -> list[str]:
        return [event_id for batch in self.batches for event_id in batch]


@contextmanager
def running(broker: str, insert: Callable[[Sequence[Verdict]], int]) -> Iterator[None]:
    stop, ready = threading.Event(), threading.Event()
    config = SinkConfig(broker, linger_s=0.1, longest_pause_s=0.2, session_timeout_s=2.0)
    thread = threading.Thread(target=run_sink, args=(config, insert, stop), kwargs={"ready": ready.set})
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        stop.set()
        thread.join()


def verdicts(*names: str) -> list[bytes]:
    return [v.model_dump_json().encode() for v in moderated(*(raw(name) for name in names)).verdicts]


def test_verdicts_are_inserted_once_and_not_again_by_the_sink_that_follows(broker: str, topics: Topics):
    first, second = Rows(), Rows()
    topics.send(VERDICTS, *verdicts(*(f"s{n}" for n in range(50))))
    with running(broker, first.insert):
        until(lambda: len(first.all) == 50)
    topics.send(VERDICTS, *verdicts("after"))
    with running(broker, second.insert):
        until(lambda: second.all == ["e-after"])
    assert sorted(first.all) == sorted(f"e-s{n}" for n in range(50))
    assert len(first.batches) < 10


def test_a_warehouse_that_is_away_is_waited_for_and_gets_each_row_once(broker: str, topics: Topics):
    rows = Rows(failures=8)
    topics.send(VERDICTS, *verdicts("a", "b", "c"))
    with running(broker, rows.insert):
        until(lambda: rows.tries > 3)
        topics.send(VERDICTS, *verdicts("d"))
        until(lambda: sorted(rows.all) == ["e-a", "e-b", "e-c", "e-d"])
    assert rows.failures == 8


def test_what_is_not_inserted_before_the_end_is_inserted_by_the_next(broker: str, topics: Topics):
    never, rows = Rows(failures=10**9), Rows()
    topics.send(VERDICTS, *verdicts("a", "b"))
    with running(broker, never.insert):
        until(lambda: never.tries > 2)
    with running(broker, rows.insert):
        until(lambda: sorted(rows.all) == ["e-a", "e-b"])


def test_what_is_no_verdict_is_dead_lettered_and_holds_up_nobody(broker: str, topics: Topics):
    topics.watch(VIDEOS_VERDICTS.dead)
    rows = Rows()
    topics.send(VERDICTS, b"{", *verdicts("good"))
    with running(broker, rows.insert):
        until(lambda: rows.all == ["e-good"])
        [letter] = [DeadLetter.model_validate_json(m.value()) for m in topics.read(VIDEOS_VERDICTS.dead, 1)]
    assert letter.raw == b"{"
