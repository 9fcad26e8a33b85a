"""Run one worker from its first policy to its last acknowledged batch: start, report ready, watch, drain, stop."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.topics import VIDEOS_UPLOADED
from contracts.videos import VideoUploaded
from streams.kafka.agents import AgentConfig, Agents, consume
from streams.moderation import Parts, Policy
from streams.watching.serving import LOOPBACK, serve_metrics
from streams.watching.traces import UNTRACED, Tracing
from streams.worker.carry import Carrier
from streams.worker.follower import ReleaseFollower
from streams.worker.metrics import WorkerMetrics
from streams.worker.patience import Outlets, Patience

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything a worker is made of; `reach_broker` raises `DependencyError` until the broker answers."""

    parts: Parts
    outlets: Outlets
    follower: ReleaseFollower
    reach_broker: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


async def run_worker(
    config: AgentConfig,
    assembly: Assembly,
    *,
    metrics_port: int,
    ready: Callable[[str], None],
    metrics_host: str = LOOPBACK,
    tracing: Tracing = UNTRACED,
) -> None:
    """Run until SIGINT or SIGTERM; `ready` is called once with the metrics address, when partitions are held.

    Raises `CheckFailedError` when the worker stopped on a fault: nothing of its last batch is acknowledged.
    """
    stopping = asyncio.Event()
    metrics = WorkerMetrics()

    def stop() -> None:
        metrics.readiness.drain()
        stopping.set()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    server = serve_metrics(metrics, host=metrics_host, port=metrics_port)
    try:
        if not await _unless(stopping, _prepare(assembly, metrics)):
            return
        following = asyncio.create_task(assembly.follower.follow())
        try:
            await _consume(config, assembly, metrics, stopping, lambda: ready(server.address), tracing)
        finally:
            following.cancel()
    finally:
        server.close()
        await asyncio.gather(assembly.close(), asyncio.to_thread(tracing.close))


async def _prepare(assembly: Assembly, metrics: WorkerMetrics) -> None:
    """Wait for the first policy and for the broker, and judge one made-up upload, which loads what is lazy."""
    patience = Patience(metrics)
    policy = await assembly.follower.first_policy()
    await patience.until_done("broker", assembly.reach_broker)
    await patience.until_done("scorer", lambda: _rehearse(assembly.parts, policy))
    metrics.readiness.has("models")


async def _rehearse(parts: Parts, policy: Policy) -> None:
    now = datetime.now(UTC)
    upload = VideoUploaded(event_id="rehearsal", video_id="rehearsal", author_id="nobody", occurred_at=now, title="?")
    inputs = parts.preprocess([upload], [None], policy.release.inputs)
    scores = await parts.scorer.score(inputs, policy.pin)
    parts.judge([upload], inputs.present, scores, policy.release, policy.pin, now=now)
    await parts.decoder.decode([], policy.release.inputs)


async def _consume(
    config: AgentConfig,
    assembly: Assembly,
    metrics: WorkerMetrics,
    stopping: asyncio.Event,
    ready: Callable[[], None],
    tracing: Tracing,
) -> None:
    def policy() -> Policy:
        assert assembly.follower.policy is not None
        return assembly.follower.policy

    carrier = Carrier(
        assembly.parts,
        assembly.outlets,
        policy,
        metrics,
        now=lambda: datetime.now(UTC),
        confirmed=lambda: agents.confirmed(),  # noqa: PLW0108 - there are no agents yet
        stopping=lambda: agents.closing,
        tracing=tracing,
    )
    agents = Agents(config, {VIDEOS_UPLOADED: carrier.carry})

    def watch(committed: Mapping[int, int], lag: Mapping[int, int]) -> None:
        metrics.see_offsets(committed, lag)
        metrics.see_generation(agents.generation)

    await consume(agents, stopping, ready=ready, watch=watch)


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
