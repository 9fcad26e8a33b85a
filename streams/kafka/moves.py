"""Faust's consumer while partitions move: where each begins is looked up once they have come to rest, and not before.

Partitions may move again while Faust 0.15.3 still goes to where the group has committed those of the move before. It
then lets records flow amid the second move, and empties its queues of them when that is over: they are never
delivered, and the next move commits past them. A member that holds nothing lets records flow at any time. What it was
told of commits of before a move it keeps after it, and a look-up that takes too long ends its recovery for good.

Here records flow between moves alone, a look-up that a move overtakes is begun anew, as is one that takes too long,
and what is delivered is every record of a partition in its turn (`streams.kafka.sequence`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from aiokafka.errors import IllegalStateError  # type: ignore[import-untyped]
from aiokafka.structs import TopicPartition  # type: ignore[import-untyped]
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.kafka.sequence import RecordSequence, Turn

log = logging.getLogger(__name__)

LOOK_UP_S = 30.0
"""How long a look-up may take: Faust gives one up after 90 s, and with it all to come."""


class SeekingThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches, which can be sent to any offset."""

    async def to_first(self, places: Iterable[TP]) -> Mapping[TP, int]:
        """Go to the first record of partitions that have no commit; returns their offsets."""
        found: Mapping[TP, int] = await self.call_thread(self._to_first, [TopicPartition(*place) for place in places])
        return found

    async def _to_first(self, places: list[Any]) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        first = await consumer.beginning_offsets(places)
        for place, offset in first.items():
            consumer.seek(place, offset)
        return {TP(*place): offset for place, offset in first.items()}

    async def go_back(self, offsets: Mapping[TP, int]) -> None:
        """Read on from these offsets, of partitions that are still ours."""
        await self.call_thread(self._go_back, offsets)

    async def _go_back(self, offsets: Mapping[TP, int]) -> None:
        for place, offset in offsets.items():
            try:
                self._ensure_consumer().seek(TopicPartition(*place), offset)
            except IllegalStateError:  # it has just been given to another
                log.info("partition %d of %s is not ours any more", place.partition, place.topic)


class MovingConsumer(driver.Consumer):
    """Delivers each record of a partition in its turn, however often partitions move."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._sequence = RecordSequence[TP]()
        self._begins: dict[TP, int] = {}
        self._moves = 0
        self._moving = False
        self._fetching: asyncio.Task[Any] | None = None

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._moves += 1
        self._moving = True
        self._begins = {}
        self._sequence.ends(revoked)
        self.stop_flow()  # Faust does not where it holds none
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._moves += 1
        self._moving = False
        await super().on_partitions_assigned(assigned, generation_id)

    def resume_flow(self) -> None:
        if not self._moving:
            super().resume_flow()
            self._sequence.begins(self._begins)  # not before: Faust has emptied its queues this moment

    async def perform_seek(self) -> None:
        """Go to where the group has committed, or else to the first record.

        Raises `RebalanceAgain`, on which recovery waits for its next signal, where that is not where to begin any more.
        """
        if asyncio.current_task() is self._fetching:
            return  # who fetches and finds that records must not flow would look up, too: recovery does
        if self._moving:
            raise RebalanceAgain("partitions move")
        moves = self._moves
        try:
            async with asyncio.timeout(LOOK_UP_S):
                committed = {TP(*place): offset for place, offset in (await self.seek_to_committed()).items()}
                new = [place for place, offset in committed.items() if offset is None]
                first = await self._thread.to_first(new) if new else {}
        except Exception as error:
            if self._moves != moves:
                raise RebalanceAgain("partitions moved") from error
            if not isinstance(error, TimeoutError):
                raise
            log.warning("where to begin was not to be had within %g s, asking again", LOOK_UP_S)
            if not self.flow_active:
                self.app.tables.recovery.signal_recovery_start.set()
            raise RebalanceAgain("the broker is away") from error
        if self._moves != moves:
            raise RebalanceAgain("partitions moved")
        self._begins = {**{place: offset for place, offset in committed.items() if offset is not None}, **first}
        self._read_offset.update(self._begins)
        self._committed_offset.update({place: offset or None for place, offset in committed.items()})

    async def _commit(self, offsets: dict[TP, int]) -> bool:
        """Commit; where partitions moved meanwhile `offsets` is emptied, from which Faust takes what is committed."""
        moves = self._moves
        done = bool(await super()._commit(offsets))
        if self._moves != moves:
            offsets.clear()
        return done

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's signature
        self._fetching = asyncio.current_task()
        begun = set[TP]()
        early: dict[TP, int] = {}
        async for place, message in super().getmany(timeout):
            if place in early:
                continue
            turn = self._sequence.turn(place, message.offset, follows=place in begun)
            if turn is Turn.NEXT:
                begun.add(place)
                yield place, message
            elif turn is Turn.EARLY and (offset := self._sequence.go_back(place)) is not None:
                log.info("%s/%d: %d came before %d, reading on from there", *place, message.offset, offset)
                early[place] = offset
        if early:
            await self._thread.go_back(early)
            self._read_offset.update(early)
