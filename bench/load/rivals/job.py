"""A batch of uploads in, all that becomes of it kept: the worker's job by the worker's own functions, uncarried.

Contract and clock, media, preprocessing, Triton, judging, features with their guard, then verdicts and dead letters.
Who calls it decides what a batch is and when it is acknowledged. It has no metrics and no traces, as a program
written for the one purpose would have none. Faust is imported with the assembly, and does nothing here.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, Self

from confluent_kafka import Message

from contracts.errors import DependencyError
from contracts.topics import VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from streams.collector import calm_collector
from streams.edge import RawEvent
from streams.kafka.connection import Connection
from streams.kafka.delivery import OutgoingRecord
from streams.kafka.records import of_letters
from streams.moderation import Accepted, Moderated, Policy, check, groups, moderate
from streams.settings import StreamSettings
from streams.worker.assemble import assemble, make_scorer
from streams.worker.carry import MEDIA_AT_ONCE
from streams.worker.run import Assembly
from streams.worker.turns import Turns, waves

log = logging.getLogger(__name__)

TAKE = 256
"""Events in a batch at most, and for how long it may fill: as the worker's own options are by default."""
WITHIN_S = 0.05
IN_FLIGHT = 3
COMMIT_EVERY_S = 0.5
FETCHING = {"fetch.min.bytes": 64 << 10, "fetch.wait.max.ms": 40, "session.timeout.ms": 6_000, "log_level": 3}
"""A consumer's settings, the same as the worker's."""


class Record(NamedTuple):
    """A Kafka message as the edge sees it."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None

    @classmethod
    def of(cls, message: Message) -> Self:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        return cls(topic, partition, offset, message.timestamp()[1] / 1000.0, message.key(), message.value())


class Job:
    """Keeps what batches become; what an outside part refuses is tried again without bound."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._turns = Turns()
        self._following: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Wait for the first policy and follow the pointer from then on."""
        await self._assembly.follower.first_policy()
        await self._until_done(self._assembly.reach_broker)
        await self._assembly.parts.decoder.decode([], self._policy.release.inputs)
        self._following = asyncio.create_task(self._assembly.follower.follow())
        calm_collector()

    async def keep(self, batch: Sequence[RawEvent]) -> None:
        """Return when features, verdicts and dead letters of a batch are kept."""
        checked = check(batch, datetime.now(UTC))
        letters = partial(self._deliver, Moderated([], checked.dead))
        ways = [asyncio.create_task(self._until_done(letters))] if checked.dead else []
        for wave in waves(checked.accepted, self._turns.busy):
            ways += [self._turns.begin(group, self._take, ours=lambda: True) for group in groups(wave, MEDIA_AT_ONCE)]
        await asyncio.gather(*ways)

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
        await self._assembly.close()

    @property
    def _policy(self) -> Policy:
        policy = self._assembly.follower.policy
        assert policy is not None
        return policy

    async def _take(self, group: Sequence[Accepted]) -> None:
        await self._until_done(partial(self._judge, group))

    async def _judge(self, group: Sequence[Accepted]) -> None:
        parts = self._assembly.parts
        await self._deliver(await moderate(group, parts, self._policy, now=lambda: datetime.now(UTC)))

    async def _deliver(self, moderated: Moderated) -> None:
        if moderated.verdicts:
            await self._assembly.outlets.features.write(moderated.verdicts)
        to_json, topic = Verdict.__pydantic_serializer__.to_json, VIDEOS_VERDICTS.name
        verdicts = [OutgoingRecord(topic, v.video_id.encode(), to_json(v)) for v in moderated.verdicts]
        await self._assembly.outlets.producer.send(verdicts + of_letters(moderated.dead))

    async def _until_done(self, attempt: Callable[[], Awaitable[None]]) -> None:
        pause_s = 0.1
        while True:
            try:
                return await attempt()
            except DependencyError as error:
                log.error("waiting: %s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(2.0 * pause_s, 5.0)


def job_from_environment(broker: Connection, *, in_process: bool = False) -> tuple[Job, str]:
    """The job by the addresses in the environment, and the group that does it; `in_process` scores without Triton."""
    settings = StreamSettings.from_environment()
    assembly = assemble(
        make_scorer(settings.releases, None if in_process else settings.triton),
        FeaturesConfig.from_environment(os.environ),
        broker=broker,
        releases=settings.releases,
        media_roots=settings.media_folders,
        decoders=1,
    )
    return Job(assembly), settings.group
