"""Batches from a stream's queue: full ones at once, the rest after their time, none of an older generation."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

from mode.utils.queues import FlowControlEvent, ThrowableQueue

from streams.kafka.taking import take


class Stream:
    """A stream as `take` sees it: Faust's queue of events, the app's generation, and who is told what is tracked."""

    def __init__(self, *, generation: int = 1) -> None:
        self.should_stop = False
        self.flow = FlowControlEvent()
        self.flow.resume()
        self.queue: Any = ThrowableQueue(flow_control=self.flow)
        self.channel = SimpleNamespace(queue=self.queue)
        self.tracked: Counter[int] = Counter()
        self.app = SimpleNamespace(
            flow_control=self.flow,
            consumer_generation_id=generation,
            consumer=SimpleNamespace(track_message=lambda message: self.tracked.update([message.offset])),
        )

    def put(self, *offsets: int, generation: int = 1) -> None:
        for offset in offsets:
            message = SimpleNamespace(offset=offset, generation_id=generation, tracked=False)
            self.queue.put_nowait(SimpleNamespace(message=message))


async def first(stream: Stream, count: int, within_s: float = 0.02) -> list[list[int]]:
    """The offsets of the first batches of at most four, or of all until the stream ends."""
    found: list[list[int]] = []
    async with asyncio.timeout(20):
        async for events in take(stream, 4, within_s=within_s):
            found.append([event.message.offset for event in events])
            if len(found) == count:
                break
    return found


def test_what_is_there_makes_full_batches_in_order_and_the_rest_is_the_last():
    async def batches() -> list[list[int]]:
        stream = Stream()
        stream.put(*range(10))
        return await first(stream, 3)

    assert asyncio.run(batches()) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_full_batch_waits_for_no_time_and_may_fill_while_it_is_waited_for():
    async def batches() -> list[list[int]]:
        stream = Stream()
        stream.put(0, 1, 2, 3)
        taking = asyncio.create_task(first(stream, 2, within_s=3_600))
        for offset in range(4, 8):
            await asyncio.sleep(0)
            stream.put(offset)
        return await taking

    assert asyncio.run(batches()) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_each_event_is_tracked_once_and_those_of_an_older_generation_are_dropped_untracked():
    async def batches() -> tuple[list[list[int]], Counter[int]]:
        stream = Stream(generation=2)
        stream.put(0, 1, generation=1)
        stream.put(2, 3, generation=2)
        return await first(stream, 1), stream.tracked

    assert asyncio.run(batches()) == ([[2, 3]], {2: 1, 3: 1})


def test_what_was_fetched_before_partitions_moved_is_not_taken_while_they_move():
    async def batches() -> tuple[list[list[int]], Counter[int]]:
        stream = Stream()
        stream.put(*range(4))
        stream.flow.suspend()
        taking = asyncio.create_task(first(stream, 1))
        while stream.queue.qsize():  # noqa: ASYNC110 - the queue has no event for being empty
            await asyncio.sleep(0)
        stream.flow.resume()
        stream.put(*range(4, 8))
        return await taking, stream.tracked

    assert asyncio.run(batches()) == ([[4, 5, 6, 7]], {4: 1, 5: 1, 6: 1, 7: 1})


def test_a_stream_that_faust_stops_ends_the_taking():
    async def batches() -> list[list[int]]:
        stream = Stream()
        taking = asyncio.create_task(first(stream, 1))
        await asyncio.sleep(0)
        await stream.queue.throw(StopAsyncIteration())
        return await taking

    assert asyncio.run(batches()) == []
