"""Limits of an owner: memory, bodies, queries at a time, and results far larger than what it may hold."""

import gzip
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from tests.warehouse.owners import Owner, Reply, running_owner
from warehouse.address import Client, connect
from warehouse.owner.memory import SMALLEST_BYTES, Memory, memory_of_machine

ENDLESS = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
WIDE = "SELECT number, toString(number * 17) AS text, number / 3 AS third FROM numbers({})"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    folder = tmp_path_factory.mktemp("small")
    limits = ["--max-memory-mb", "600", "--max-body-mb", "8", "--max-queries", "2", "--queue-s", "0.3"]
    with running_owner(folder / "data", folder / "log", *limits) as owner:
        yield owner


@pytest.fixture
def client(small: Owner) -> Client:
    return connect(small.address)


def rss_bytes(owner: Owner) -> int:
    line = next(
        line
        for line in Path(f"/proc/{owner.process.pid}/status").read_text(encoding="ascii").splitlines()
        if line.startswith("VmRSS")
    )
    return int(line.split()[1]) << 10


def test_a_machine_s_memory_is_shared_out() -> None:
    machine = memory_of_machine()
    assert machine.total_bytes >= SMALLEST_BYTES
    assert (Memory(900).query_bytes, Memory(900).merge_bytes, Memory(900).cache_bytes) == (600, 450, 90)


def test_a_query_over_its_memory_fails_with_clickhouse_s_code_and_the_owner_lives_on(client: Client) -> None:
    for _ in range(2):
        with pytest.raises(ClickHouseError, match="Query memory limit exceeded") as refused:
            client.command("SELECT length(groupArray(number)) FROM numbers(1000000000)")
        assert (refused.value.code, refused.value.name) == (241, "MEMORY_LIMIT_EXCEEDED")
    assert client.command("SELECT 1") == 1


def test_a_query_that_asks_for_more_meets_the_limit_of_all(client: Client, small: Owner) -> None:
    with pytest.raises(ClickHouseError, match=r"\(total\) memory limit exceeded") as refused:
        client.command("SELECT length(groupArray(number)) FROM numbers(1000000000)", settings={"max_memory_usage": "0"})
    assert refused.value.code == 241
    assert client.command("SELECT 1") == 1
    assert rss_bytes(small) < 1_200 << 20


def test_a_setting_of_one_request_does_not_lift_the_limit_for_the_next(small: Owner) -> None:
    ask = b"SELECT getSetting('max_memory_usage')"
    assert small.send(ask, session_id="s", max_memory_usage="0").body == b"0\n"
    assert int(small.send(ask, session_id="s").body) == (600 << 20) * 2 // 3
    assert int(small.send(ask).body) == (600 << 20) * 2 // 3


def test_a_body_over_the_limit_is_413_with_value_and_rule_packed_or_not(small: Owner) -> None:
    rows = b"INSERT INTO nowhere FORMAT TSV\n" + bytes(20 << 20)
    token = b64encode(f"{small.address.user}:{small.address.password}".encode()).decode()
    for body, headers in ((rows, {}), (gzip.compress(rows), {"Content-Encoding": "gzip"})):
        reply = small.send(body, headers={"Authorization": f"Basic {token}", **headers})
        assert (reply.status, reply.code) == (413, "307")
        assert b"must be at most 8388608 in both" in reply.body
    assert small.send(b"SELECT 1").body == b"1\n"


def endless(owner: Owner, name: str) -> Reply:
    """The end of a statement that only a KILL ends; one that found no seat in time asks again."""
    reply = owner.send(ENDLESS.encode(), log_comment=name)
    while reply.code == "202":
        reply = owner.send(ENDLESS.encode(), log_comment=name)
    return reply


def test_statements_beyond_the_limit_wait_and_are_then_refused_but_may_be_killed(small: Owner) -> None:
    deadline = time.monotonic() + 60
    with ThreadPoolExecutor(2) as pool:
        seated = [pool.submit(endless, small, f"endless {n}") for n in range(2)]
        try:
            refusal = small.send(b"SELECT 1")
            while refusal.status == 200:  # they have not begun yet
                assert time.monotonic() < deadline
                time.sleep(0.05)
                refusal = small.send(b"SELECT 1")
        finally:
            while not all(running.done() for running in seated):  # one may have its seat and not have begun
                assert small.send(b"KILL QUERY WHERE Settings['log_comment'] LIKE '%endless%' SYNC").status == 200
                time.sleep(0.05)
        assert (refusal.status, refusal.code) == (503, "202")
        assert b"2 are running, at most 2 may, and none ended within 0.3 s" in refusal.body
        assert [running.result().code for running in seated] == ["394", "394"]
    assert small.send(b"SELECT 1").body == b"1\n"


def test_a_stream_left_unread_keeps_its_seat_and_gives_it_back_when_its_client_goes(small: Owner) -> None:
    token = b64encode(f"{small.address.user}:{small.address.password}".encode()).decode()
    ask = "GET /?query=SELECT+number+FROM+numbers(1000000000) HTTP/1.1\r\nHost: x\r\n"
    ask += f"Authorization: Basic {token}\r\n\r\n"
    readers = [socket.create_connection((small.address.host, small.address.port)) for _ in range(2)]
    for reader in readers:
        reader.sendall(ask.encode())
        assert reader.recv(1)
    assert small.send(b"SELECT 1").code == "202"
    for reader in readers:
        reader.close()
    deadline = time.monotonic() + 20
    while small.send(b"SELECT 1").status != 200:
        assert time.monotonic() < deadline


def test_more_clients_than_seats_are_all_served_in_turn(small: Owner) -> None:
    failures: list[str | None] = []

    def work() -> None:
        for _ in range(5):
            reply = small.send(b"SELECT sum(number) FROM numbers(1000)")
            if reply.body != b"499500\n":
                failures.append(reply.code)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize(
    ("form", "rows", "at_least"),
    [
        ("Native", 10_000_000, 250_000_000),
        ("ArrowStream", 10_000_000, 160_000_000),
        ("JSONCompact", 4_000_000, 140_000_000),
    ],
)
def test_a_large_result_is_never_held_whole(client: Client, small: Owner, form: str, rows: int, at_least: int) -> None:
    before = peak = rss_bytes(small)
    received = 0
    with client.raw_stream(WIDE.format(rows), fmt=form) as raw:
        while piece := raw.read(1 << 20):
            received += len(piece)
            peak = max(peak, rss_bytes(small))
    assert received > at_least
    assert peak - before < 96 << 20
    assert list((Path(small.ready["path"]) / "spool").iterdir()) == []


def test_an_arrow_file_of_many_rows_is_one_file(client: Client) -> None:
    table = client.query_arrow("SELECT number AS n FROM numbers(1000000)")
    assert table.schema == pa.schema([pa.field("n", pa.uint64(), nullable=False)])
    assert table.column("n").to_numpy().sum() == 499_999_500_000
