"""Faust's Kafka transport, with what 0.15.3 lacks: cheap deliveries, short fetches, a group that recovers.

*Tasks.* For every event Faust races its delivery to the agent's queue against a rebalance, which makes four
asyncio tasks an event (two thirds of its cost). When the queue has room the delivery finishes without ever
suspending, and a race that is already won needs no tasks: `run_at_once` takes the first step of the
coroutine in place, as `asyncio.eager_task_factory` does from Python 3.12 on. What does suspend is raced as
before.

*Fetches.* Faust fixes the maximum wait of a fetch at 1.5 s and asks for one byte at least. Kafka then answers
as soon as a record comes, at a moderate rate with a fetch for every few records; the embedded broker answers an
empty fetch only after the whole wait. Here a fetch brings 64 kB or what came within 40 ms.

*Joining.* An error while a group rebalances is kept by aiokafka until somebody polls, and Faust does not poll
without partitions: such a worker hangs for good. `join_error` takes the error, so that it joins again.
The embedded broker makes such errors: it refuses a member whose SyncGroup comes after the leader's. Hence a
leader that gives the others a moment.

*Moves.* What else partitions that move do to it is in `streams.kafka.moves`.

*Folders.* Faust makes `<group>-data` wherever it is started, for the tables that it keeps. There are none here.
"""

import asyncio
import time
import types
from collections.abc import Coroutine, Generator
from typing import Any

import faust
from aiokafka.coordinator.assignors.roundrobin import (  # type: ignore[import-untyped]
    RoundRobinPartitionAssignor,
)
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest  # type: ignore[import-untyped]
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers import aiokafka as driver
from faust.types.auth import CredentialsT

from streams.kafka.connection import Connection
from streams.kafka.moves import MovingConsumer, SeekingThread

FETCH_MAX_WAIT_MS = 40
FETCH_MIN_BYTES = 64 << 10
LEADER_WAITS_S = 0.3
_MEMBERS_ASK = (HeartbeatRequest, SyncGroupRequest)


class PatientLeader(RoundRobinPartitionAssignor):
    """Assigns partitions round robin, after the other members had time to ask for theirs."""

    @classmethod
    def assign(cls, cluster: Any, members: Any) -> Any:
        if len(members) > 1:
            time.sleep(LEADER_WAITS_S)
        return super().assign(cluster, members)


class ConsumerThread(SeekingThread):
    """The thread that fetches and sends heartbeats.

    `confirmed`: the generation of which the group last said that we are a member, and when it was asked, by
    `time.monotonic`: its session with us began anew no earlier.
    """

    confirmed: tuple[int, float] = (-1, float("-inf"))

    async def on_start(self) -> None:
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator
        ask = coordinator._send_req

        async def ask_and_note(request: Any) -> Any:
            asked_s = time.monotonic()
            response = await ask(request)
            if isinstance(request, _MEMBERS_ASK) and response.error_code == 0:
                self.confirmed = request._generation_id, asked_s
            return response

        coordinator._send_req = ask_and_note

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # these are read when the consumer starts
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        consumer._fetch_min_bytes = FETCH_MIN_BYTES
        consumer._partition_assignment_strategy = [PatientLeader]
        return consumer

    async def join_error(self) -> tuple[Exception | None, bool]:
        """Take the error that the group coordination is stuck on, and whether it has ended for good."""
        if self._consumer is None:
            return None, False
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._take_error(), self.thread_loop))

    async def _take_error(self) -> tuple[Exception | None, bool]:
        coordinator = self._ensure_consumer()._coordinator
        if coordinator is None:
            return None, False
        try:
            coordinator.check_errors()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's to judge
            return error, coordinator._coordination_task.done()
        return None, False


class Consumer(MovingConsumer):
    """Faust's consumer; deliveries that need not wait are not scheduled."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def confirmed(self) -> tuple[int, float]:
        thread: ConsumerThread = self._thread
        return thread.confirmed

    async def join_error(self) -> tuple[Exception | None, bool]:
        return await self._thread.join_error() if self._thread is not None else (None, False)

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109 - Faust's signature
        if timeout is not None or len(coros) != 2 or not all(map(asyncio.iscoroutine, coros)):
            return await super().wait_first(*coros, timeout=timeout)
        delivery, suspension = coros
        try:
            rest = run_at_once(delivery)
        except BaseException:
            suspension.close()
            raise
        if rest is None:
            suspension.close()
            return None
        return await super().wait_first(rest, suspension)


class Transport(driver.Transport):
    """The transport that makes this consumer."""

    Consumer = Consumer


def use_transport(app: faust.App) -> None:
    """Let `app` consume through this transport and keep no tables; call it before the app declares an agent."""
    app.transport = Transport(app.conf.broker_consumer, app)
    app._create_directories = _no_folders


def credentials(connection: Connection) -> CredentialsT | None:
    """The same as Faust asks for it; None where the connection is in the clear and names nobody."""
    security, context = connection.security, connection.ssl_context()
    if security.sasl:
        return SASLCredentials(
            username=security.username, password=security.password, mechanism=security.mechanism, ssl_context=context
        )
    return SSLCredentials(context) if context is not None else None


def _no_folders() -> None:
    """Leave the file system as it is."""


def run_at_once(coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any] | None:
    """Run a coroutine up to its first suspension: None if it finished, else the rest of it to await."""
    try:
        suspended_on = coroutine.send(None)
    except StopIteration:
        return None
    return _rest(coroutine, suspended_on)


async def _rest(coroutine: Coroutine[Any, Any, Any], suspended_on: Any) -> Any:
    return await _go_on(coroutine, suspended_on)


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, Any], suspended_on: Any) -> Generator[Any, Any, Any]:
    try:
        while True:
            try:
                sent = yield suspended_on
            except BaseException as error:  # noqa: BLE001 - a cancellation belongs to the coroutine
                suspended_on = coroutine.throw(error)
            else:
                suspended_on = coroutine.send(sent)
    except StopIteration as finished:
        return finished.value
