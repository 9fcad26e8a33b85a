"""A real Kafka that asks who we are and shows who it is: both client libraries come in, or are told why not."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.topics import USERS_REPORTS
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer, OutgoingRecord
from streams.kafka.reaching import reach
from streams.stack import precedent
from tests.certificates import needs_openssl, self_signed
from tests.streams.conftest import Topics, needs_kafka, start_kafka
from tests.streams.test_recorder import Rows, record, reports
from tests.streams.test_sink import VERDICTS, running, verdicts
from tests.streams.test_sink import Rows as Verdicts
from tests.streams.watching import until

pytestmark = [pytest.mark.kafka, needs_kafka, needs_openssl]
PASSWORD, CA = "PRECEDENT_KAFKA_PASSWORD", "PRECEDENT_KAFKA_CA"
WRONG_PASSWORD = r"Authentication failed .*invalid credentials"
WRONG_AUTHORITY = r"certificate verify failed"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What lets a client in at a node that speaks SASL over TLS."""
    part = start_kafka(tmp_path_factory.mktemp("doors"), "--security", "SASL_SSL", "--partitions", "2")
    try:
        yield part.ready["environment"]
    finally:
        assert part.end(within_s=40) == 0


def test_each_mechanism_lets_us_in(environment: dict[str, str]):
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        reach(Connection.from_environment(environment | {"PRECEDENT_KAFKA_MECHANISM": mechanism}))


def test_faust_and_the_producers_work_through_the_door(environment: dict[str, str]):
    connection, rows = Connection.from_environment(environment), Rows()
    producer = ConfirmedProducer(connection, client_id="test")
    producer.send_now([OutgoingRecord(USERS_REPORTS.name, None, value) for value in reports("door-1", "door-2")])
    producer.close()
    record(connection, "door", {USERS_REPORTS: rows}, lambda: rows.ids("door") == ["door-1", "door-2"])


def test_the_sink_works_through_the_door(environment: dict[str, str]):
    connection, rows = Connection.from_environment(environment), Verdicts("door")
    topics = Topics(connection)
    topics.send(VERDICTS, *verdicts("door-a"))
    with running(connection, rows):
        until(lambda: rows.all == ["e-door-a"])
    topics.close()


@pytest.fixture
def wrong(request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment with what is wrong in it: the password, or the authority that is trusted."""
    if request.param == PASSWORD:
        return {**environment, "PRECEDENT_KAFKA_PASSWORD_FILE": "", PASSWORD: "not-the-password"}
    other, _ = self_signed(tmp_path / "other", "other")
    return environment | {CA: str(other)}


on_each_fault = pytest.mark.parametrize(
    ("wrong", "words"), [(PASSWORD, WRONG_PASSWORD), (CA, WRONG_AUTHORITY)], indirect=["wrong"]
)


@on_each_fault
def test_a_producer_is_told_at_once_why_it_may_not_come_in(wrong: dict[str, str], words: str):
    producer = ConfirmedProducer(Connection.from_environment(wrong), client_id="test")
    with pytest.raises(BadInputError, match=rf"PRECEDENT_KAFKA_\* say do not go together: .*{words}"):
        asyncio.run(producer.reach())
    producer.close()


@on_each_fault
@pytest.mark.parametrize("part", ["recorder", "sink"])
def test_a_part_that_may_not_come_in_ends_with_the_reason(wrong: dict[str, str], words: str, part: str):
    warehouse = {"PRECEDENT_WAREHOUSE": "http://u:p@127.0.0.1:1/precedent"}
    done = subprocess.run(
        precedent(part),
        check=False,
        env={"PATH": "/usr/bin:/bin", **wrong, **warehouse},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("precedent: broker 127.0.0.1:")
    assert re.search(words, last)
    assert "not-the-password" not in done.stderr
