"""A Faust stream in, batches of its events out, unacknowledged: bytes as they came, what its queue holds taken at once.

`Stream.noack_take` hands events over one by one, each in a turn of the event loop of its own. A worker that is busy
scoring turns its loop seldom: then few events make a batch, the batches cost more each, and the worker is busier
still. Measured flat out on two shared cores: 70 events a batch of at most 256. Here a batch costs a few turns.

Faust looks up a codec for key and value of each event; for those that are left as bytes, there is nothing to look up.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import faust

LOOK_EVERY_S = 0.005


async def take(stream: Any, most: int, *, within_s: float) -> AsyncIterator[Sequence[Any]]:
    """Yield up to `most` events in order: as soon as there are so many, or those there are `within_s` after the first.

    As Faust does, each event is tracked until it is acknowledged; those of a time when partitions moved are dropped.
    """
    app = stream.app
    while not stream.should_stop:
        try:
            events = await _together(stream.channel.queue, most, within_s)
        except StopAsyncIteration:  # what Faust throws into the queue of a stream that it stops
            return
        if not app.flow_control.is_active():
            continue
        current = [event for event in events if event.message.generation_id == app.consumer_generation_id]
        for event in current:
            event.message.tracked = True
            app.consumer.track_message(event.message)
        if current:
            yield current


async def _together(queue: Any, most: int, within_s: float) -> list[Any]:
    events = [await queue.get()]
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while len(events) + queue.qsize() < most and loop.time() < until:  # noqa: ASYNC110 - it tells of one event only
        await asyncio.sleep(LOOK_EVERY_S)
    while len(events) < most and not queue.empty():
        events.append(queue.get_nowait())
    return events


class AsBytes(faust.Schema):
    """Keys and values as they came; the same as the codec `raw` gives."""

    def compile(self, app: Any, **_: Any) -> Any:
        event = app.conf.Event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return event(app, message.key, message.value, message.headers, message)

        return decode
