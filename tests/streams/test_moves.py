"""Partitions that move again before the move before is over: every event is carried, and committed up to the end."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from confluent_kafka import Consumer as Asker
from confluent_kafka import TopicPartition
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from contracts.topics import USERS_REPORTS
from streams.kafka.agents import AgentConfig, Agents, consume
from streams.kafka.connection import Connection
from streams.kafka.transport import use_transport
from tests.streams.conftest import Topics, on_each_broker

TOPIC = USERS_REPORTS.name
SLOW_S = 3.0
"""How much longer a member takes to go to where the group has committed."""
CARRY_S = 0.3
"""How long a batch takes, meanwhile others wait in the queue."""


class Member:
    """One of a group, in this process, that keeps what it carries."""

    def __init__(self, broker: Connection, group: str, carried: set[bytes]) -> None:
        async def carry(events: Sequence[Any], _: Any) -> bool:
            await asyncio.sleep(CARRY_S)
            carried.update(event.value for event in events)
            return True

        config = AgentConfig(broker, group, in_flight=1, session_timeout_s=4.0)
        self.agents = Agents(config, {USERS_REPORTS: carry})
        self.stopping = asyncio.Event()
        self.ready = asyncio.Event()
        self.seeking = asyncio.Event()
        self.running: asyncio.Task[None] | None = None

    def start(self) -> "Member":
        self.running = asyncio.create_task(consume(self.agents, self.stopping, ready=self.ready.set))
        return self

    def slow_down(self) -> None:
        """Be slow from now on to go on after a move."""
        thread = self.agents.app.consumer._thread
        seek = thread.seek_to_committed

        async def slowly() -> Any:
            self.seeking.set()
            found = await seek()
            await asyncio.sleep(SLOW_S)
            return found

        thread.seek_to_committed = slowly

    async def stop(self) -> None:
        self.stopping.set()
        if self.running:
            await self.running


def uncommitted(broker: Connection, group: str) -> int:
    asker = Asker(broker.client({"group.id": group, "enable.auto.commit": False, "log_level": 0}))
    try:
        places = [TopicPartition(TOPIC, p) for p in asker.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions]
        ends = [asker.get_watermark_offsets(place, timeout=10)[1] for place in places]
        return sum(end - max(0, at.offset) for end, at in zip(ends, asker.committed(places, timeout=10), strict=True))
    finally:
        asker.close()


PLACE = TP(TOPIC, 0)


class FetchingThread:
    """In the place of the thread that fetches: where it was sent to, and what it finds once it is let go on."""

    def __init__(self, committed: int | None = 5) -> None:
        self.committed = committed
        self.sent_to: list[int] = []
        self.held = asyncio.Event()
        self.asked = 0

    def assignment(self) -> set[TP]:
        return {PLACE}

    def highwater(self, _: TP) -> int:
        return 99

    async def go_back(self, offsets: Mapping[TP, int]) -> None:
        self.sent_to.append(offsets[PLACE])

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        self.asked += 1
        await self.held.wait()
        return {PLACE: self.committed}

    async def to_first(self, places: Sequence[TP]) -> Mapping[TP, int]:
        self.sent_to.append(3)
        return dict.fromkeys(places, 3)

    async def commit(self, _: Mapping[TP, int]) -> bool:
        await self.held.wait()
        return True


def consumer_of(fetches: Sequence[Sequence[int]] = (), committed: int | None = 5) -> tuple[Any, FetchingThread]:
    """A consumer whose fetches bring these offsets, before its first move."""
    left = [list(offsets) for offsets in fetches]

    async def fetched(_: float) -> Any:
        absent = dict.fromkeys(
            ("timestamp", "timestamp_type", "headers", "key", "value", "checksum", "serialized_key_size")
        )
        records = [
            SimpleNamespace(topic=TOPIC, partition=0, offset=offset, serialized_value_size=0, **absent)
            for offset in left.pop(0)
        ]
        return {PLACE: records}, {PLACE}

    async def moved(*_: Any) -> None:
        """Nothing else is done at a move."""

    app = faust.App("moves", broker="kafka://127.0.0.1:1", web_enabled=False)
    use_transport(app)
    consumer: Any = app.transport.create_consumer(
        callback=moved, on_partitions_revoked=moved, on_partitions_assigned=moved
    )
    consumer._thread.thread_loop.close()
    thread = consumer._thread = FetchingThread(committed)
    consumer._wait_next_records = fetched
    return consumer, thread


async def delivered(consumer: Any) -> list[int]:
    return [message.offset async for _, message in consumer.getmany(1.0)]


async def look_up(consumer: Any) -> None:
    """As recovery does, in a task that does not fetch."""
    await asyncio.create_task(consumer.perform_seek())
    consumer.resume_flow()


def test_what_comes_too_soon_is_read_again_from_where_it_was_to_go_on_and_a_gap_that_stays_is_passed():
    async def scene() -> tuple[list[list[int]], list[int]]:
        consumer, thread = consumer_of([[4, 5], [5, 6], [9, 10], [7, 8, 9], [12], [12, 14]])
        thread.held.set()
        before = await delivered(consumer)  # nobody has said where the partition begins
        await look_up(consumer)
        return [before, *[await delivered(consumer) for _ in range(5)]], thread.sent_to

    came, sent_to = asyncio.run(scene())
    assert came == [[], [5, 6], [], [7, 8, 9], [], [12, 14]]
    assert sent_to == [7, 10]


def test_a_partition_without_a_commit_begins_at_its_first_record_and_not_at_what_was_fetched_before():
    async def scene() -> tuple[list[list[int]], list[int]]:
        consumer, thread = consumer_of([[3, 4], [5, 6], [3, 4, 5, 6]], committed=None)
        thread.held.set()
        before = await delivered(consumer)
        await look_up(consumer)
        return [before, *[await delivered(consumer) for _ in range(2)]], thread.sent_to

    assert asyncio.run(scene()) == ([[], [], [3, 4, 5, 6]], [3, 3])


@pytest.mark.parametrize("then", ["revoked", "revoked and assigned"])
def test_a_look_up_that_a_move_overtakes_begins_nothing(then: str):
    async def scene() -> list[int]:
        consumer, thread = consumer_of([[5, 6]])
        seek = asyncio.create_task(consumer.perform_seek())
        await asyncio.sleep(0)
        await consumer.on_partitions_revoked({PLACE})
        if "assigned" in then:
            await consumer.on_partitions_assigned({PLACE})
        thread.held.set()
        with pytest.raises(RebalanceAgain):
            await seek
        assert thread.asked == 1
        consumer.resume_flow()
        return await delivered(consumer)

    assert asyncio.run(scene()) == []


def test_amid_a_move_nothing_is_looked_up_and_no_record_flows():
    async def scene() -> None:
        consumer, thread = consumer_of()
        await consumer.on_partitions_revoked(set())  # a member that holds nothing
        assert not consumer.flow_active
        with pytest.raises(RebalanceAgain):
            await consumer.perform_seek()
        consumer.resume_flow()
        assert (consumer.flow_active, thread.asked) == (False, 0)
        await consumer.on_partitions_assigned({PLACE})
        consumer.resume_flow()
        assert consumer.flow_active

    asyncio.run(scene())


def test_a_look_up_that_takes_too_long_is_asked_for_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("streams.kafka.moves.LOOK_UP_S", 0.05)

    async def scene() -> None:
        consumer, thread = consumer_of()
        consumer.stop_flow()
        with pytest.raises(RebalanceAgain):
            await consumer.perform_seek()
        assert consumer.app.tables.recovery.signal_recovery_start.is_set()
        thread.held.set()
        await look_up(consumer)

    asyncio.run(scene())


def test_what_was_committed_before_a_move_is_not_kept_after_it():
    async def scene() -> list[int | None]:
        consumer, thread = consumer_of()
        thread.held.set()
        await look_up(consumer)
        assert consumer._committed_offset[PLACE] == 5
        kept = []
        for moves in (False, True):
            thread.held.clear()
            offsets = {PLACE: 9}
            commit = asyncio.create_task(consumer._commit_offsets(offsets))
            await asyncio.sleep(0)
            if moves:
                await consumer.on_partitions_revoked({PLACE})
            thread.held.set()
            assert await commit
            kept.append(consumer._committed_offset[PLACE])
        return kept

    assert asyncio.run(scene()) == [9, None]


@on_each_broker
def test_nothing_is_passed_over_when_partitions_move_again_while_a_member_goes_to_its_offsets(
    broker: Connection, topics: Topics
):
    sent, carried = set[bytes](), set[bytes]()
    group = "moving-again"

    async def feed(stopping: asyncio.Event) -> None:
        for number in count():
            if stopping.is_set():
                return
            some = [f"{number}-{n}".encode() for n in range(8)]
            for one in some:
                await asyncio.to_thread(topics.send, TOPIC, one, key=one)
            sent.update(some)
            await asyncio.sleep(0.02)

    async def scene() -> None:
        fed = asyncio.Event()
        members = [Member(broker, group, carried).start()]
        feeding = asyncio.create_task(feed(fed))
        try:
            await asyncio.wait_for(members[0].ready.wait(), 90)
            members[0].slow_down()
            members.append(Member(broker, group, carried).start())
            await asyncio.wait_for(members[0].seeking.wait(), 90)
            members.append(Member(broker, group, carried).start())  # its coming moves what the first goes back to
            await asyncio.wait_for(members[2].ready.wait(), 90)
            await asyncio.sleep(2 * SLOW_S)
            await members[2].stop()  # and once more, when all is calm: what is not carried would be committed now
            await asyncio.sleep(2 * SLOW_S)
            fed.set()
            await feeding
            for _ in range(600):
                if not await asyncio.to_thread(uncommitted, broker, group):
                    break
                await asyncio.sleep(0.1)
        finally:
            fed.set()
            await asyncio.gather(*(member.stop() for member in members))

    asyncio.run(scene())

    assert len(sent) > 200
    assert sorted(sent - carried) == []
    assert uncommitted(broker, group) == 0
