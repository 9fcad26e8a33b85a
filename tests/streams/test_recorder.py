"""Reports, exposures and rulings to an insert, acknowledged after it; Faust agents on an embedded and a real broker."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from contracts.dead_letters import DeadLetter, DeadReason
from contracts.errors import DependencyError
from contracts.records import Event
from contracts.topics import EXPERIMENTS_EXPOSURES, USERS_REPORTS, Topic
from contracts.viewers import ExperimentExposure, Surface, UserReport
from streams.ingest.metrics import IngestMetrics
from streams.ingest.recorder import recording
from streams.kafka.agents import AgentConfig, Agents, consume
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer
from tests.streams.conftest import Topics, on_each_broker
from tests.streams.watching import until

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
pytestmark = on_each_broker


class Rows:
    """An insert that remembers what it was given, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.events: list[Event] = []

    def __call__(self, events: Sequence[Event]) -> int:
        if self.failures and events:
            self.failures -= 1
            raise DependencyError("the warehouse is away")
        self.events += events
        return len(events)

    def ids(self, prefix: str) -> list[str]:
        return sorted({event.event_id for event in self.events if event.event_id.startswith(prefix)})


def record(broker: Connection, group: str, rows: dict[Topic, Rows], done: Callable[[], bool]) -> None:
    """Run agents of a group until `done`."""

    async def scene() -> None:
        stopping = asyncio.Event()
        producer = ConfirmedProducer(broker, client_id=group)
        metrics = IngestMetrics()
        carriers = {
            topic: recording(topic, insert, producer, metrics, now=lambda: NOW) for topic, insert in rows.items()
        }
        config = AgentConfig(broker, group, session_timeout_s=3.0)
        running = asyncio.create_task(consume(Agents(config, carriers), stopping, ready=lambda: None))
        try:
            await asyncio.to_thread(until, done)
        finally:
            stopping.set()
            await running
            producer.close()

    asyncio.run(scene())


def reports(*names: str) -> list[bytes]:
    made = (
        UserReport(event_id=name, video_id="v1", reporter_id="u1", reported_at=NOW, surface=Surface.SEARCH)
        for name in names
    )
    return [report.model_dump_json().encode() for report in made]


def test_events_of_two_topics_reach_their_own_tables_although_the_warehouse_is_away_at_first(
    broker: Connection, topics: Topics
):
    rows = {USERS_REPORTS: Rows(failures=3), EXPERIMENTS_EXPOSURES: Rows()}
    exposure = ExperimentExposure(
        event_id="both-x", user_id="u1", experiment_id="e1", variant="b", exposed_at=NOW, surface=Surface.RECOMMEND
    )
    topics.send(USERS_REPORTS.name, *reports("both-1", "both-2"))
    topics.send(EXPERIMENTS_EXPOSURES.name, exposure.model_dump_json().encode())

    def all_there() -> bool:
        return len(rows[USERS_REPORTS].ids("both")) == 2 and len(rows[EXPERIMENTS_EXPOSURES].ids("both")) == 1

    record(broker, "both", rows, all_there)
    assert rows[USERS_REPORTS].failures == 0
    assert exposure in rows[EXPERIMENTS_EXPOSURES].events
    assert all(isinstance(event, UserReport) for event in rows[USERS_REPORTS].events)


def test_what_was_recorded_is_not_recorded_again_and_what_was_not_is_by_the_next(broker: Connection, topics: Topics):
    first, second = Rows(), Rows()
    topics.send(USERS_REPORTS.name, *reports("next-1"))
    record(broker, "next", {USERS_REPORTS: first}, lambda: first.ids("next") == ["next-1"])
    topics.send(USERS_REPORTS.name, *reports("next-2"))
    record(broker, "next", {USERS_REPORTS: second}, lambda: second.ids("next") == ["next-2"])
    assert second.ids("next") == ["next-2"]


def test_a_report_from_the_future_is_dead_lettered_and_holds_up_nobody(broker: Connection, topics: Topics):
    topics.watch(USERS_REPORTS.dead)
    rows = Rows()
    [good] = reports("future-good")
    late = good.replace(b"future-good", b"future-bad").replace(b"2026-11-20", b"2027-11-20")
    topics.send(USERS_REPORTS.name, late, good)

    def letters() -> list[DeadLetter]:
        read = (DeadLetter.model_validate_json(m.value()) for m in topics.read(USERS_REPORTS.dead, 0))
        return [letter for letter in read if letter.raw == late]

    # the two lie in partitions of their own: one may be carried, and the agents stopped, before the other is taken
    record(
        broker, "future", {USERS_REPORTS: rows}, lambda: rows.ids("future") == ["future-good"] and len(letters()) > 0
    )
    [letter] = letters()
    assert (letter.reason, letter.place) == (DeadReason.CLOCK, "reported_at")
    assert "reported_at == 2027-11-20" in letter.text
