"""Reports, exposures, cases, rulings and appeals in, warehouse rows out: Faust agents that insert, then acknowledge."""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from contracts.records import Event
from contracts.topics import Topic
from streams import edge
from streams.ingest.inserts import Insert
from streams.ingest.metrics import IngestMetrics
from streams.kafka.agents import AgentConfig, Agents, Carry, consume
from streams.kafka.records import of_letters
from streams.watching.letters import LetterLog
from streams.worker.patience import AbandonedError, Patience, Producer

log = logging.getLogger(__name__)


def recording(
    topic: Topic,
    insert: Insert,
    producer: Producer,
    metrics: IngestMetrics,
    *,
    now: Callable[[], datetime],
    stopping: Callable[[], bool] = lambda: False,
) -> Carry:
    """A carrier of one topic's batches into the warehouse, and of what breaks its contract to the dead letters.

    Once we are `stopping`, a batch that waits for one of them is let go.
    """
    told = LetterLog()

    def insert_watched(events: Sequence[Event]) -> None:
        with metrics.inserting(topic.name, len(events)):
            insert(events)

    async def carry(batch: Sequence[edge.RawEvent], ours: Callable[[], bool]) -> bool:
        through = edge.read(batch, topic, now())
        events = [event for _, event in through.accepted]
        letters = of_letters(through.dead)
        about = {"topic": topic.name, "events": len(batch), "offset": batch[0].offset}
        patience = Patience(metrics, abandoned=lambda: stopping() or not ours(), about=lambda: about)
        try:
            with metrics.under_way():
                await patience.until_done("warehouse", lambda: asyncio.to_thread(insert_watched, events))
                await patience.until_done("broker", lambda: producer.send(letters))
        except AbandonedError as error:
            log.warning("let go of %d events: %s", len(batch), error, extra=about)
            metrics.count_batch(len(batch), stale=len(batch))
            return False
        told.tell(through.dead)
        metrics.count_dead([letter.reason.value for letter in through.dead])
        metrics.count_batch(len(batch))
        metrics.observe_kept([raw.timestamp for raw, _ in through.accepted])
        return True

    return carry


async def run_recorder(
    config: AgentConfig,
    inserts: Mapping[Topic, Insert],
    producer: Producer,
    *,
    now: Callable[[], datetime],
    ready: Callable[[], None],
    metrics: IngestMetrics,
) -> None:
    """Record until SIGINT or SIGTERM; `ready` is called once, when the group has given out partitions."""
    stopping = asyncio.Event()

    def stop() -> None:
        metrics.readiness.drain()
        stopping.set()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    carriers = {
        topic: recording(topic, insert, producer, metrics, now=now, stopping=lambda: agents.closing)
        for topic, insert in inserts.items()
    }
    agents = Agents(config, carriers)

    def watch(committed: Mapping[int, int], lag: Mapping[int, int]) -> None:
        metrics.see_offsets(committed, lag)
        metrics.see_generation(agents.generation)

    await consume(agents, stopping, ready=ready, watch=watch)
