"""Run one worker from its first policy to its last acknowledged batch: start, report ready, watch, drain, stop."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from contracts.errors import CheckFailedError, DependencyError
from contracts.videos import VideoUploaded
from streams.collector import calm_collector
from streams.moderation import Parts, Policy
from streams.worker.app import Moderator, WorkerConfig
from streams.worker.carry import Carrier
from streams.worker.follower import ReleaseFollower
from streams.worker.metrics import WorkerMetrics, serve_metrics
from streams.worker.patience import Outlets, Patience

log = logging.getLogger(__name__)

WATCH_EVERY_S = 0.25
DRAIN_S = 10.0
STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything a worker is made of; `reach_broker` raises `DependencyError` until the broker answers."""

    parts: Parts
    outlets: Outlets
    follower: ReleaseFollower
    reach_broker: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


def use_fast_loop() -> None:
    """Let every event loop be uvloop's where that is installed: Faust turns its loop once an event."""
    with suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


async def run_worker(
    config: WorkerConfig, assembly: Assembly, *, metrics_port: int, ready: Callable[[str], None]
) -> None:
    """Run until SIGINT or SIGTERM; `ready` is called once with the metrics address, when partitions are held.

    Raises `CheckFailedError` when the worker stopped on a fault: nothing of its last batch is acknowledged.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopping.set)
    metrics = WorkerMetrics()
    server = serve_metrics(metrics, port=metrics_port)
    try:
        if not await _unless(stopping, _prepare(assembly, metrics)):
            return
        following = asyncio.create_task(assembly.follower.follow())
        try:
            await _consume(config, assembly, metrics, stopping, lambda: ready(f"127.0.0.1:{server.server_port}"))
        finally:
            following.cancel()
    finally:
        server.shutdown()
        server.server_close()
        await assembly.close()


async def _prepare(assembly: Assembly, metrics: WorkerMetrics) -> None:
    """Wait for the first policy and for the broker, and judge one made-up upload, which loads what is lazy."""
    patience = Patience(metrics)
    policy = await assembly.follower.first_policy()
    await patience.until_done("broker", assembly.reach_broker)
    await patience.until_done("scorer", lambda: _rehearse(assembly.parts, policy))


async def _rehearse(parts: Parts, policy: Policy) -> None:
    now = datetime.now(UTC)
    upload = VideoUploaded(event_id="rehearsal", video_id="rehearsal", author_id="nobody", occurred_at=now, title="?")
    inputs = parts.preprocess([upload], [None], policy.release.inputs)
    scores = await parts.scorer.score(inputs, policy.pin)
    parts.judge([upload], inputs.present, scores, policy.release, policy.pin, now=now)
    await parts.decoder.decode([], policy.release.inputs)


async def _consume(
    config: WorkerConfig,
    assembly: Assembly,
    metrics: WorkerMetrics,
    stopping: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    def policy() -> Policy:
        assert assembly.follower.policy is not None
        return assembly.follower.policy

    carrier = Carrier(assembly.parts, assembly.outlets, policy, metrics, now=lambda: datetime.now(UTC))
    moderator = Moderator(config, carrier.carry)
    try:
        await moderator.app.start()
    except KafkaError as error:
        raise DependencyError(f"broker {config.broker} cannot be consumed from: {error}") from error
    try:
        reported = False
        while not stopping.is_set() and not moderator.failure and not moderator.app.should_stop:
            if not reported and moderator.assigned.is_set():
                reported = True
                calm_collector()
                ready()
            metrics.see_offsets(*moderator.offsets())
            if (refused := await moderator.join_error()) is not None:
                log.warning("joining the group again after: %s", refused)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), WATCH_EVERY_S)
        await moderator.finish_batches(within_s=DRAIN_S)
    finally:
        async with asyncio.timeout(STOP_S):
            await moderator.app.stop()
    if moderator.failure:
        raise moderator.failure
    if not stopping.is_set():
        raise CheckFailedError(f"the consumer stopped by itself: {moderator.app.crash_reason!r}")


async def _unless(stopping: asyncio.Event, wanted: Awaitable[object]) -> bool:
    """Await `wanted`; False when the worker is told to stop before it is there."""
    wait = asyncio.ensure_future(wanted)
    stop = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait({wait, stop}, return_when=asyncio.FIRST_COMPLETED)
    for task in {wait, stop} - done:
        task.cancel()
    if wait in done:
        wait.result()
        return True
    return False
