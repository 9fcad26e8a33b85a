"""Confirmed means confirmed: on the real embedded broker, and without it."""

import asyncio
import ctypes
import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from contracts.errors import DependencyError
from streams.kafka.broker import PARTITION_BYTES, EmbeddedBroker, _librdkafka, embedded_broker
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer, OutgoingRecord
from streams.processes import start_part
from streams.stack import precedent
from tests.streams.conftest import Topics
from tests.streams.relay import relay

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


def test_the_embedded_broker_forgets_the_oldest_beyond_its_bound(embedded: Connection):
    """Why producers of the embedded broker pace themselves."""
    topics = Topics(embedded)
    producer = ConfirmedProducer(embedded, client_id="test")
    chunk = 500_000
    for _ in range(2 * PARTITION_BYTES // chunk):
        producer.send_now([OutgoingRecord(OTHER, b"one key", bytes(chunk))])
    producer.close()

    kept = [topics._reader.get_watermark_offsets(tp, timeout=5) for tp in partitions(topics)]
    assert 0 < sum(high - low for low, high in kept) * chunk <= PARTITION_BYTES
    assert sum(high for _, high in kept) == 2 * PARTITION_BYTES // chunk
    topics.close()


def partitions(topics: Topics) -> list:
    topics.watch(OTHER)
    return topics._from[OTHER]


def test_the_broker_cannot_be_given_a_port(tmp_path: Path):
    import subprocess

    done = subprocess.run(precedent("broker", "--port", "9092"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("precedent: --port == 9092, must be 0")


def test_an_idempotent_producer_that_is_refused_for_good_is_another_at_the_next_try():
    with embedded_broker() as running:
        producer = ConfirmedProducer(Connection(running.address), client_id="test")
        producer.send_now([OutgoingRecord(TOPIC, b"k", b"first")])
        refuse_next(running, PRODUCE, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
        with pytest.raises(DependencyError, match=r"for good: .*FATAL.*sequence desynchronization"):
            producer.send_now([OutgoingRecord(TOPIC, b"k", b"second")] * 3)
        assert producer.renewals == 1
        producer.send_now([OutgoingRecord(TOPIC, b"k", b"third")])
        producer.close()
        reader = Topics(Connection(running.address))
        reader.watch(TOPIC)
        assert sum(tp.offset for tp in reader._from[TOPIC]) == 2
        reader.close()


def test_a_producer_that_may_not_be_idempotent_says_so_at_each_try():
    with embedded_broker() as running:
        refuse_next(running, INIT_PRODUCER_ID, *[KafkaError.CLUSTER_AUTHORIZATION_FAILED] * 2)
        producer = ConfirmedProducer(Connection(running.address), client_id="test")
        for _ in range(2):
            with pytest.raises(DependencyError, match=r"for good: .*Cluster authorization failed"):
                producer.send_now([OutgoingRecord(TOPIC, b"k", b"value")])
        producer.close()


def test_a_broker_that_comes_back_at_its_port_without_its_memory_is_sent_to_again():
    with relay() as port:
        producer = ConfirmedProducer(Connection(f"127.0.0.1:{port.port}"), client_id="test", deadline_s=5.0)
        for life in range(2):
            with embedded_broker(advertised_port=port.port) as running:
                port.to = running.address
                reader = Topics(Connection(f"127.0.0.1:{port.port}"))
                reader.watch(TOPIC)
                batch = [OutgoingRecord(TOPIC, b"k%d" % n, b"%d-%d" % (life, n)) for n in range(200)]
                sent_at_last(producer, batch)
                came = {m.value() for m in reader.read(TOPIC, 200)}
                assert came == {record.value for record in batch}
                reader.close()
        producer.close()


def sent_at_last(producer: ConfirmedProducer, batch: list[OutgoingRecord]) -> None:
    """Send as a part does: again, until all is confirmed."""
    until = time.monotonic() + 30.0
    while True:
        try:
            return producer.send_now(batch)
        except DependencyError:
            assert time.monotonic() < until
            time.sleep(0.1)


PRODUCE, INIT_PRODUCER_ID = 0, 22


def refuse_next(running: EmbeddedBroker, request: int, *codes: int) -> None:
    """Let the broker answer the next requests of a kind with these errors, as its protocol numbers them."""
    push = _librdkafka().rd_kafka_mock_push_request_errors_array
    push.restype = None
    push.argtypes = (ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int))
    push(running.handle, request, len(codes), (ctypes.c_int * len(codes))(*codes))
