"""What benches that change workers under load ask of Kafka: groups that begin at the end, waits until all is read."""

import time
from collections.abc import Callable

from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.errors import DependencyError
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from streams.kafka.connection import Connection

SINK_GROUP = "precedent-sink"
WAIT_S = 120.0


def begin_group(kafka: Connection, group: str) -> None:
    """Let a new group read uploads from their end on: what others before it read is no work of its own."""
    consumer = Consumer(kafka.client({"group.id": group, "enable.auto.commit": False, "log_level": 3}))
    try:
        topic = VIDEOS_UPLOADED.name
        places = [TopicPartition(topic, n) for n in consumer.list_topics(topic, timeout=10.0).topics[topic].partitions]
        ends = [TopicPartition(topic, p.partition, consumer.get_watermark_offsets(p, timeout=10.0)[1]) for p in places]
        consumer.commit(offsets=ends, asynchronous=False)
    finally:
        consumer.close()


def wait_until_joined(kafka: Connection, group: str, *, members: int) -> None:
    """Return when so many members share the group's partitions; those beyond the partitions hold none."""
    admin = AdminClient(kafka.client({"log_level": 3}))

    def joined() -> bool:
        try:
            told = admin.describe_consumer_groups([group])[group].result(timeout=10.0)
        except KafkaException:
            return False
        return told.state == ConsumerGroupState.STABLE and len(told.members) == members

    _wait(joined, f"group {group!r} does not become {members} members")


def wait_until_read(kafka: Connection, group: str) -> None:
    """Return when workers and warehouse sink have committed all that lies in their topics."""
    _wait(
        lambda: not lag(kafka, group, VIDEOS_UPLOADED.name) and not lag(kafka, SINK_GROUP, VIDEOS_VERDICTS.name),
        f"group {group!r} or {SINK_GROUP!r} does not read to the end",
    )


def lag(kafka: Connection, group: str, topic: str) -> int:
    """How many records of a topic a group has not committed yet."""
    consumer = Consumer(kafka.client({"group.id": group, "enable.auto.commit": False, "log_level": 3}))
    try:
        places = [TopicPartition(topic, n) for n in consumer.list_topics(topic, timeout=10.0).topics[topic].partitions]
        behind = 0
        for place in consumer.committed(places, timeout=10.0):
            begin, end = consumer.get_watermark_offsets(place, timeout=10.0)
            behind += end - (place.offset if place.offset >= 0 else begin)
        return behind
    finally:
        consumer.close()


def _wait(done: Callable[[], bool], complaint: str) -> None:
    until = time.monotonic() + WAIT_S
    while not done():
        if time.monotonic() > until:
            raise DependencyError(f"{complaint} within {WAIT_S:g} s")
        time.sleep(0.2)
