"""The Faust app: `videos.uploaded` in, batches to the carrier, acknowledgements out. The agent only carries.

What Faust 0.15.3 does, and what is chosen because of it:

- One agent at concurrency 1, `noack_take` and explicit acks: `take` acknowledges on exceptions too, and with
  more concurrency offsets are committed past events in flight. A few batches are under way at a time, so that
  one decodes while another is scored; they are acknowledged strictly in the order in which they were taken.
- An agent that raises is restarted, and its next acks commit past the batch it lost. So a fault that the
  carrier cannot carry past stops the process instead; its batch comes again from the last commit.
- `stream_wait_empty=False`: a rebalance must not wait for a batch that waits for a part. What was fetched
  before a rebalance is fetched again after it, so events of an older generation are dropped unacknowledged.
- The poll interval is unbounded, because a waiting worker does not poll; heartbeats come from the
  consumer's own thread, and a worker that is killed or frozen is out after the session timeout.
- The stream buffer is larger than a second of work: when it is full Faust sleeps for a second.
- `processing_guarantee` stays at-least-once: features and ClickHouse are no part of a Kafka transaction, and
  every sink is idempotent by event id.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import faust

from contracts.topics import VIDEOS_UPLOADED
from streams.edge import RawEvent
from streams.kafka.transport import use_transport

log = logging.getLogger(__name__)

Carry = Callable[[Sequence[RawEvent], Callable[[], bool]], Awaitable[bool]]
UNBOUNDED_S = 1e9


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker consumes: sizes in events, times in seconds."""

    broker: str
    group: str
    take_max: int = 256
    take_within_s: float = 0.05
    in_flight: int = 3
    poll_records: int = 512
    buffer: int = 8_192
    commit_every_s: float = 0.5
    session_timeout_s: float = 6.0


class Moderator:
    """The app and its agent's state: batches under way, whether it is closing, and what it could not carry past."""

    def __init__(self, config: WorkerConfig, carry: Carry) -> None:
        self._carry = carry
        self._slots = asyncio.Semaphore(config.in_flight)
        self._closing = False
        self._last: tuple[int, asyncio.Task[bool]] | None = None
        self.failure: Exception | None = None
        self.assigned = asyncio.Event()
        self.app = app = make_app(config)
        topic = app.topic(
            VIDEOS_UPLOADED.name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

        @app.agent(topic, name="moderation", concurrency=1)
        async def moderation(stream: Any) -> None:
            async for events in stream.noack_take(config.take_max, within=config.take_within_s):
                await self._begin(events)

        @app.on_partitions_assigned.connect
        async def on_assigned(*_: Any, **__: Any) -> None:
            self.assigned.set()

    async def _begin(self, events: Sequence[Any]) -> None:
        """Send a batch on its way as soon as fewer than `in_flight` are under way."""
        generation = self.app.consumer_generation_id
        current = [event for event in events if event.message.generation_id == generation]
        if not current:
            return
        await self._slots.acquire()
        if self._over(generation):
            self._slots.release()
            return
        before = self._last[1] if self._last and self._last[0] == generation else None
        self._last = generation, asyncio.create_task(self._go(current, generation, before))

    async def _go(self, events: Sequence[Any], generation: int, before: asyncio.Task[bool] | None) -> bool:
        """Carry a batch, then acknowledge it if every batch of its generation before it was acknowledged."""
        try:
            done = await self._carry([event.message for event in events], lambda: not self._over(generation))
            done = (before is None or await before) and done
        except Exception as error:  # noqa: BLE001 - kept for the runner, which ends the process
            self.failure = self.failure or error
            done = False
        finally:
            self._slots.release()
        if not done or self.failure or self.app.consumer_generation_id != generation:
            return False
        for event in events:
            event.ack()
        return True

    def _over(self, generation: int) -> bool:
        """Whether there is no use in going on with batches of a generation."""
        return self._closing or self.failure is not None or self.app.consumer_generation_id != generation

    async def finish_batches(self, *, within_s: float) -> None:
        """Take no more batches, and give those under way some time to be acknowledged."""
        self._closing = True
        try:
            async with asyncio.timeout(within_s):
                if self._last is not None:
                    await self._last[1]  # which waits for those before it
        except TimeoutError:
            log.warning("batches under way did not finish within %.1f s, they will come again", within_s)

    async def join_error(self) -> Exception | None:
        """Let the consumer join its group again after an error; an error that ended it is a failure."""
        error, ended = await self.app.consumer.join_error()
        if error is not None and ended:
            self.failure = error
        return error

    def offsets(self) -> tuple[dict[int, int], dict[int, int]]:
        """Committed offset and lag, in events, by partition held."""
        consumer = self.app.consumer
        committed: dict[int, int] = {}
        lag: dict[int, int] = {}
        for tp in consumer.assignment():
            done = consumer._committed_offset[tp] or 0
            committed[tp.partition] = done
            lag[tp.partition] = max(0, (consumer.highwater(tp) or done) - done)
        return committed, lag


def make_app(config: WorkerConfig) -> faust.App:
    """Build the app; nothing is started and no connection is made."""
    app = faust.App(
        config.group,
        broker=[f"kafka://{server}" for server in config.broker.split(",")],
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_buffer_maxsize=config.buffer,
        broker_max_poll_records=config.poll_records,
        broker_max_poll_interval=UNBOUNDED_S,
        broker_session_timeout=config.session_timeout_s,
        broker_heartbeat_interval=config.session_timeout_s / 4,
        broker_commit_interval=config.commit_every_s,
        broker_commit_livelock_soft_timeout=UNBOUNDED_S,
        stream_processing_timeout=UNBOUNDED_S,
    )
    use_transport(app)
    return app
