"""Plain HTTP requests, good and bad: each bad one gets a ClickHouse error, and the process lives on."""

import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.warehouse.owners import Owner, running_owner
from warehouse.address import Client, connect


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def test_ping_needs_no_credentials(owner: Owner) -> None:
    for path in ("/ping", "/"):
        reply = owner.send(method="GET", path=path, headers={})
        assert (reply.status, reply.body) == (200, b"Ok.\n")


def test_credentials_may_come_in_each_of_clickhouse_s_ways(owner: Owner) -> None:
    user, password = owner.address.user, owner.address.password
    for headers in (basic(user, password), {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}):
        assert owner.send(b"SELECT 1", headers=headers).body == b"1\n"
    assert owner.send(b"SELECT 1", headers={}, user=user, password=password).body == b"1\n"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("default", ""),
        basic("precedent", "guess"),
        {"Authorization": "Basic not-base64"},
        {"Authorization": "Bearer token"},
        {"X-ClickHouse-User": "precedent", "X-ClickHouse-Key": "guess"},
    ],
)
def test_wrong_credentials_are_refused_with_516(owner: Owner, headers: dict[str, str]) -> None:
    reply = owner.send(b"SELECT 1", headers=headers)
    assert (reply.status, reply.code) == (403, "516")
    assert b"Authentication failed" in reply.body
    assert reply.headers["www-authenticate"].startswith("Basic")


def test_a_query_may_lie_in_the_url_in_the_body_or_in_both(owner: Owner) -> None:
    assert owner.send(method="GET", query="SELECT 1").body == b"1\n"
    assert owner.send(b"SELECT 2").body == b"2\n"
    assert owner.send(b"+ 3 FORMAT JSONEachRow", query="SELECT 2 AS x, x").body.count(b":") == 2
    owner.send(b"CREATE TABLE posted (a UInt8) ENGINE = Memory")
    owner.send(b"1\n2\n", query="INSERT INTO posted FORMAT CSV")
    owner.send(b"(3), (4)", query="INSERT INTO posted VALUES")
    assert owner.send(b"SELECT sum(a) FROM posted").body == b"10\n"
    owner.send(b"DROP TABLE posted")


def test_get_may_only_read(owner: Owner) -> None:
    reply = owner.send(method="GET", query="CREATE TABLE got (a UInt8) ENGINE = Memory")
    assert (reply.status, reply.code) == (400, "164")


def test_the_format_may_be_asked_for_in_three_ways(owner: Owner) -> None:
    said = owner.send(b"SELECT 1 AS a FORMAT JSONEachRow")
    for reply in (said, owner.send(b"SELECT 1 AS a", default_format="JSONEachRow")):
        assert reply.body == b'{"a":1}\n'
        assert reply.headers["x-clickhouse-format"] == "JSONEachRow"
    header = basic(owner.address.user, owner.address.password) | {"X-ClickHouse-Format": "CSV"}
    assert owner.send(b"SELECT 'a'", headers=header).body == b'"a"\n'


@pytest.mark.parametrize(
    ("url", "headers", "status", "code"),
    [
        ({"no_such_setting": "1"}, {}, 404, "115"),
        ({"a b": "1"}, {}, 400, "408"),
        ({"database": "nowhere"}, {}, 404, "81"),
        ({"compress": "1"}, {}, 501, "48"),
        ({"decompress": "1"}, {}, 501, "48"),
        ({"session_timeout": "soon"}, {}, 400, "374"),
        ({"session_id": "x", "session_check": "1"}, {}, 404, "372"),
        ({}, {"Content-Encoding": "snappy"}, 400, "89"),
        ({}, {"Content-Encoding": "br"}, 400, "271"),
        ({}, {"Content-Encoding": "zstd"}, 400, "271"),
        ({}, {"Content-Type": "multipart/form-data"}, 400, "408"),
        ({"default_format": "NoSuchFormat"}, {}, 404, "73"),
    ],
)
def test_what_is_not_understood_is_refused(
    owner: Owner, url: dict[str, str], headers: dict[str, str], status: int, code: str
) -> None:
    given = basic(owner.address.user, owner.address.password) | headers
    reply = owner.send(b"SELECT 1", headers=given, **url)
    assert (reply.status, reply.code) == (status, code), reply.body
    assert reply.body.startswith(f"Code: {code}. DB::Exception: ".encode())


def test_an_empty_statement_and_broken_text_are_syntax_errors(owner: Owner) -> None:
    for sql in (b"", b"  -- nothing", b"SELECT '\xff'", b"\x00\x01"):
        assert owner.send(sql).code == "62"


def test_two_requests_at_once_exclude_each_other_in_a_session(owner: Owner, client: Client) -> None:
    token = basic(owner.address.user, owner.address.password)["Authorization"]
    sql = "SELECT+sum(sipHash64(number))+FROM+numbers(3000000000000)"
    url = f"/?session_id=shared&cancel_http_readonly_queries_on_client_close=1&query={sql}"
    running = "SELECT count() FROM system.processes WHERE query LIKE '%numbers(3000000000000)%' "
    running += "AND query NOT LIKE '%processes%'"
    with socket.create_connection((owner.address.host, owner.address.port)) as first:
        first.sendall(f"GET {url} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
        wait_until(lambda: client.command(running) == 1)
        assert owner.send(b"SELECT 1", session_id="shared").code == "373"
    wait_until(lambda: owner.send(b"SELECT 1", session_id="shared").body == b"1\n")


def test_a_session_may_be_closed_by_its_last_request(owner: Owner) -> None:
    owner.send(b"CREATE TEMPORARY TABLE kept (a UInt8)", session_id="brief")
    assert owner.send(b"SELECT count() FROM kept", session_id="brief", close_session="1").body == b"0\n"
    assert owner.send(b"SELECT count() FROM kept", session_id="brief").code == "60"


def test_a_read_only_request_cannot_write_and_leaves_its_session_writable(owner: Owner) -> None:
    sql = b"CREATE TEMPORARY TABLE written (a UInt8)"
    assert owner.send(sql, session_id="writer", readonly="1").code == "164"
    assert owner.send(sql, session_id="writer").status == 200


@pytest.fixture
def counted(client: Client) -> Iterator[str]:
    client.command("CREATE OR REPLACE TABLE counted (a UInt32) ENGINE = MergeTree ORDER BY a")
    yield "precedent.counted"
    client.command("DROP TABLE counted")


def test_a_body_cut_off_by_the_network_inserts_nothing(owner: Owner, client: Client, counted: str) -> None:
    token = basic(owner.address.user, owner.address.password)["Authorization"]
    head = f"POST /?query=INSERT+INTO+{counted}+FORMAT+CSV HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
    with socket.create_connection((owner.address.host, owner.address.port)) as raw:
        raw.sendall(f"{head}Content-Length: 100\r\n\r\n1\n2\n3\n".encode())
    with socket.create_connection((owner.address.host, owner.address.port)) as raw:
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n4\r\n1\n2\n\r\n".encode())
    assert client.command(f"SELECT count() FROM {counted}") == 0


def test_a_failure_in_the_sender_s_rows_inserts_nothing(owner: Owner, client: Client, counted: str) -> None:
    rows = b"".join(b"%d\n" % n for n in range(100_000)) + b"not a number\n"
    reply = owner.send(rows, query=f"INSERT INTO {counted} FORMAT CSV")
    assert (reply.status, reply.code) == (400, "117")
    assert client.command(f"SELECT count() FROM {counted}") == 0


def test_a_query_ends_when_its_client_goes_away(owner: Owner, client: Client) -> None:
    token = basic(owner.address.user, owner.address.password)["Authorization"]
    sql = "SELECT+sum(sipHash64(number))+FROM+numbers(1000000000000)"
    url = f"/?cancel_http_readonly_queries_on_client_close=1&query={sql}"
    running = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number)%numbers(1000000000000)%' "
    running += "AND query NOT LIKE '%processes%'"
    with socket.create_connection((owner.address.host, owner.address.port)) as raw:
        raw.sendall(f"GET {url} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
        wait_until(lambda: client.command(running) == 1)
    wait_until(lambda: client.command(running) == 0)


def test_a_query_that_computes_between_rows_ends_when_its_client_goes_away(owner: Owner, client: Client) -> None:
    token = basic(owner.address.user, owner.address.password)["Authorization"]
    sql = "SELECT+number+FROM+numbers(2000000000000)+WHERE+number<200000+OR+sipHash64(number)=1"
    running = "SELECT count() FROM system.processes WHERE query LIKE '%numbers(2000000000000)%' "
    running += "AND query NOT LIKE '%processes%'"
    for form in ("CSV", "JSON"):
        with socket.create_connection((owner.address.host, owner.address.port)) as raw:
            head = f"GET /?default_format={form}&query={sql} HTTP/1.1\r\nHost: x\r\n"
            raw.sendall(f"{head}Authorization: {token}\r\n\r\n".encode())
            assert raw.recv(1 << 16)
            assert client.command(running) == 1
        wait_until(lambda: client.command(running) == 0)


def test_several_threads_query_and_insert_at_once(owner: Owner, client: Client, counted: str) -> None:
    failures: list[Exception] = []

    def work(first: int) -> None:
        try:
            own = connect(owner.address)
            for start in range(first, first + 1_000, 100):
                own.insert(counted.partition(".")[2], [[n] for n in range(start, start + 100)], column_names=["a"])
                assert own.command("SELECT sum(number) FROM numbers(1000)") == 499_500
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n * 1_000,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert client.query(f"SELECT count(), uniqExact(a) FROM {counted}").result_rows == [(6_000, 6_000)]


def test_a_body_beyond_the_limit_is_413(tmp_path: Path) -> None:
    with running_owner(tmp_path / "data", tmp_path / "log", "--max-body-mb", "1") as small:
        reply = small.send(b"SELECT 1 -- " + bytes(2 << 20))
        assert (reply.status, reply.code) == (413, "307")
        assert small.send(b"SELECT 1").body == b"1\n"


def wait_until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
