"""Confirmed means confirmed: on the real embedded broker, and without it."""

import asyncio
from pathlib import Path

import pytest

from contracts.errors import DependencyError
from streams.kafka.broker import PARTITION_BYTES
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer, OutgoingRecord
from streams.processes import start_part
from streams.stack import precedent
from tests.streams.conftest import Topics

TOPIC, OTHER = "cases.opened", "cases.appeals"


def test_what_was_sent_is_in_the_topic_and_a_keys_records_keep_their_order(broker: Connection, topics: Topics):
    topics.watch(TOPIC)
    producer = ConfirmedProducer(broker, client_id="test")
    records = [OutgoingRecord(TOPIC, b"k%d" % (n % 3), b"%d" % n) for n in range(999)]

    asyncio.run(producer.send(records))
    producer.close()

    came = topics.read(TOPIC, 999, within_s=10)
    for key in (b"k0", b"k1", b"k2"):
        numbers = [int(m.value()) for m in came if m.key() == key]
        assert numbers == sorted(numbers)
        assert len(numbers) == 333


def test_nothing_to_send_needs_no_broker():
    producer = ConfirmedProducer(Connection("127.0.0.1:1"), client_id="test")
    asyncio.run(producer.send([]))
    producer.close()


def test_a_broker_that_is_away_is_a_dependency_that_does_not_answer(tmp_path: Path):
    part = start_part("broker", precedent("broker"), log=tmp_path / "log")
    producer = ConfirmedProducer(Connection(part.address), client_id="test", deadline_s=1.0)
    producer.send_now([OutgoingRecord(TOPIC, None, b"first")])
    part.end()

    with pytest.raises(DependencyError, match=r"2 of 2 records were not delivered within 1 s"):
        producer.send_now([OutgoingRecord(TOPIC, None, b"second"), OutgoingRecord(TOPIC, None, b"third")])
    producer.close()


def test_the_embedded_broker_forgets_the_oldest_beyond_its_bound(broker: Connection, topics: Topics):
    """Why producers of the embedded broker pace themselves."""
    producer = ConfirmedProducer(broker, client_id="test")
    chunk = 500_000
    for _ in range(2 * PARTITION_BYTES // chunk):
        producer.send_now([OutgoingRecord(OTHER, b"one key", bytes(chunk))])
    producer.close()

    kept = [topics._reader.get_watermark_offsets(tp, timeout=5) for tp in partitions(topics)]
    assert 0 < sum(high - low for low, high in kept) * chunk <= PARTITION_BYTES
    assert sum(high for _, high in kept) == 2 * PARTITION_BYTES // chunk


def partitions(topics: Topics) -> list:
    topics.watch(OTHER)
    return topics._from[OTHER]


def test_the_broker_cannot_be_given_a_port(tmp_path: Path):
    import subprocess

    done = subprocess.run(precedent("broker", "--port", "9092"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("precedent: --port == 9092, must be 0")
