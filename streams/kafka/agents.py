"""The Faust app: topics in, batches to a carrier each, acknowledgements out. The agents only carry.

What Faust 0.15.3 does, and what is chosen because of it:

- One agent a topic at concurrency 1, batches taken from its queue (`streams.kafka.taking`) and explicit acks: Faust's
  `take` acknowledges on exceptions too, and with more concurrency offsets are committed past events in flight. A few
  batches are under way at a time, so that one decodes while another is scored; they are acknowledged strictly in the
  order in which they were taken.
- An agent that raises is restarted, and its next acks commit past the batch it lost. So a fault that the
  carrier cannot carry past stops the process instead; its batch comes again from the last commit.
- `stream_wait_empty=False`: a rebalance must not wait for a batch that waits for a part. What was fetched
  before a rebalance is fetched again after it, so events of an older generation are dropped unacknowledged.
- The poll interval is unbounded, because a waiting worker does not poll; heartbeats come from the
  consumer's own thread, and a worker that is killed or frozen is out after the session timeout.
- The stream buffer is larger than a second of work: when it is full Faust sleeps for a second. It is bounded in bytes
  too (`streams.kafka.buffer`), and what is taken goes on its way in parts of bounded bytes.
- `processing_guarantee` stays at-least-once: features and ClickHouse are no part of a Kafka transaction, and
  every sink is idempotent by event id.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import faust
from aiokafka.errors import (  # type: ignore[import-untyped]
    GroupAuthorizationFailedError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from contracts.errors import BadInputError, CheckFailedError, DependencyError
from contracts.topics import Topic
from streams.collector import calm_collector
from streams.edge import RawEvent
from streams.kafka.buffer import BUFFER_BYTES, bound_bytes, parts
from streams.kafka.connection import Connection
from streams.kafka.reaching import reach
from streams.kafka.taking import AsBytes, take
from streams.kafka.transport import credentials, use_transport

log = logging.getLogger(__name__)

Carry = Callable[[Sequence[RawEvent], Callable[[], bool]], Awaitable[bool]]
UNBOUNDED_S = 1e9
REFUSALS = (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
)
WATCH_EVERY_S = 0.25
DRAIN_S = 10.0
STOP_S = 15.0


def use_fast_loop() -> None:
    """Let every event loop be uvloop's where that is installed."""
    with suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """How a group's member consumes: sizes in events, but for `buffer_bytes`; times in seconds."""

    broker: Connection
    group: str
    take_max: int = 256
    take_within_s: float = 0.05
    in_flight: int = 3
    poll_records: int = 512
    buffer: int = 8_192
    buffer_bytes: int = BUFFER_BYTES
    commit_every_s: float = 0.5
    session_timeout_s: float = 6.0


class Agents:
    """The app and what its agents share: whether it is closing, and what a carrier could not carry past."""

    def __init__(self, config: AgentConfig, carriers: Mapping[Topic, Carry]) -> None:
        self.broker = config.broker
        self.session_timeout_s = config.session_timeout_s
        self.app = app = make_app(config)
        self.lanes = {topic.name: Lane(self, carry, config.in_flight) for topic, carry in carriers.items()}
        self.closing = False
        self.failure: Exception | None = None
        self.assigned = asyncio.Event()
        for topic in carriers:
            self._add_agent(topic.name, config)

        @app.on_partitions_assigned.connect
        async def on_assigned(*_: Any, **__: Any) -> None:
            self.assigned.set()

    def _add_agent(self, name: str, config: AgentConfig) -> None:
        lane = self.lanes[name]

        @self.app.agent(self.app.topic(name, schema=AsBytes()), name=f"agent-of-{name}", concurrency=1)
        async def agent(stream: Any) -> None:
            async for events in take(stream, config.take_max, within_s=config.take_within_s):
                for part in parts(events, config.buffer_bytes // (config.in_flight + 1)):
                    await lane.begin(part)

    @property
    def generation(self) -> int:
        """The group's generation: it grows when partitions move."""
        return int(self.app.consumer_generation_id)

    def over(self, generation: int) -> bool:
        """Whether there is no use in going on with batches of a generation."""
        return self.failure is not None or self.generation != generation

    def confirmed(self) -> bool:
        """Whether the group takes us for a member of this generation, as far as it said so within a session's time.

        A process that stood still for longer does not know that its partitions have moved before it is told: until
        then this is False.
        """
        generation, asked_s = self.app.consumer.confirmed
        return bool(generation == self.generation and time.monotonic() - asked_s < self.session_timeout_s)

    async def finish_batches(self, *, within_s: float) -> None:
        """Take no more batches, and give those under way some time to be acknowledged."""
        self.closing = True
        try:
            async with asyncio.timeout(within_s):
                await asyncio.gather(*(lane.last_done() for lane in self.lanes.values()))
        except TimeoutError:
            log.warning("batches under way did not finish within %.1f s, they will come again", within_s)

    async def join_error(self) -> Exception | None:
        """Let the consumer join its group again after an error; one that trying again does not mend is a failure."""
        error, ended = await self.app.consumer.join_error()
        if isinstance(error, REFUSALS):
            words = " ".join((error.description or str(error)).split())
            self.failure = BadInputError(f"group {self.app.conf.id!r} cannot be joined: {words}")
        elif error is not None and ended:
            self.failure = DependencyError(f"group {self.app.conf.id!r} cannot be joined: {error}")
        return error

    def offsets(self) -> tuple[dict[int, int], dict[int, int]]:
        """Committed offset and lag, in events, by partition held; of all topics together where there are several."""
        consumer = self.app.consumer
        committed: dict[int, int] = {}
        lag: dict[int, int] = {}
        for tp in consumer.assignment():
            done = consumer._committed_offset[tp] or 0
            committed[tp.partition] = committed.get(tp.partition, 0) + done
            lag[tp.partition] = lag.get(tp.partition, 0) + max(0, (consumer.highwater(tp) or done) - done)
        return committed, lag


class Lane:
    """One topic's batches under way: several at a time, acknowledged in the order in which they were taken."""

    def __init__(self, agents: Agents, carry: Carry, in_flight: int) -> None:
        self._agents = agents
        self._carry = carry
        self._slots = asyncio.Semaphore(in_flight)
        self._last: tuple[int, asyncio.Task[bool]] | None = None

    async def begin(self, events: Sequence[Any]) -> None:
        """Send a batch on its way as soon as fewer than `in_flight` are under way."""
        generation = self._agents.generation
        current = [event for event in events if event.message.generation_id == generation]
        if not current:
            return
        await self._slots.acquire()
        if self._agents.closing or self._agents.over(generation):
            self._slots.release()
            return
        before = self._last[1] if self._last and self._last[0] == generation else None
        self._last = generation, asyncio.create_task(self._go(current, generation, before))

    async def _go(self, events: Sequence[Any], generation: int, before: asyncio.Task[bool] | None) -> bool:
        """Carry a batch, then acknowledge it if every batch of its generation before it was acknowledged."""
        agents = self._agents
        try:
            done = await self._carry([event.message for event in events], lambda: not agents.over(generation))
            done = (before is None or await before) and done
        except Exception as error:  # noqa: BLE001 - kept for the runner, which ends the process
            agents.failure = agents.failure or error
            done = False
        finally:
            self._slots.release()
        if not done or agents.failure or agents.generation != generation:
            return False
        for event in events:
            event.ack()
        return True

    async def last_done(self) -> None:
        """Return when the batch begun last is done with, which waits for those before it."""
        if self._last is not None:
            await self._last[1]


async def consume(
    agents: Agents,
    stopping: asyncio.Event,
    *,
    ready: Callable[[], None],
    watch: Callable[[Mapping[int, int], Mapping[int, int]], None] = lambda *_: None,
) -> None:
    """Run the agents until `stopping` is set; `watch` sees `Agents.offsets` a few times a second.

    `ready` is called once, when the group has given out partitions. Raises what a carrier could not carry past,
    `DependencyError` when the broker cannot be consumed from, `CheckFailedError` when Faust stops by itself.
    """
    try:
        started = await _start(agents, stopping)
        reported = False
        while started and not stopping.is_set() and not agents.failure and not agents.app.should_stop:
            if not reported and agents.assigned.is_set():
                reported = True
                calm_collector()
                ready()
            watch(*agents.offsets())
            await _look_at_group(agents)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), WATCH_EVERY_S)
        await agents.finish_batches(within_s=DRAIN_S)
    finally:
        async with asyncio.timeout(STOP_S):
            await agents.app.stop()
    if agents.failure:
        raise agents.failure
    if not stopping.is_set():
        raise CheckFailedError(f"the consumer stopped by itself: {agents.app.crash_reason!r}")


async def _start(agents: Agents, stopping: asyncio.Event) -> bool:
    """Start the app, which takes until the group is joined; False when that ends before, by a signal or for good."""
    starting = asyncio.create_task(agents.app.start())
    while not starting.done():
        await asyncio.wait({starting}, timeout=WATCH_EVERY_S)
        await _look_at_group(agents)
        if stopping.is_set() or agents.failure:
            starting.cancel()
            await asyncio.wait({starting}, timeout=STOP_S)
            return False
    try:
        starting.result()
    except KafkaError as error:
        await asyncio.to_thread(reach, agents.broker)  # which says it better where we are refused
        raise DependencyError(f"broker cannot be consumed from: {error}") from error
    return True


async def _look_at_group(agents: Agents) -> None:
    if (refused := await agents.join_error()) is not None:
        log.warning("joining the group again after: %s", refused)


def make_app(config: AgentConfig) -> faust.App:
    """Build the app; nothing is started and no connection is made."""
    app = faust.App(
        config.group,
        broker=[f"kafka://{server}" for server in config.broker.servers.split(",")],
        broker_credentials=credentials(config.broker),
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
    bound_bytes(app, config.buffer_bytes)
    return app
