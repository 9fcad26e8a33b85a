"""What sink and recorder wrote into the warehouse, as Prometheus metrics: rows, inserts, how old a row is when kept."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client import Counter, Histogram

from streams.watching.consuming import ConsumingMetrics
from streams.watching.histogram import BatchHistogram

INSERT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
ROW_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0)


class IngestMetrics(ConsumingMetrics):
    """Metrics of a part that copies topics into the warehouse; times in seconds."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._now = now
        self._rows = Counter("precedent_ingest_rows", "rows written", ["topic"], registry=self.registry)
        self._insert = Histogram(
            "precedent_ingest_insert_seconds",
            "time of an insert that the warehouse took",
            ["topic"],
            buckets=INSERT_BUCKETS_S,
            registry=self.registry,
        )
        self._age = BatchHistogram(
            "precedent_ingest_row_latency_seconds",
            "from a record's time in Kafka to its row being kept",
            ROW_BUCKETS_S,
            self.registry,
        )

    @contextmanager
    def inserting(self, topic: str, rows: int) -> Iterator[None]:
        """Take the time of an insert and count its rows; one that raises wrote nothing that counts."""
        began = time.perf_counter()
        yield
        self._insert.labels(topic).observe(time.perf_counter() - began)
        self._rows.labels(topic).inc(rows)

    def observe_kept(self, sent_s: Sequence[float]) -> None:
        """Count records by how long after they were sent, in seconds since 1970, they were kept."""
        if sent_s:
            self._age.observe(self._now() - np.array(sent_s, np.float64))


class Places:
    """What of a plain consumer's partitions is committed, and how much lies behind it, in events."""

    def __init__(self) -> None:
        self._committed: dict[tuple[str, int], int] = {}
        self.generation = 0

    def assigned(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Note a new assignment, and where its group was; a broker that does not say leaves it unknown."""
        self.generation += 1
        try:
            known = consumer.committed(list(partitions), timeout=5.0)
        except KafkaException:
            known = []
        self._committed = {(tp.topic, tp.partition): tp.offset for tp in known if tp.offset >= 0}

    def done(self, ends: Mapping[tuple[str, int], int]) -> None:
        """Note what was committed."""
        self._committed |= ends

    def show(self, consumer: Consumer, metrics: ConsumingMetrics) -> None:
        """Show committed offset and lag by partition held, of all topics together."""
        committed: dict[int, int] = {}
        lag: dict[int, int] = {}
        for tp in consumer.assignment():
            low, high = consumer.get_watermark_offsets(tp, cached=True)
            done = self._committed.get((tp.topic, tp.partition), max(low, 0))
            committed[tp.partition] = committed.get(tp.partition, 0) + done
            lag[tp.partition] = lag.get(tp.partition, 0) + max(0, high - done)
        metrics.see_offsets(committed, lag)
        metrics.see_generation(self.generation)
