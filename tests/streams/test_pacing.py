"""Sending no faster than is read, on the real embedded broker; each test reads by a group of its own."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from contracts.errors import DependencyError
from contracts.records import Event
from contracts.topics import USERS_SESSIONS
from contracts.viewers import UserSession
from streams.ingest.bulk import SinkConfig, run_sink
from streams.kafka.connection import Connection
from streams.kafka.delivery import OutgoingRecord
from streams.kafka.pacing import PacedProducer

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def sessions(group: str, count: int) -> Iterator[OutgoingRecord]:
    for n in range(count):
        name = f"{group}-{n}"
        session = UserSession(event_id=name, user_id=name, session_id=name, started_at=NOW, ended_at=NOW, impressions=0)
        yield OutgoingRecord(USERS_SESSIONS.name, name.encode(), session.model_dump_json().encode())


@contextmanager
def reading(broker: Connection, group: str, seen: list[str]) -> Iterator[None]:
    """A sink that notes the events of its group's name."""
    stop, ready = threading.Event(), threading.Event()

    def insert(events: Sequence[Event]) -> int:
        seen.extend(event.event_id for event in events if event.event_id.startswith(group))
        return len(events)

    config = SinkConfig(broker, group=group, batch=500, linger_s=0.05, session_timeout_s=2.0)
    thread = threading.Thread(
        target=run_sink, args=(config, {USERS_SESSIONS: insert}, stop), kwargs={"ready": ready.set}
    )
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        stop.set()
        thread.join()


def test_all_that_is_sent_was_read_when_the_wait_is_over(broker: Connection) -> None:
    seen: list[str] = []
    producer = PacedProducer(broker, {USERS_SESSIONS.name: "paced"}, held_bytes=100_000)
    with reading(broker, "paced", seen):
        assert producer.send(sessions("paced", 4_000)) == 4_000
        producer.wait_until_read()
        assert sorted(seen) == sorted(f"paced-{n}" for n in range(4_000))
    producer.close()


def test_nobody_who_reads_is_waited_for_only_so_long_and_named(broker: Connection) -> None:
    producer = PacedProducer(broker, {USERS_SESSIONS.name: "absent"}, held_bytes=50_000, patience_s=0.5)
    with pytest.raises(DependencyError, match=r"users\.sessions: group 'absent' has 1000 records before it"):
        producer.send(sessions("absent", 4_000))
    producer.close()
