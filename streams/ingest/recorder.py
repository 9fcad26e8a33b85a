"""Reports, exposures, cases, rulings and appeals in, warehouse rows out: Faust agents that insert, then acknowledge."""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from contracts.topics import Topic
from streams import edge
from streams.ingest.inserts import Insert
from streams.kafka.agents import AgentConfig, Agents, Carry, consume
from streams.kafka.records import of_letters
from streams.worker.patience import AbandonedError, Patience, Producer

log = logging.getLogger(__name__)


class Unwatched:
    """A gauge that nobody reads: what is waited for stands in the log."""

    def waiting(self, part: str, seconds: float) -> None:
        """Note nothing."""


def recording(topic: Topic, insert: Insert, producer: Producer, *, now: Callable[[], datetime]) -> Carry:
    """A carrier of one topic's batches into the warehouse, and of what breaks its contract to the dead letters."""

    async def carry(batch: Sequence[edge.RawEvent], ours: Callable[[], bool]) -> bool:
        through = edge.read(batch, topic, now())
        events = [event for _, event in through.accepted]
        letters = of_letters(through.dead)
        patience = Patience(Unwatched(), abandoned=lambda: not ours())
        try:
            await patience.until_done("warehouse", lambda: asyncio.to_thread(insert, events))
            await patience.until_done("broker", lambda: producer.send(letters))
        except AbandonedError as error:
            log.warning("let go of %d events: %s", len(batch), error)
            return False
        return True

    return carry


async def run_recorder(
    config: AgentConfig,
    inserts: Mapping[Topic, Insert],
    producer: Producer,
    *,
    now: Callable[[], datetime],
    ready: Callable[[], None],
) -> None:
    """Record until SIGINT or SIGTERM; `ready` is called once, when the group has given out partitions."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopping.set)
    carriers = {topic: recording(topic, insert, producer, now=now) for topic, insert in inserts.items()}
    await consume(Agents(config, carriers), stopping, ready=ready)
