"""Frequent topics in, warehouse rows out: read in bulk, insert, and only then commit the offsets.

A plain consumer, not Faust, because Faust's cost per event is the limit here: about 0.1 ms of a core, where this
takes about 0.01. It needs nothing that Faust gives: no state, no care at rebalances (rows are idempotent by event
id), and one outlet that likes thousands of rows at once.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from contracts.dead_letters import DeadLetter
from contracts.errors import DependencyError
from contracts.records import Event
from contracts.topics import Topic
from serving.stopping import Stop
from streams import edge
from streams.collector import calm_collector
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer, OutgoingRecord
from streams.kafka.records import of_letters

log = logging.getLogger(__name__)

Insert = Callable[[Sequence[Event]], int]


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """How much is inserted at once: up to `batch` events, or what came within `linger_s`."""

    broker: Connection
    group: str = "precedent-sink"
    batch: int = 10_000
    linger_s: float = 0.5
    longest_pause_s: float = 5.0
    session_timeout_s: float = 6.0


class _Record(NamedTuple):
    """A Kafka message as the edge sees it."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None


def run_sink(config: SinkConfig, inserts: Mapping[Topic, Insert], stop: Stop, *, ready: Callable[[], None]) -> None:
    """Copy each topic's events by its insert until `stop` is set.

    `ready` is called once, when the group has given out its partitions.
    """
    consumer = Consumer(
        config.broker.client(
            {
                "group.id": config.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.min.bytes": 1 << 20,
                "fetch.wait.max.ms": 200,
                "session.timeout.ms": int(config.session_timeout_s * 1000),
                "log_level": 2,
            }
        ),
        logger=log,
    )
    producer = ConfirmedProducer(config.broker, client_id="precedent-sink")
    assigned = threading.Event()
    consumer.subscribe([topic.name for topic in inserts], on_assign=lambda *_: assigned.set())
    told = False
    try:
        with suppress(DependencyError):  # then the first batch waits for it
            for insert in inserts.values():
                insert([])  # connects, and loads what connecting needs
        while not stop.is_set():
            batch = _take(consumer, config, stop)
            if assigned.is_set() and not told:
                told = True
                calm_collector()
                ready()
            if batch and _keep(batch, consumer, inserts, producer, config, stop):
                _commit(consumer, batch)
    finally:
        consumer.close()
        producer.close()


def _take(consumer: Consumer, config: SinkConfig, stop: Stop) -> list[Message]:
    """Collect a batch: until it is full, or `linger_s` after its first message."""
    batch: list[Message] = []
    until = time.monotonic() + config.linger_s
    while len(batch) < config.batch and not stop.is_set() and (left := until - time.monotonic()) > 0:
        for message in consumer.consume(config.batch - len(batch), timeout=min(left, 0.1)):
            if (error := message.error()) is None:
                batch.append(message)
            else:
                log.warning("the broker says: %s", error)
    return batch


def _keep(
    batch: list[Message],
    consumer: Consumer,
    inserts: Mapping[Topic, Insert],
    producer: ConfirmedProducer,
    config: SinkConfig,
    stop: Stop,
) -> bool:
    """Insert a batch, however long the warehouse is away; False when told to stop before it was kept."""
    events, dead = _check(batch, inserts)
    pause_s, alerted = 0.1, 0.0
    while not stop.is_set():
        try:
            for topic, some in events.items():  # what was inserted before a failure is inserted again: the same rows
                inserts[topic](some)
            producer.send_now(dead)
            return True
        except DependencyError as error:
            if time.monotonic() - alerted > 10.0:
                alerted = time.monotonic()
                log.error("ALERT %d events wait: %s", len(batch), error)
        _wait_as_member(consumer, pause_s, stop)
        pause_s = min(2.0 * pause_s, config.longest_pause_s)
    return False


def _wait_as_member(consumer: Consumer, seconds: float, stop: Stop) -> None:
    """Wait without reading on, and without being taken for dead: a member of a group must poll."""
    held = consumer.assignment()
    consumer.pause(held)
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop.is_set():
        if (early := consumer.poll(0.1)) is not None and early.error() is None:
            # of a partition that came to us only now: read it again later
            consumer.seek(TopicPartition(early.topic(), early.partition(), early.offset()))
            consumer.pause(consumer.assignment())
    consumer.resume(consumer.assignment())


def _check(
    batch: Sequence[Message], topics: Collection[Topic]
) -> tuple[dict[Topic, list[Event]], list[OutgoingRecord]]:
    """What the edge lets in, by topic, and the letters of what it refuses."""
    by_name: dict[str, list[_Record]] = {topic.name: [] for topic in topics}
    for m in batch:
        record = _Record(m.topic(), m.partition(), m.offset(), m.timestamp()[1] / 1000.0, m.key(), m.value())
        by_name[record.topic].append(record)
    events: dict[Topic, list[Event]] = {}
    letters: list[DeadLetter] = []
    for topic in topics:
        if records := by_name[topic.name]:
            through = edge.read(records, topic, datetime.now(UTC))
            events[topic] = [event for _, event in through.accepted]
            letters += through.dead
    return events, of_letters(letters)


def _commit(consumer: Consumer, batch: Sequence[Message]) -> None:
    ends = {(m.topic(), m.partition()): m.offset() + 1 for m in batch}
    try:
        consumer.commit(
            offsets=[TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()],
            asynchronous=False,
        )
    except KafkaException as error:  # rebalanced meanwhile: the rows come again, and are the same rows
        log.warning("offsets were not committed: %s", error)
