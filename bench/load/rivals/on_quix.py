"""The job on Quix Streams 3.28: `python -m bench.load.rivals.on_quix`, one member of the workers' group.

Quix processes a message at a time in one thread; a step that asks Triton for each would do 200 a second. Its form for
work in batches is a sink. `BatchingSink` keeps a batch for each partition and writes them one after the other at the
checkpoint, while nothing is consumed; with six partitions a member, batches of 256 become six of 40. So this one
is the other that its documentation names, a streaming sink: `add` sends a full batch on its way at once, `flush`,
which Quix calls before it commits, waits until all of them are kept. What does not fill is sent by a timer.

Quix names pydantic-settings<2.16 and confluent-kafka<2.13, which the project cannot have beside its own: so it runs
with an interpreter of its own, see `environment.py`.
"""

import asyncio
import logging
import os
import threading
from concurrent.futures import Future
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]
from quixstreams.sinks import BaseSink  # type: ignore[import-not-found]

from bench.load.rivals.job import COMMIT_EVERY_S, FETCHING, IN_FLIGHT, TAKE, WITHIN_S, Job, Record, job_from_environment
from contracts.topics import VIDEOS_UPLOADED
from streams.commands.foreground import ready
from streams.kafka.agents import use_fast_loop
from streams.kafka.connection import Connection


class JobSink(BaseSink):
    """Batches of what is added are kept by a loop in a thread of its own, a few at a time."""

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._job = job
        self._loop = loop
        self._filling: list[Record] = []
        self._turn = threading.Lock()
        self._slots = threading.Semaphore(IN_FLIGHT)
        self._under_way: list[Future[None]] = []

    def setup(self) -> None:
        """Quix calls this before it consumes."""
        asyncio.run_coroutine_threadsafe(self._job.prepare(), self._loop).result()
        asyncio.run_coroutine_threadsafe(self._send_what_waits(), self._loop)

    def add(self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int) -> None:
        record = Record(topic, partition, offset, timestamp / 1000.0, key, value)
        with self._turn:
            self._filling.append(record)
            full = len(self._filling) >= TAKE
        if full:
            self._send()

    def flush(self) -> None:
        """Return when all that was added is kept; raises what a batch raised, and Quix commits nothing then."""
        self._send()
        with self._turn:
            waiting, self._under_way = self._under_way, []
        for one in waiting:
            one.result()

    def _send(self) -> None:
        self._slots.acquire()
        if not self._begin():
            self._slots.release()

    def _begin(self) -> bool:
        """Send what waits on its way in a slot that is held; False where nothing waits."""
        with self._turn:
            batch, self._filling = self._filling, []
            if not batch:
                return False
            kept = asyncio.run_coroutine_threadsafe(self._job.keep(batch), self._loop)
            kept.add_done_callback(lambda _: self._slots.release())
            self._under_way.append(kept)
        return True

    async def _send_what_waits(self) -> None:
        while True:
            await asyncio.sleep(WITHIN_S)
            if self._filling and self._slots.acquire(blocking=False) and not self._begin():
                self._slots.release()


def main() -> None:
    """Run until SIGINT or SIGTERM."""
    use_fast_loop()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    broker = Connection.from_environment(os.environ)
    job, group = job_from_environment(broker)
    app = Application(
        broker_address=broker.servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_EVERY_S,
        consumer_poll_timeout=WITHIN_S,
        consumer_extra_config=FETCHING | {"partition.assignment.strategy": "roundrobin"},
        auto_create_topics=False,
        use_changelog_topics=False,
        loglevel="WARNING",
    )
    uploaded = app.topic(VIDEOS_UPLOADED.name, key_deserializer="bytes", value_deserializer="bytes")
    app.dataframe(uploaded).sink(JobSink(job, loop))
    ready("on-quix", "")
    app.run()
    asyncio.run_coroutine_threadsafe(job.close(), loop).result()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main()
