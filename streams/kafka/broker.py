"""The embedded broker: librdkafka's mock cluster in a process of its own, a Kafka endpoint on loopback.

It speaks the real protocol over TCP, keeps everything in memory (at most 5 MB or 100,000 messages a
partition, the oldest go first), gives each topic 4 partitions and forgets all when its process ends. It
answers a fetch that finds nothing only after the whole of the fetch's maximum wait: consumers that want
low latency ask for a short one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Producer

from contracts.errors import DependencyError
from contracts.topics import TOPICS

PARTITIONS = 4
PARTITION_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A running mock cluster: its bootstrap address and the topics that it declared."""

    address: str
    topics: tuple[str, ...]


@contextmanager
def embedded_broker(*, timeout_s: float = 10.0) -> Iterator[EmbeddedBroker]:
    """Run the broker in this process's background threads while the context is open.

    The kernel chooses its port: librdkafka offers no way to name one.
    """
    client = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 3})
    brokers = client.list_topics(timeout=timeout_s).brokers
    if not brokers:
        raise DependencyError(f"the embedded broker did not start within {timeout_s} s")
    broker = next(iter(brokers.values()))
    names = tuple(name for topic in TOPICS for name in (topic.name, topic.dead))
    for name in names:
        client.list_topics(name, timeout=timeout_s)  # asking for a topic creates it
    try:
        yield EmbeddedBroker(f"{broker.host}:{broker.port}", names)
    finally:
        client.flush(0)
