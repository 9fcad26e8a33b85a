"""The job on confluent-kafka alone: `python -m bench.load.rivals.by_hand [--in-process]`, one member of the group.

A thread takes batches, the event loop has a few of them under way, and offsets are stored in the order of the topic
once a batch is kept; librdkafka commits what is stored twice a second. Before partitions are given up, what is under
way is finished and committed; what of lost partitions is under way is kept twice, which changes nothing.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from bench.load.rivals.job import COMMIT_EVERY_S, FETCHING, IN_FLIGHT, TAKE, WITHIN_S, Job, Record, job_from_environment
from contracts.topics import VIDEOS_UPLOADED
from streams.commands.foreground import ready
from streams.kafka.agents import use_fast_loop
from streams.kafka.connection import Connection

DRAIN_S = 10.0


class Member:
    """One member of the group, from its first batch to its last commit."""

    def __init__(self, broker: Connection, group: str, job: Job) -> None:
        self._job = job
        self._consumer = Consumer(
            broker.client(
                FETCHING
                | {
                    "group.id": group,
                    "auto.offset.reset": "earliest",
                    "enable.auto.commit": True,
                    "enable.auto.offset.store": False,
                    "auto.commit.interval.ms": int(COMMIT_EVERY_S * 1000),
                    "partition.assignment.strategy": "roundrobin",
                    "max.poll.interval.ms": 86_400_000,  # who waits for Triton does not poll
                }
            )
        )
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._last: asyncio.Task[None] | None = None
        self._generation = 0

    async def run(self, stopping: asyncio.Event, *, ready: Callable[[], None]) -> None:
        """Take batches until `stopping` is set; raises what a batch raised, of which nothing is acknowledged."""
        loop = asyncio.get_running_loop()
        told = False

        def on_assign(*_: object) -> None:
            nonlocal told
            if not told:
                told = True
                loop.call_soon_threadsafe(ready)

        def on_revoke(*_: object) -> None:
            asyncio.run_coroutine_threadsafe(self._drain(), loop).result(DRAIN_S + 1.0)
            self._generation += 1
            try:
                self._consumer.commit(asynchronous=False)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._NO_OFFSET:  # nothing was kept since the last commit
                    raise

        def on_lost(*_: object) -> None:
            self._generation += 1

        self._consumer.subscribe([VIDEOS_UPLOADED.name], on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)
        with ThreadPoolExecutor(1, "consume") as thread:
            while not stopping.is_set() and not self._failed:
                messages = await loop.run_in_executor(thread, self._consumer.consume, TAKE, WITHIN_S)
                if messages:
                    await self._slots.acquire()
                    self._last = asyncio.create_task(self._go(messages, self._generation, self._last))
            await self._drain()
            await loop.run_in_executor(thread, self._consumer.close)
        if self._last is not None:
            await self._last

    @property
    def _failed(self) -> bool:
        return self._last is not None and self._last.done() and self._last.exception() is not None

    async def _go(self, messages: Sequence[Message], generation: int, before: "asyncio.Task[None] | None") -> None:
        """Keep a batch, and store its offsets once those of the batch before it are."""
        try:
            batch = [Record.of(message) for message in messages if message.error() is None]
            await self._job.keep(batch)
        finally:
            self._slots.release()
        if before is not None:
            await before
        if generation == self._generation:
            last = {(record.topic, record.partition): record.offset + 1 for record in batch}
            self._consumer.store_offsets(offsets=[TopicPartition(*place, offset) for place, offset in last.items()])

    async def _drain(self) -> None:
        """Give what is under way some time; what it raised is told by who takes the next batch."""
        if self._last is not None:
            with suppress(Exception):
                await asyncio.wait_for(asyncio.shield(self._last), DRAIN_S)


async def main() -> None:
    """Run until SIGINT or SIGTERM."""
    stopping = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    broker = Connection.from_environment(os.environ)
    job, group = job_from_environment(broker, in_process="--in-process" in sys.argv)
    try:
        await job.prepare()
        await Member(broker, group, job).run(stopping, ready=lambda: ready("by-hand", ""))
    finally:
        await job.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    use_fast_loop()
    asyncio.run(main())
