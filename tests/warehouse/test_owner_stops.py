"""An owner that is told to stop, is killed or has no disk left: what it acknowledged is there, and it says so."""

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from contracts.errors import DependencyError
from tests.warehouse.owners import Owner, running_owner
from warehouse.address import Client, asking, connect

BATCH_ROWS = 1_000
# The engine cuts an insert into blocks of this many rows: each is one part, written whole or not at all.
SMALL_BLOCKS = {"max_insert_block_size": 500, "min_insert_block_size_rows": 500, "min_insert_block_size_bytes": 0}


def batch(number: int, rows: int = BATCH_ROWS) -> pa.Table:
    return pa.table({"batch": pa.array([number] * rows, pa.uint64()), "n": pa.array(range(rows), pa.uint64())})


def make_table(client: Client) -> None:
    client.command("CREATE TABLE batches (batch UInt64, n UInt64) ENGINE = MergeTree ORDER BY (batch, n)")


def insert_until_it_fails(owner: Owner, first: int, acknowledged: set[int]) -> Exception:
    """Insert batches `first`, `first` + 10, ... and note each that was acknowledged; the failure that ended it."""
    client = connect(owner.address)
    number = first
    while True:
        try:
            client.insert_arrow("batches", batch(number), settings=SMALL_BLOCKS)
        except Exception as error:  # noqa: BLE001
            return error
        acknowledged.add(number)
        number += 10


def rows_of_batches(client: Client) -> dict[int, int]:
    rows = client.query("SELECT batch, count(), uniqExact(n) FROM batches GROUP BY batch").result_rows
    assert all(count == distinct for _, count, distinct in rows)
    return {number: count for number, count, _ in rows}


def failing_inserts(owner: Owner, pool: ThreadPoolExecutor) -> tuple[set[int], list[Future[Exception]]]:
    """Four clients at work, of which each has had a batch acknowledged."""
    acknowledged: set[int] = set()
    working = [pool.submit(insert_until_it_fails, owner, first, acknowledged) for first in range(4)]
    while len({number % 10 for number in acknowledged.copy()}) < 4:
        time.sleep(0.01)
    return acknowledged, working


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_acknowledged_is_there_after_a_stop_amid_inserts(tmp_path: Path, number: int) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    with running_owner(data, log) as owner, ThreadPoolExecutor(4) as pool:
        make_table(connect(owner.address))
        acknowledged, working = failing_inserts(owner, pool)
        assert owner.stop(number) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        failures = [work.result() for work in working]
    for failure in failures:
        with pytest.raises(DependencyError), asking("insert"):
            raise failure
    with running_owner(data, log) as again:
        kept = rows_of_batches(connect(again.address))
    assert {kept[number] for number in acknowledged} == {BATCH_ROWS}
    # What was under way is there by whole blocks or not at all.
    assert {kept[number] for number in kept.keys() - acknowledged} <= {500, BATCH_ROWS}


def test_a_stop_ends_reads_lets_an_insert_end_and_is_over_in_bounded_time(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    with running_owner(data, log) as owner, ThreadPoolExecutor(4) as pool, leave_a_result_unread(owner):
        client = connect(owner.address)
        make_table(client)
        read = pool.submit(owner.send, b"SELECT sum(sipHash64(number)) FROM numbers(1000000000000)")
        short = pool.submit(
            owner.send, b"INSERT INTO precedent.batches SELECT 7, number + sleepEachRow(0.5) FROM numbers(4)"
        )
        endless = pool.submit(owner.send, b"INSERT INTO precedent.batches SELECT 8, number FROM numbers(1000000000000)")
        running = "SELECT countIf(query LIKE '%1000000000%' OR query LIKE '%sleepEachRow%') FROM system.processes "
        wait_until(lambda: client.command(running + "WHERE query NOT LIKE '%processes%'") == 4)
        assert owner.stop() == 0
        assert read.result().code == "394"
        assert short.result().status == 200
        assert endless.result().code == "394"
    with running_owner(data, log) as again:
        assert connect(again.address).command("SELECT count() FROM batches WHERE batch = 7") == 4


def leave_a_result_unread(owner: Owner) -> socket.socket:
    token = b64encode(f"{owner.address.user}:{owner.address.password}".encode()).decode()
    unread = socket.create_connection((owner.address.host, owner.address.port))
    ask = "GET /?query=SELECT+number+FROM+numbers(1000000000) HTTP/1.1\r\nHost: x\r\n"
    unread.sendall(f"{ask}Authorization: Basic {token}\r\n\r\n".encode())
    return unread


def test_a_large_result_cut_off_by_a_stop_is_an_error_to_its_reader(tmp_path: Path) -> None:
    with running_owner(tmp_path / "data", tmp_path / "log") as owner:
        client = connect(owner.address)
        stopping = threading.Timer(0, owner.process.send_signal, [signal.SIGTERM])
        with (
            pytest.raises(ClickHouseError),
            client.query_row_block_stream("SELECT number FROM numbers(100000000000)") as blocks,
        ):
            for count, _ in enumerate(blocks):
                if count == 2:
                    stopping.start()
        assert owner.process.wait(30) == 0


def test_results_left_by_a_killed_owner_are_removed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_owner(data, tmp_path / "log") as owner:
        owner.stop(signal.SIGKILL)
        (data / "spool" / "left.result").write_bytes(b"x")
    with running_owner(data, tmp_path / "log"):
        assert list((data / "spool").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield folder
    libc = ctypes.CDLL(None, use_errno=True)
    lazily = 2
    assert libc.umount2(str(folder).encode(), lazily) == 0


def test_a_full_disk_refuses_inserts_keeps_what_it_acknowledged_and_takes_more_once_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(16 << 20))
    with running_owner(small_disk / "data", tmp_path / "log", "--max-body-mb", "64") as owner:
        client = connect(owner.address)
        client.command("CREATE TABLE texts (batch UInt64, n UInt64, text String) ENGINE = MergeTree ORDER BY n")
        acknowledged = 0
        with pytest.raises(ClickHouseError, match="NOT_ENOUGH_SPACE") as refused:
            while acknowledged < 100:
                client.insert_arrow("texts", texts(acknowledged))
                acknowledged += 1
        assert acknowledged > 2
        with pytest.raises(DependencyError), asking("insert"):
            raise refused.value

        more = small_disk / "more"
        with more.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(1 << 16))
        large = owner.send(b"INSERT INTO precedent.texts FORMAT TSV\n" + bytes(20 << 20))
        assert (large.status, large.code) == (500, "243")
        ask = b"SELECT repeat('x', 100000) FROM numbers(300)"
        waits = owner.send(ask, wait_end_of_query="1")
        assert (waits.status, waits.code) == (500, "243")
        assert len(owner.send(ask + b" FORMAT JSON").body) > 30_000_000
        assert owner.send(b"SELECT 1").body == b"1\n"
        assert kept(client) == dict.fromkeys(range(acknowledged), 200)

        more.unlink()
        ballast.unlink()
        client.insert_arrow("texts", texts(acknowledged))
    with running_owner(small_disk / "data", tmp_path / "log") as again:
        assert kept(connect(again.address)) == dict.fromkeys(range(acknowledged + 1), 200)


def texts(number: int) -> pa.Table:
    """200 rows of 8 KiB that do not compress."""
    text = pa.array([os.urandom(8_192) for _ in range(200)], pa.binary())
    return pa.table({"batch": [number] * 200, "n": range(200), "text": text})


def kept(client: Client) -> dict[int, int]:
    return dict(client.query("SELECT batch, count() FROM texts GROUP BY batch").result_rows)


def wait_until(holds: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
