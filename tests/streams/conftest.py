"""Brokers, each once for all tests that need nothing else, with names of their own: the embedded one and a real Kafka.

`broker` is the embedded one, or the real one where PRECEDENT_TEST_KAFKA=1 asks for the whole of these tests on it. A
module that stands for the others runs on both: `pytestmark = on_each_broker`.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from streams.clerk.notebook import Notebook
from streams.kafka.connection import Connection
from streams.processes import Part, start_part
from streams.stack import precedent

RUN = Path(__file__).parents[2] / "deploy" / "kafka" / "run"
ABSENT = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
needs_kafka = pytest.mark.skipif(bool(ABSENT), reason=f"a real Kafka needs {' and '.join(ABSENT)} on PATH")
on_each_broker = pytest.mark.parametrize(
    "broker", ["embedded", pytest.param("real", marks=[pytest.mark.kafka, needs_kafka])], indirect=True
)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    part = start_part("broker", precedent("broker"), log=tmp_path_factory.mktemp("broker") / "log")
    try:
        yield Connection(part.address, idempotent=False)
    finally:
        part.end()


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A real Kafka of one node."""
    part = start_kafka(tmp_path_factory.mktemp("kafka"), "--partitions", "6")
    try:
        yield Connection.from_environment(part.ready["environment"])
    finally:
        assert part.end(within_s=40) == 0


def start_kafka(folder: Path, *options: str) -> Part:
    """Start a real Kafka on free ports, without waiting for it."""
    command = [str(RUN), "--port", "0", "--state-dir", str(folder / "state"), *options]
    return start_part("kafka", command, log=folder / "log", ready_within_s=300.0)


ON_REAL = os.environ.get("PRECEDENT_TEST_KAFKA") == "1"


@pytest.fixture(scope="session")
def another_kafka(request: pytest.FixtureRequest) -> str | None:
    """The address of the broker that a whole stack is to use; None: one of its own."""
    return request.getfixturevalue("real").servers if ON_REAL else None


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Connection:
    found: Connection = request.getfixturevalue(getattr(request, "param", "real" if ON_REAL else "embedded"))
    return found


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    """A clerk's notebook of its own."""
    opened = Notebook(tmp_path)
    yield opened
    opened.close()


class Topics:
    """Sends to topics and reads what is in them from the moment of its making."""

    def __init__(self, broker: Connection) -> None:
        self.broker = broker
        self._producer = Producer(broker.client({"linger.ms": 1, "log_level": 0}))
        self._from: dict[str, list[TopicPartition]] = {}
        self._reader = Consumer(
            broker.client({"group.id": "reader", "enable.auto.commit": False, "fetch.wait.max.ms": 20, "log_level": 0})
        )
        self._kept: dict[str, list[Message]] = {}

    def watch(self, *topics: str) -> None:
        """Note where the topics end now; `read` begins there."""
        for topic in topics:
            partitions = self._reader.list_topics(topic, timeout=10).topics[topic].partitions
            self._from[topic] = [TopicPartition(topic, p, self._end(topic, p)) for p in partitions]
            self._kept[topic] = []
        self._reader.assign([tp for places in self._from.values() for tp in places])

    def _end(self, topic: str, partition: int) -> int:
        """Where a partition ends; one whose leader was chosen this moment may have to be asked again."""
        until = time.monotonic() + 30.0
        while True:
            try:
                return int(self._reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1])
            except KafkaException as error:
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def send(self, topic: str, *values: bytes | None, key: bytes | None = None, partition: int = -1) -> None:
        for value in values:
            self._producer.produce(topic, value, key, partition=partition)
            self._producer.poll(0)
        assert self._producer.flush(10) == 0

    def read(self, topic: str, count: int, *, within_s: float = 30.0, where: Callable[[Message], bool] = bool) -> list:
        """At least `count` messages that came to a watched topic and for which `where` holds."""
        until = time.monotonic() + within_s
        while True:
            for message in self._reader.consume(2_000, timeout=0.05):
                if message.error() is None:
                    self._kept[message.topic()].append(message)
            wanted = [m for m in self._kept[topic] if where(m)]
            if len(wanted) >= count or time.monotonic() > until:
                assert len(wanted) >= count, f"{topic}: {len(wanted)} of {count} came within {within_s} s"
                return wanted

    def close(self) -> None:
        self._reader.close()


@pytest.fixture
def topics(broker: Connection) -> Iterator[Topics]:
    opened = Topics(broker)
    yield opened
    opened.close()
