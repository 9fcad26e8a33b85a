"""Run one worker from its first policy to its last acknowledged batch: start, report ready, watch, drain, stop."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.errors import CheckFailedError
from streams.collector import calm_collector
from streams.moderation import Parts, Policy
from streams.worker.app import Moderator, WorkerConfig
from streams.worker.carry import Carrier, Outlets
from streams.worker.follower import ReleaseFollower
from streams.worker.metrics import WorkerMetrics, serve_metrics

log = logging.getLogger(__name__)

WATCH_EVERY_S = 0.25
DRAIN_S = 10.0
STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything a worker is made of, and how to close it."""

    parts: Parts
    outlets: Outlets
    follower: ReleaseFollower
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
        if not await _unless(stopping, assembly.follower.first_policy()):
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
    await moderator.app.start()
    try:
        reported = False
        while not stopping.is_set() and not moderator.failure and not moderator.app.should_stop:
            if not reported and moderator.assigned.is_set():
                reported = True
                calm_collector()
                ready()
            metrics.see_offsets(*moderator.offsets())
            if (error := await moderator.join_error()) is not None:
                log.warning("joining the group again after: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), WATCH_EVERY_S)
        await moderator.finish_batch(within_s=DRAIN_S)
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
