"""Records out as fast as their readers read: sending waits while too much lies unread.

The embedded broker keeps 5 MB a partition and drops the oldest, so whoever sends much into it must know how far the
groups are that read it. A real Kafka keeps everything; there this only bounds how far readers fall behind.
"""

import time
from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, Producer, TopicPartition

from contracts.errors import DependencyError
from streams.kafka.broker import PARTITION_BYTES, PARTITIONS
from streams.kafka.connection import Connection
from streams.kafka.delivery import OutgoingRecord

HELD_BYTES = PARTITIONS * PARTITION_BYTES // 2
"""Unread bytes of a topic beyond which sending waits: half of what the embedded broker keeps."""
_CHECK_EVERY = 1_000


class PacedProducer:
    """Sends records of several topics, each no further ahead of its group's commits than about `held_bytes`.

    `readers` names the group that reads each topic. Raises `DependencyError` when a group makes no progress for
    `patience_s`, or a record is refused.
    """

    def __init__(
        self, broker: Connection, readers: Mapping[str, str], *, held_bytes: int = HELD_BYTES, patience_s: float = 60.0
    ) -> None:
        self._producer = Producer(
            broker.client({"linger.ms": 5, "queue.buffering.max.messages": 200_000, "log_level": 3})
        )
        self._held_bytes = held_bytes
        self._patience_s = patience_s
        self._lanes = {topic: _Lane(broker, topic, group) for topic, group in readers.items()}
        self._refused = ""

    def send(self, records: Iterable[OutgoingRecord]) -> int:
        """Send records in order, waiting for their readers; returns how many."""
        sent = 0
        for topic, key, value, headers in records:
            lane = self._lanes[topic]
            if lane.sent % _CHECK_EVERY == 0:
                self._wait(lane, self._held_bytes)
            while True:
                try:
                    self._producer.produce(topic, value, key, on_delivery=self._report, headers=headers)
                    break
                except BufferError:
                    self._producer.poll(0.05)
            lane.sent += 1
            lane.sent_bytes += len(value)
            sent += 1
        return sent

    def wait_until_read(self) -> None:
        """Return when every record is delivered and its group has committed past it."""
        for lane in self._lanes.values():
            self._wait(lane, 0)

    def close(self) -> None:
        """Let go of the connections."""
        self._producer.flush(5.0)
        for lane in self._lanes.values():
            lane.close()

    def _wait(self, lane: "_Lane", bytes_unread: int) -> None:
        progressed, before = time.monotonic(), lane.unread
        while lane.unread * lane.mean_bytes > bytes_unread:
            self._producer.poll(0.02)
            lane.look()
            if lane.unread < before:
                progressed, before = time.monotonic(), lane.unread
            elif time.monotonic() - progressed > self._patience_s:
                raise DependencyError(
                    f"{lane.topic}: group {lane.group!r} has {lane.unread} records before it and read none for"
                    f" {self._patience_s:g} s"
                )
            if self._refused:
                raise DependencyError(f"broker refused a record: {self._refused}")

    def _report(self, error: object, _message: object) -> None:
        if error is not None:
            self._refused = str(error)


class _Lane:
    """How far a topic's reader is behind what was sent here; the topic is taken to be read up to its end before."""

    def __init__(self, broker: Connection, topic: str, group: str) -> None:
        self.topic, self.group = topic, group
        self.sent = self.sent_bytes = self.read = 0
        self._consumer = Consumer(broker.client({"group.id": group, "enable.auto.commit": False, "log_level": 3}))
        partitions = self._consumer.list_topics(topic, timeout=10.0).topics[topic].partitions
        self._ends = {
            p: self._consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10.0)[1] for p in partitions
        }

    @property
    def unread(self) -> int:
        return self.sent - self.read

    @property
    def mean_bytes(self) -> float:
        return self.sent_bytes / max(1, self.sent)

    def look(self) -> None:
        """Ask how far the group has committed."""
        places = self._consumer.committed([TopicPartition(self.topic, p) for p in self._ends], timeout=10.0)
        self.read = sum(max(0, place.offset - self._ends[place.partition]) for place in places)

    def close(self) -> None:
        self._consumer.close()
