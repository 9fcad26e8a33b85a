"""Uploads at a steady rate in, their verdicts and how long each took out: the demo's one conversation with Kafka."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from confluent_kafka import Consumer, Producer, TopicPartition

from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from streams.kafka.connection import Connection


@dataclass(slots=True)
class Judged:
    """Verdicts in the order they came; milliseconds from intended send time to produced verdict; dead letters."""

    verdicts: list[Verdict] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)
    dead: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.verdicts) / self.seconds if self.seconds else 0.0


def moderate_all(
    broker: Connection,
    uploads: Sequence[VideoUploaded],
    *,
    per_second: float,
    patience_s: float = 30.0,
    advance: Callable[[int], None] = lambda _: None,
) -> Judged:
    """Send each upload at its time, as if it had occurred then, and wait for its verdict or its dead letter.

    Stops waiting when nothing has come for `patience_s`.
    """
    producer = Producer(broker.client({"linger.ms": 2, "log_level": 3}))
    consumer = _from_now_on(broker, (VIDEOS_VERDICTS.name, VIDEOS_UPLOADED.dead))
    judged, due = Judged(), dict[str, float]()
    start = last = time.time() + 0.05
    sent = 0
    while len(judged.verdicts) + judged.dead < len(uploads) and time.time() - last < patience_s:
        while sent < len(uploads) and start + sent / per_second <= time.time():
            due[uploads[sent].event_id] = intended = start + sent / per_second
            event = uploads[sent].model_copy(update={"occurred_at": datetime.fromtimestamp(intended, UTC)})
            producer.produce(VIDEOS_UPLOADED.name, event.model_dump_json(), event.video_id)
            sent += 1
        producer.poll(0)
        for message in consumer.consume(500, timeout=0.01):
            if message.error() is not None:
                continue
            last = time.time()
            if message.topic() == VIDEOS_UPLOADED.dead:
                judged.dead += 1
                advance(1)
                continue
            verdict = Verdict.model_validate_json(message.value())
            if (intended_s := due.pop(verdict.event_id, None)) is not None:
                judged.verdicts.append(verdict)
                judged.latency_ms.append(message.timestamp()[1] - intended_s * 1000.0)
                advance(1)
    producer.flush(5.0)
    consumer.close()
    judged.seconds = last - start
    return judged


def _from_now_on(broker: Connection, topics: Sequence[str]) -> Consumer:
    consumer = Consumer(broker.client({"group.id": "demo", "enable.auto.commit": False, "log_level": 3}))
    ends = []
    for topic in topics:
        for partition in consumer.list_topics(topic, timeout=10.0).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10.0)
            ends.append(TopicPartition(topic, partition, end))
    consumer.assign(ends)
    return consumer
