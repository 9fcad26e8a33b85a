"""A ledger's plan in, its events sent when they are due and their verdicts noted out: one loop, in its own process.

Every event has an intended send time, i / rate after the start, whether or not the path keeps up; latencies count
from it, so that a stall is seen by every event that it delays. The embedded broker keeps 5 MB a partition: when that
many bytes have no verdict yet, sending is held back, and the clock of the held events runs. A real Kafka is sent to
whatever it does; what it does not take at once the client keeps and sends again, in order.
"""

import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from contracts.errors import DependencyError
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from streams.kafka.broker import PARTITION_BYTES, PARTITIONS
from streams.kafka.connection import Connection
from streams.load.events import POISON, Encoder
from streams.load.ledger import Ledger
from streams.load.plan import Kind

HELD_BYTES = PARTITIONS * PARTITION_BYTES // 2
"""Bytes without a verdict beyond which sending waits: half of what the embedded broker keeps."""
START_IN_S = 0.05
QUIET_S = 1.0
_AT_ONCE = 500
_ID = b'{"event_id":"'


@dataclass(frozen=True, slots=True)
class Sending:
    """Where to, how long to wait for verdicts without any progress, and whether the broker forgets what is unread."""

    kafka: Connection
    patience_s: float = 30.0
    forgetful: bool = False


def is_forgetful(kafka: Connection) -> bool:
    """Whether this is the embedded broker; raises `DependencyError` when it does not answer."""
    try:
        return str(Producer(kafka.client({"log_level": 0})).list_topics(timeout=10.0).cluster_id).startswith("mock")
    except Exception as error:
        raise DependencyError(f"broker {kafka.servers} does not answer: {error}") from error


def send(
    ledger: Ledger, encode: Encoder, sending: Sending, *, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Send every event of the ledger's plan, and read until each is settled or nothing comes for `patience_s`.

    Raises `DependencyError` when the topics have no partitions to read.
    """
    _Sender(ledger, encode, sending, progress).run()


class _Sender:
    """The loop and what it holds: how many events are sent, how many are settled."""

    def __init__(self, ledger: Ledger, encode: Encoder, sending: Sending, progress: Callable[[int], None]) -> None:
        self._ledger, self._encode, self._sending, self._progress = ledger, encode, sending, progress
        self._rows = ledger.rows
        self._kind, self._of = ledger.drawn.kind_N, ledger.drawn.speaks_of_N
        self._mark = ledger.plan.run.encode() + b"-"
        self._settles = ~np.isin(self._kind, (Kind.REPEAT, Kind.REPORT))  # has a verdict or a letter of its own
        self._settling_before = np.concatenate(([0], np.cumsum(self._settles)))
        self._sent = self._settled = self._read = 0
        self._producer = Producer(
            sending.kafka.client(
                {
                    "linger.ms": 5,
                    "acks": "all",
                    "enable.idempotence": sending.kafka.idempotent and not sending.forgetful,
                    "message.timeout.ms": 0 if not sending.forgetful else 300_000,  # 0: as long as it takes
                    "queue.buffering.max.messages": 2_000_000,
                    "queue.buffering.max.kbytes": 2_000_000,
                    "log_level": 3,
                }
            )
        )

    def run(self) -> None:
        plan, rows = self._ledger.plan, self._rows
        consumer = _reader(self._sending.kafka)
        start = time.time() + START_IN_S
        if plan.rate:
            rows["intended_s"] = start + np.arange(plan.count) / plan.rate
        held = self._held()
        last = time.monotonic()
        while time.monotonic() - last < self._sending.patience_s:
            due = plan.count if plan.rate is None else min(int((time.time() - start) * plan.rate) + 1, plan.count)
            unanswered = int(self._settling_before[self._sent]) - self._settled
            upto = min(due, self._sent + max(0, held - unanswered), self._sent + _AT_ONCE)
            for number in range(self._sent, upto):
                self._send(number)
            sent_some, self._sent = upto > self._sent, max(upto, self._sent)
            self._producer.poll(0)
            settled = self._note(consumer.consume(1_000, timeout=0.005 if plan.rate else 0.02))
            self._settled += settled
            if settled or sent_some:
                last = time.monotonic()
                self._progress(self._settled)
            if self._sent == plan.count and self._settled >= self._settling_before[-1]:
                break
        self._producer.flush(self._sending.patience_s)
        self._hear_out(consumer)
        consumer.close()

    def _hear_out(self, consumer: Consumer) -> None:
        """Read on until nothing comes: what is delivered once more would else be noted up to somewhere in between."""
        quiet, end = time.monotonic(), time.monotonic() + self._sending.patience_s
        while (now := time.monotonic()) - quiet < QUIET_S and now < end:
            if messages := consumer.consume(1_000, timeout=0.1):
                self._note(messages)
                quiet = now

    def _held(self) -> int:
        """How many events may be without an answer."""
        if self._ledger.plan.rate is None:
            return self._ledger.plan.window
        return HELD_BYTES // self._encode.mean_bytes if self._sending.forgetful else self._ledger.plan.count

    def _send(self, number: int) -> None:
        rows = self._rows
        if self._ledger.plan.rate is None:
            rows["intended_s"][number] = time.time()
        of = int(self._of[number]) if self._kind[number] == Kind.REPEAT else number
        record = self._encode(number, rows["intended_s"][of])
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    on_delivery=lambda error, message: self._confirm(number, error, message),
                )
                break
            except BufferError:  # 2 GB wait for the broker: it is away, and the schedule's clock runs
                self._producer.poll(0.05)
        rows["sent_s"][number] = time.time()

    def _confirm(self, number: int, error: object, message: Message) -> None:
        if error is None:
            row = self._rows[number]
            row["confirmed_s"] = time.time()
            row["partition"], row["offset"] = message.partition(), message.offset()

    def _note(self, messages: Sequence[Message]) -> int:
        """Note verdicts and dead letters; returns how many events they settle."""
        now = time.time()
        settled = 0
        for message in messages:
            if message.error() is not None:
                continue
            if message.topic() == VIDEOS_VERDICTS.name:
                number = _number(_event_id(message.value()), self._mark)
                settled += number is not None and self._note_verdict(number, now, message.timestamp()[1] / 1000.0)
            else:
                settled += self._note_letter(message.value(), now)
        return settled

    def _note_verdict(self, number: int, now: float, produced_s: float) -> bool:
        if number >= len(self._rows):
            return False
        row = self._rows[number]
        row["verdicts"] += 1
        row["last_place"] = self._read
        self._read += 1
        if row["verdicts"] > 1:
            return False
        row["seen_s"], row["produced_s"], row["place"] = now, produced_s, row["last_place"]
        return bool(row["letters"] == 0)

    def _note_letter(self, value: bytes, now: float) -> bool:
        letter = json.loads(value)
        key = base64.b64decode(letter["key_base64"] or "")
        number = _number(key, self._mark)
        if number is None or number >= len(self._rows):
            return False
        row = self._rows[number]
        row["letters"] += 1
        wanted = POISON[number % len(POISON)][1] if self._kind[number] == Kind.POISON else "media"
        row["wrong_reasons"] |= letter["reason"] != wanted
        if row["letters"] > 1:
            return False
        row["seen_s"] = now
        return bool(row["verdicts"] == 0)


def _event_id(value: bytes) -> bytes:
    """The event id of a verdict, which is the first field that a worker writes."""
    if value.startswith(_ID):
        return value[len(_ID) : value.index(b'"', len(_ID))]
    return str(json.loads(value)["event_id"]).encode()


def _number(name: bytes, mark: bytes) -> int | None:
    """Which event of the run that `mark` begins a name is of; None of another run's."""
    return int(name[len(mark) :]) if name.startswith(mark) and name[len(mark) :].isdigit() else None


def _reader(kafka: Connection) -> Consumer:
    """A consumer of verdicts and dead letters from now on; it reads partitions directly, without joining a group."""
    consumer = Consumer(
        kafka.client(
            {
                "group.id": "load",
                "enable.auto.commit": False,
                "fetch.min.bytes": 1 << 16,
                "fetch.wait.max.ms": 20,
                "log_level": 3,
            }
        )
    )
    at_end: list[TopicPartition] = []
    for name in (VIDEOS_VERDICTS.name, VIDEOS_UPLOADED.dead):
        for partition in consumer.list_topics(name, timeout=10.0).topics[name].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10.0)
            at_end.append(TopicPartition(name, partition, end))
    if not at_end:
        raise DependencyError(f"{kafka.servers}: {VIDEOS_VERDICTS.name} has no partitions")
    consumer.assign(at_end)
    return consumer
