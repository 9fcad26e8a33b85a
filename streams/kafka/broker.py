"""The embedded broker: librdkafka's mock cluster in a process of its own, a Kafka endpoint on loopback.

It speaks the real protocol over TCP, keeps everything in memory (at most 5 MB or 100,000 messages a
partition, the oldest go first) and forgets all when its process ends. The kernel chooses its port. It answers
a fetch that finds nothing only after the whole of the fetch's maximum wait, lets the first member of a group
wait for others (`FIRST_MEMBER_WAITS_MS`), and every later rebalance lasts a second less than the session
timeout. It is made through librdkafka's own C interface (rdkafka_mock.h), of the copy that the confluent-kafka
wheel carries: its configuration property starts one too, but with 3 s for each group's first member.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka

from contracts.errors import DependencyError
from contracts.topics import TOPICS

PARTITIONS = 4
PARTITION_BYTES = 5_000_000
FIRST_MEMBER_WAITS_MS = 500
_PRODUCER = 0


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A running mock cluster: its bootstrap address, the topics that it declared, and librdkafka's handle of it."""

    address: str
    topics: tuple[str, ...]
    handle: int


@contextmanager
def embedded_broker(*, partitions: int = PARTITIONS, advertised_port: int = 0) -> Iterator[EmbeddedBroker]:
    """Run the broker in this process's background threads while the context is open; topics are declared.

    `advertised_port` is where clients are sent that ask who is in the cluster: of a relay in front of it.
    """
    library = _librdkafka()
    reason = ctypes.create_string_buffer(512)
    settings = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(settings, b"log_level", b"3", reason, len(reason))
    client = library.rd_kafka_new(_PRODUCER, settings, reason, len(reason))
    if not client:
        raise DependencyError(f"the embedded broker did not start: {reason.value.decode()}")
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    try:
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, FIRST_MEMBER_WAITS_MS)
        names = tuple(name for topic in TOPICS for name in (topic.name, topic.dead))
        for name in names:
            error = library.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1)
            if error:
                raise DependencyError(f"topic {name!r} was not created, librdkafka's error {error}")
        if advertised_port:
            library.rd_kafka_mock_broker_set_host_port(cluster, 1, b"127.0.0.1", advertised_port)
        yield EmbeddedBroker(library.rd_kafka_mock_cluster_bootstraps(cluster).decode(), names, cluster)
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)


def _librdkafka() -> ctypes.CDLL:
    """The shared library that confluent-kafka's own module is linked to."""
    package = Path(confluent_kafka.__file__).parent
    found = sorted(package.with_name("confluent_kafka.libs").glob("librdkafka-*"))
    library = ctypes.CDLL(str(found[0]) if found else "librdkafka.so.1")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, ()),
        ("rd_kafka_conf_set", number, (pointer, text, text, text, ctypes.c_size_t)),
        ("rd_kafka_new", pointer, (number, pointer, text, ctypes.c_size_t)),
        ("rd_kafka_destroy", None, (pointer,)),
        ("rd_kafka_mock_cluster_new", pointer, (pointer, number)),
        ("rd_kafka_mock_cluster_destroy", None, (pointer,)),
        ("rd_kafka_mock_cluster_bootstraps", text, (pointer,)),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, (pointer, ctypes.c_int32)),
        ("rd_kafka_mock_broker_set_host_port", None, (pointer, ctypes.c_int32, text, number)),
        ("rd_kafka_mock_topic_create", number, (pointer, text, number, number)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
