"""A group and a topic in, how many records lie before the group out: asked of the broker, without joining the group."""

import threading

from confluent_kafka import Consumer, KafkaException, TopicPartition

from contracts.errors import DependencyError
from streams.kafka.connection import Connection


class GroupLag:
    """Records of a topic that a group has not committed yet, whoever sent them; connects when it is first asked."""

    def __init__(self, broker: Connection, topic: str, group: str, *, within_s: float = 5.0) -> None:
        self._broker, self._topic, self._group = broker, topic, group
        self._within_s = within_s
        self._turn = threading.Lock()
        self._consumer: Consumer | None = None

    def __call__(self) -> int:
        """Ask now; raises `DependencyError` when the broker does not answer in time."""
        with self._turn:
            try:
                return self._ask()
            except KafkaException as error:
                raise DependencyError(f"the lag of group {self._group!r} is not to be had: {error}") from error

    def _ask(self) -> int:
        if self._consumer is None:
            settings = {"group.id": self._group, "enable.auto.commit": False, "log_level": 0}
            self._consumer = Consumer(self._broker.client(settings))
        consumer = self._consumer
        topic = consumer.list_topics(self._topic, timeout=self._within_s).topics[self._topic]
        places = [TopicPartition(self._topic, partition) for partition in topic.partitions]
        unread = 0
        for place in consumer.committed(places, timeout=self._within_s):
            first, end = consumer.get_watermark_offsets(place, timeout=self._within_s)
            unread += max(0, end - max(place.offset, first))  # a group that has committed nothing begins at the first
        return unread

    def close(self) -> None:
        """Let go of the connection."""
        with self._turn:
            if self._consumer is not None:
                self._consumer.close()
                self._consumer = None
