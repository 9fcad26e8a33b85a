"""`videos.verdicts` in, warehouse rows out: read in bulk, insert, and only then commit the offsets.

A plain consumer, not Faust: the sink has no state, no rebalancing care (rows are idempotent by event id) and
one outlet that likes thousands of rows at once. A bare confluent-kafka consumer reads about 25,000 events/s
where a Faust agent on its stock transport reads about 4,000 (FIELD_NOTES), and this process shares the
machine with the workers.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from pydantic import ValidationError

from contracts.dead_letters import DeadLetter, DeadReason
from contracts.errors import DependencyError, first_reason
from contracts.topics import DEAD_SUFFIX, VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from streams.collector import calm_collector
from streams.kafka.delivery import ConfirmedProducer, OutgoingRecord
from warehouse.address import WarehouseAddress, connect
from warehouse.sink import VerdictSink

log = logging.getLogger(__name__)

Insert = Callable[[Sequence[Verdict]], int]


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """How much is inserted at once: up to `batch` verdicts, or what came within `linger_s`."""

    broker: str
    group: str = "precedent-sink"
    batch: int = 10_000
    linger_s: float = 0.5
    longest_pause_s: float = 5.0
    session_timeout_s: float = 6.0


class LateClient:
    """A `VerdictSink` that connects when it is first needed: a warehouse that is not there yet is waited for."""

    def __init__(self, address: WarehouseAddress) -> None:
        self._address = address
        self._sink: VerdictSink | None = None

    def insert(self, verdicts: Sequence[Verdict]) -> int:
        if self._sink is None:
            self._sink = VerdictSink(connect(self._address))
        return self._sink.insert(verdicts)


def run_sink(config: SinkConfig, insert: Insert, stop: threading.Event, *, ready: Callable[[], None]) -> None:
    """Run until `stop` is set; `ready` is called once, when the group has given out its partitions."""
    consumer = Consumer(
        {
            "bootstrap.servers": config.broker,
            "group.id": config.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.min.bytes": 1 << 20,
            "fetch.wait.max.ms": 200,
            "session.timeout.ms": int(config.session_timeout_s * 1000),
            "log_level": 2,
        },
        logger=log,
    )
    producer = ConfirmedProducer(config.broker, client_id="precedent-sink")
    assigned = threading.Event()
    consumer.subscribe([VIDEOS_VERDICTS.name], on_assign=lambda *_: assigned.set())
    told = False
    try:
        with suppress(DependencyError):  # then the first batch waits for it
            insert([])  # connects, and loads what connecting needs
        while not stop.is_set():
            batch = _take(consumer, config, stop)
            if assigned.is_set() and not told:
                told = True
                calm_collector()
                ready()
            if batch and _keep(batch, consumer, insert, producer, config, stop):
                _commit(consumer, batch)
    finally:
        consumer.close()
        producer.close()


def _take(consumer: Consumer, config: SinkConfig, stop: threading.Event) -> list[Message]:
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
    insert: Insert,
    producer: ConfirmedProducer,
    config: SinkConfig,
    stop: threading.Event,
) -> bool:
    """Insert a batch, however long the warehouse is away; False when told to stop before it was kept."""
    verdicts, dead = _check(batch)
    pause_s, alerted = 0.1, 0.0
    while not stop.is_set():
        try:
            insert(verdicts)
            producer.send_now(dead)
            return True
        except DependencyError as error:
            if time.monotonic() - alerted > 10.0:
                alerted = time.monotonic()
                log.error("ALERT %d verdicts wait: %s", len(verdicts), error)
        _wait_as_member(consumer, pause_s, stop)
        pause_s = min(2.0 * pause_s, config.longest_pause_s)
    return False


def _wait_as_member(consumer: Consumer, seconds: float, stop: threading.Event) -> None:
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


def _check(batch: Sequence[Message]) -> tuple[list[Verdict], list[OutgoingRecord]]:
    """Validate verdicts; what breaks the contract becomes a dead letter."""
    validate = Verdict.__pydantic_validator__.validate_json
    verdicts: list[Verdict] = []
    dead: list[OutgoingRecord] = []
    for message in batch:
        raw = message.value() or b""
        try:
            verdicts.append(validate(raw))
        except ValidationError as error:
            letter = DeadLetter.bury(
                raw,
                reason=DeadReason.CONTRACT,
                place="verdict",
                text=first_reason(error),
                key=message.key(),
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                sent_at=None,
                refused_at=datetime.now(UTC),
            )
            dead.append(OutgoingRecord(message.topic() + DEAD_SUFFIX, message.key(), letter.model_dump_json().encode()))
    return verdicts, dead


def _commit(consumer: Consumer, batch: Sequence[Message]) -> None:
    ends = {(m.topic(), m.partition()): m.offset() + 1 for m in batch}
    try:
        consumer.commit(
            offsets=[TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()],
            asynchronous=False,
        )
    except KafkaException as error:  # rebalanced meanwhile: the rows come again, and are the same rows
        log.warning("offsets were not committed: %s", error)
