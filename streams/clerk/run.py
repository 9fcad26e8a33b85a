"""Run the clerk from its first look to its last: report ready, do the duties, hear appeals, stop."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from contracts.errors import PrecedentError
from contracts.topics import CASES_APPEALS
from streams.clerk.metrics import ClerkMetrics
from streams.clerk.rounds import Duty, keep
from streams.kafka.agents import AgentConfig, Agents, Carry, consume
from streams.watching.serving import LOOPBACK, serve_metrics
from streams.worker.patience import AbandonedError, Patience

log = logging.getLogger(__name__)
HEAR_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything the clerk is made of; `reach_broker` raises `DependencyError` until the broker answers."""

    duties: Sequence[Duty]
    hear: Carry
    metrics: ClerkMetrics
    reach_broker: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


async def run_clerk(
    config: AgentConfig,
    assembly: Assembly,
    *,
    metrics_port: int,
    ready: Callable[[str], None],
    metrics_host: str = LOOPBACK,
) -> None:
    """Run until SIGINT or SIGTERM; `ready` is called once with the metrics address, when appeals are heard.

    The other duties begin at once. What a duty has in hand when the clerk is told to stop is done again by the next.
    """
    stopping = asyncio.Event()

    def stop() -> None:
        assembly.metrics.readiness.drain()
        stopping.set()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    server = serve_metrics(assembly.metrics, host=metrics_host, port=metrics_port)
    try:
        await asyncio.gather(
            keep(assembly.duties, stopping, assembly.metrics),
            _hear(config, assembly, stopping, lambda: ready(server.address)),
        )
    finally:
        server.close()
        await assembly.close()


async def _hear(config: AgentConfig, assembly: Assembly, stopping: asyncio.Event, ready: Callable[[], None]) -> None:
    """Consume appeals until told to stop; a consumer that ended is followed by another."""
    told = False

    def tell() -> None:
        nonlocal told
        if not told:
            told = True
            ready()

    def watch(committed: Mapping[int, int], lag: Mapping[int, int]) -> None:
        assembly.metrics.consuming.see_offsets(committed, lag)

    patience = Patience(assembly.metrics, abandoned=stopping.is_set)
    while not stopping.is_set():
        try:
            await patience.until_done("broker", assembly.reach_broker)
            await consume(Agents(config, {CASES_APPEALS: assembly.hear}), stopping, ready=tell, watch=watch)
        except AbandonedError:
            return
        except PrecedentError as error:
            log.error("ALERT appeals are not heard: %s", error)
            await asyncio.sleep(HEAR_AGAIN_S)
