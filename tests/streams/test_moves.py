"""Partitions that move again before the move before is over: every event is carried, and committed up to the end."""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

from confluent_kafka import Consumer as Asker
from confluent_kafka import TopicPartition

from contracts.topics import USERS_REPORTS
from streams.kafka.agents import AgentConfig, Agents, consume
from streams.kafka.connection import Connection
from tests.streams.conftest import Topics, on_each_broker

pytestmark = on_each_broker
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
            await asyncio.wait_for(members[0].ready.wait(), 30)
            members[0].slow_down()
            members.append(Member(broker, group, carried).start())
            await asyncio.wait_for(members[0].seeking.wait(), 30)
            members.append(Member(broker, group, carried).start())  # its coming moves what the first goes back to
            await asyncio.wait_for(members[2].ready.wait(), 30)
            await asyncio.sleep(2 * SLOW_S)
            await members[2].stop()  # and once more, when all is calm: what is not carried would be committed now
            await asyncio.sleep(2 * SLOW_S)
            fed.set()
            await feeding
            for _ in range(200):
                if not await asyncio.to_thread(uncommitted, broker, group):
                    break
                await asyncio.sleep(0.1)
        finally:
            fed.set()
            await asyncio.gather(*(member.stop() for member in members))

    asyncio.run(scene())

    assert len(sent) > 500
    assert sorted(sent - carried) == []
    assert uncommitted(broker, group) == 0
