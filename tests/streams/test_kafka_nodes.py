"""Three real nodes: one is killed while records come in, nothing that was confirmed is lost, and all copies return."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from contracts.errors import DependencyError
from contracts.topics import VIDEOS_UPLOADED
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer, OutgoingRecord
from streams.processes import Part
from tests.streams.conftest import Topics, needs_kafka, start_kafka
from tests.streams.watching import until

pytestmark = [pytest.mark.kafka, needs_kafka]
TOPIC = VIDEOS_UPLOADED.name
N_EACH = 50


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    part = start_kafka(tmp_path_factory.mktemp("nodes"), "--nodes", "3", "--back-after", "2", "--partitions", "3")
    try:
        yield part
    finally:
        assert part.end(within_s=60) == 0


@pytest.fixture
def connection(nodes: Part) -> Connection:
    return Connection.from_environment(nodes.ready["environment"])


def kill(nodes: Part, number: int) -> int:
    """End a node as a crash would; returns the process id that it had."""
    pid = pid_of(nodes, number)
    os.kill(pid, signal.SIGKILL)
    return pid


def pid_of(nodes: Part, number: int) -> int:
    [file] = [Path(node["pid_file"]) for node in nodes.ready["nodes"] if node["node"] == number]
    return int(file.read_text())


class Sending:
    """Sends batches one after the other until told to stop, and remembers what was confirmed."""

    def __init__(self, connection: Connection) -> None:
        self.confirmed: list[bytes] = []
        self.refused = 0
        self.longest_s = 0.0
        self._producer = ConfirmedProducer(connection, client_id="test")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        tried = 0
        while not self._stop.wait(0.01):  # paced: what is sent is read again, and the machine may be slow
            batch = [OutgoingRecord(TOPIC, b"k%d" % n, b"%d-%d" % (tried, n)) for n in range(N_EACH)]
            tried += 1
            began = time.monotonic()
            try:
                self._producer.send_now(batch)
            except DependencyError:
                self.refused += 1
            else:
                self.confirmed += [record.value for record in batch]
                self.longest_s = max(self.longest_s, time.monotonic() - began)

    def goes_on(self) -> None:
        """Wait until ten more batches are confirmed."""
        wanted = len(self.confirmed) + 10 * N_EACH
        until(lambda: len(self.confirmed) >= wanted, within_s=90)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.close()


def short_of_copies(admin: AdminClient) -> int:
    """How many partitions have copies that are behind or away."""
    topics = admin.list_topics(timeout=30).topics.values()
    return sum(len(p.isrs) < len(p.replicas) for topic in topics for p in topic.partitions.values())


def test_nothing_confirmed_is_lost_when_a_leader_is_killed(
    nodes: Part, connection: Connection, capsys: pytest.CaptureFixture[str]
):
    admin = AdminClient(connection.client({"log_level": 0}))
    found = admin.list_topics(TOPIC, timeout=30).topics[TOPIC].partitions
    assert {len(partition.replicas) for partition in found.values()} == {3}
    topics = Topics(connection)
    topics.watch(TOPIC)
    sending = Sending(connection)
    try:
        sending.goes_on()
        before = kill(nodes, found[0].leader)
        sending.goes_on()
        until(lambda: pid_of(nodes, found[0].leader) != before, within_s=60)
        until(lambda: short_of_copies(admin) == 0, within_s=120)
        sending.goes_on()
    finally:
        sending.stop()
    came = [m.value() for m in topics.read(TOPIC, len(sending.confirmed))]
    topics.close()
    assert set(sending.confirmed) <= set(came)
    repeats = len(came) - len(set(came))
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{len(sending.confirmed)} confirmed, {repeats} repeated, {sending.refused} batches refused,"
            f" longest wait {sending.longest_s:.1f} s, a leader killed"
        )
    assert repeats == 0, "an idempotent producer writes each record once"


def test_what_one_node_alone_has_is_not_confirmed(nodes: Part, connection: Connection):
    admin = AdminClient(connection.client({"log_level": 0}))
    until(lambda: short_of_copies(admin) == 0, within_s=120)
    producer = ConfirmedProducer(connection, client_id="test", deadline_s=1.5)
    batch = [OutgoingRecord(TOPIC, b"k%d" % n, b"alone-%d" % n) for n in range(N_EACH)]
    producer.send_now(batch)
    for number in (2, 3):
        kill(nodes, number)
    with pytest.raises(DependencyError, match=rf"^{N_EACH} of {N_EACH} records were not delivered within 1\.5 s"):
        producer.send_now(batch)

    def confirmed() -> bool:
        try:
            producer.send_now(batch)
        except DependencyError:
            return False
        return True

    until(confirmed, within_s=120)
    producer.close()
