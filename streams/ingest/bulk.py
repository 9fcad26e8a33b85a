"""Frequent topics in, warehouse rows out: read in bulk, insert, and only then commit the offsets.

A plain consumer, not Faust, because Faust's cost per event is the limit here: about 0.1 ms of a core, where this
takes about 0.01. It needs nothing that Faust gives: no state, no care at rebalances (rows are idempotent by event
id), and one outlet that likes thousands of rows at once.
"""

import logging
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
from streams.ingest.metrics import IngestMetrics, Places
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer
from streams.kafka.reaching import reach
from streams.kafka.records import of_letters
from streams.watching.letters import LetterLog
from streams.watching.traces import UNTRACED, BatchTrace, Journey, Tracing

log = logging.getLogger(__name__)

Insert = Callable[[Sequence[Event]], int]
PART = "warehouse"
_AT_ONCE = 64
"""Records taken from librdkafka in one call: the next call looks at the bytes that came."""
_QUEUED_KB = 32 << 10
"""What librdkafka may hold ready for us."""


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """How much is inserted at once: up to `batch` events or `batch_bytes`, or what came within `linger_s`."""

    broker: Connection
    group: str = "precedent-sink"
    batch: int = 10_000
    batch_bytes: int = 32 << 20
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


def run_sink(
    config: SinkConfig,
    inserts: Mapping[Topic, Insert],
    stop: Stop,
    *,
    ready: Callable[[], None],
    metrics: IngestMetrics | None = None,
    tracing: Tracing = UNTRACED,
) -> None:
    """Copy each topic's events by its insert until `stop` is set.

    `ready` is called once, when the group has given out its partitions. Raises `BadInputError` where it refuses us.
    """
    metrics = metrics or IngestMetrics()
    places = Places()
    _wait_for_broker(config.broker, stop)
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
                "error_cb": lambda error: log.warning("the broker says: %s", error.str()),
            }
        ),
        logger=log,
    )
    producer = ConfirmedProducer(config.broker, client_id="precedent-sink")
    keeper = _Keeper(consumer, inserts, producer, config, stop, metrics, tracing, places, LetterLog())
    consumer.subscribe([topic.name for topic in inserts], on_assign=places.assigned)
    told = False
    try:
        with suppress(DependencyError):  # then the first batch waits for it
            for insert in inserts.values():
                insert([])  # connects, and loads what connecting needs
        while not stop.is_set():
            batch = _take(consumer, config, stop)
            if places.generation and not told:
                told = True
                calm_collector()
                ready()
            if batch:
                with metrics.under_way():
                    if keeper.keep(batch):
                        places.done(_commit(consumer, batch))
            places.show(consumer, metrics)
    finally:
        metrics.readiness.drain()
        consumer.close()
        producer.close()


def _wait_for_broker(broker: Connection, stop: Stop) -> None:
    while not stop.is_set():
        try:
            reach(broker)
        except DependencyError as error:
            log.error("ALERT waiting for the broker: %s", error)
        else:
            return


def _take(consumer: Consumer, config: SinkConfig, stop: Stop) -> list[Message]:
    """Collect a batch: until it is full by events or bytes, or `linger_s` after its first message.

    However much waits, the sink holds `batch_bytes`, `_AT_ONCE` records more at most, and librdkafka's queue.
    """
    batch: list[Message] = []
    held = 0
    until = time.monotonic() + config.linger_s
    while (left := until - time.monotonic()) > 0 and not stop.is_set():
        room = min(config.batch - len(batch), _AT_ONCE)
        if room <= 0 or held >= config.batch_bytes:
            break
        for message in consumer.consume(room, timeout=min(left, 0.1)):
            if (error := message.error()) is None:
                batch.append(message)
                held += len(message.value() or b"")
            else:
                log.warning("the broker says: %s", error)
    return batch


@dataclass(frozen=True, slots=True)
class _Keeper:
    """Keeps batches, however long the warehouse is away."""

    consumer: Consumer
    inserts: Mapping[Topic, Insert]
    producer: ConfirmedProducer
    config: SinkConfig
    stop: Stop
    metrics: IngestMetrics
    tracing: Tracing
    places: Places
    letters: LetterLog

    def keep(self, batch: Sequence[Message]) -> bool:
        """Insert a batch; False when told to stop before it was kept."""
        with self.tracing.batch("ingest", len(batch)) as trace:
            trace.follow(len(batch), lambda row: batch[row].headers(), lambda row: _journey(batch[row]), begins=False)
            records = [
                _Record(m.topic(), m.partition(), m.offset(), m.timestamp()[1] / 1000.0, m.key(), m.value())
                for m in batch
            ]
            events, dead = _check(records, self.inserts)
            if not self._insert(events, dead, trace):
                return False
            kept_at = datetime.now(UTC)
            for key in trace.onward:
                trace.arrived(key, kept_at, {})
        self.letters.tell(dead)
        self.metrics.count_dead([letter.reason.value for letter in dead])
        self.metrics.count_batch(len(batch))
        self.metrics.observe_kept([record.timestamp for record in records])
        return True

    def _insert(self, events: Mapping[Topic, Sequence[Event]], dead: Sequence[DeadLetter], trace: BatchTrace) -> bool:
        pause_s, alerted, began = 0.1, 0.0, time.monotonic()
        while not self.stop.is_set():
            try:
                # what was inserted before a failure is inserted again: the same rows
                for topic, some in events.items():
                    inserting = time.perf_counter()
                    with self.metrics.inserting(topic.name, len(some)):
                        self.inserts[topic](some)
                    trace.stage(f"insert {topic.name}", inserting, time.perf_counter())
                self.producer.send_now(of_letters(dead))
                self.metrics.waiting(PART, 0.0)
                return True
            except DependencyError as error:
                waited_s = time.monotonic() - began
                if time.monotonic() - alerted > 10.0:
                    alerted = time.monotonic()
                    counts = {topic.name: len(some) for topic, some in events.items()}
                    about = {"waits_for": PART, "waited_s": round(waited_s, 3), "events_by_topic": counts}
                    log.error("ALERT %d events wait: %s", sum(counts.values()) + len(dead), error, extra=about)
                self.metrics.waiting(PART, max(waited_s, 1e-3))
                self.places.show(self.consumer, self.metrics)
            _wait_as_member(self.consumer, pause_s, self.stop)
            pause_s = min(2.0 * pause_s, self.config.longest_pause_s)
        return False


def _journey(message: Message) -> Journey:
    """What a trace says of a record; its way to the warehouse began when it was sent."""
    place = f"{message.topic()}/{message.partition()}@{message.offset()}"
    sent = datetime.fromtimestamp(max(message.timestamp()[1], 0) / 1000.0, UTC)
    key = (message.key() or b"").decode("latin-1")
    return Journey(place, sent, {"messaging.kafka.message.key": key, "precedent.place": place})


def _wait_as_member(consumer: Consumer, seconds: float, stop: Stop) -> None:
    """Wait without reading on, and without being taken for dead: a member of a group must poll.

    A partition that is taken from us while it is paused is still paused when it comes back: so what was paused is
    resumed, whether or not it is ours at that moment.
    """
    paused = {(place.topic, place.partition): place for place in consumer.assignment()}
    consumer.pause(list(paused.values()))
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop.is_set():
        if (early := consumer.poll(0.1)) is not None and early.error() is None:
            # of a partition that came to us only now: read it again later
            place = TopicPartition(early.topic(), early.partition(), early.offset())
            consumer.seek(place)
            consumer.pause([place])
            paused[place.topic, place.partition] = place
    consumer.resume(list(paused.values()))


def _check(batch: Sequence[_Record], topics: Collection[Topic]) -> tuple[dict[Topic, list[Event]], list[DeadLetter]]:
    """What the edge lets in, by topic, and the letters of what it refuses."""
    by_name: dict[str, list[_Record]] = {topic.name: [] for topic in topics}
    for record in batch:
        by_name[record.topic].append(record)
    events: dict[Topic, list[Event]] = {}
    letters: list[DeadLetter] = []
    for topic in topics:
        if records := by_name[topic.name]:
            through = edge.read(records, topic, datetime.now(UTC))
            events[topic] = [event for _, event in through.accepted]
            letters += through.dead
    return events, letters


def _commit(consumer: Consumer, batch: Sequence[Message]) -> Mapping[tuple[str, int], int]:
    """Commit past a batch; what was committed, by topic and partition."""
    ends = {(m.topic(), m.partition()): m.offset() + 1 for m in batch}
    try:
        consumer.commit(
            offsets=[TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()],
            asynchronous=False,
        )
    except KafkaException as error:  # rebalanced meanwhile: the rows come again, and are the same rows
        log.warning("offsets were not committed: %s", error)
        return {}
    return ends
