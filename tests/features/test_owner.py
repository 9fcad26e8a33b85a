"""The process that owns the SQLite file: what it acknowledges is kept, what it does not can be sent again."""

import asyncio
import json
import signal
import socket
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInputError, DependencyError
from features.config import FeaturesConfig
from features.online.frames import (
    MAX_FRAME_BYTES,
    Refusal,
    decode_answer,
    decode_batch,
    encode_answer,
    encode_batch,
)
from features.online.owner import Owner, owned
from features.online.rows import Written, to_rows
from features.online.sqlite import GuardedTables, pack, table_name
from features.views import VIDEO_TOXICITY
from features.writer import FeatureWriter, OwnerSink, open_writer
from tests.features.conftest import OwnerProcess, verdict


def rows_in(path: Path) -> int:
    with sqlite3.connect(path) as db:
        count: int = db.execute(f'SELECT count(*) FROM "{table_name(VIDEO_TOXICITY)}"').fetchone()[0]
    db.close()
    return count


def test_what_was_acknowledged_survives_a_killed_owner(tmp_path: Path) -> None:
    owner = OwnerProcess.start(tmp_path / "online.db")
    port = int(owner.address.rpartition(":")[2])
    try:

        async def run() -> None:
            nonlocal owner
            writer = FeatureWriter(OwnerSink(owner.address, deadline_s=5.0))
            await writer.write([verdict(f"video-{i}") for i in range(100)])
            owner.end(signal.SIGKILL)
            assert rows_in(owner.store) == 100
            with pytest.raises(DependencyError, match="cannot be reached"):
                await writer.write([verdict("video-100")])
            with pytest.raises(DependencyError, match="cannot be reached"):
                await writer.write([verdict("video-100")])
            owner = OwnerProcess.start(owner.store, port=port)
            assert await writer.write([verdict("video-100")]) == Written(1, 0)
            assert await writer.write([verdict(f"video-{i}") for i in range(101)]) == Written(0, 101)
            await writer.close()

        asyncio.run(run())
        assert rows_in(owner.store) == 101
    finally:
        owner.end(signal.SIGKILL)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_owner_ends_cleanly_when_asked(tmp_path: Path, signum: signal.Signals) -> None:
    owner = OwnerProcess.start(tmp_path / "online.db")

    async def run() -> None:
        writer = FeatureWriter(OwnerSink(owner.address, deadline_s=5.0))
        await writer.write([verdict("video-1")])
        assert owner.end(signum) == 0
        await writer.close()

    asyncio.run(run())
    assert rows_in(owner.store) == 1


def test_a_file_has_one_writer_process(owner: OwnerProcess) -> None:
    with pytest.raises(DependencyError, match="has a writer already"):
        open_writer(FeaturesConfig(online=f"sqlite:///{owner.store}"))


def test_ownership_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    for _ in range(2):
        with owned(path) as tables:
            assert tables.path == path


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be taken for the header of one\n" * 20)
    with pytest.raises(BadInputError, match=r"notes\.txt cannot be opened"), owned(path):
        pass
    with pytest.raises(BadInputError, match="cannot be opened"), owned(path / "online.db"):
        pass


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken, owned(tmp_path / "online.db") as tables:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(BadInputError, match=f"--port {port}: 127.0.0.1 cannot be listened on"):
            asyncio.run(Owner(tables).serve(asyncio.Event(), port=port, ready=print))


def test_an_owner_that_does_not_answer_is_a_dependency_to_wait_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        writer = FeatureWriter(OwnerSink(f"127.0.0.1:{deaf.getsockname()[1]}", deadline_s=0.05))

        async def run() -> None:
            with pytest.raises(DependencyError, match="no answer in time"):
                await writer.write([verdict("video-1")])
            await writer.close()

        asyncio.run(run())


@pytest.mark.parametrize("address", ["", "7000", "localhost:", "localhost:http"])
def test_a_writers_address_names_host_and_port(address: str) -> None:
    with pytest.raises(BadInputError, match="must be HOST:PORT"):
        OwnerSink(address, deadline_s=1.0)


async def ask(address: str, raw: bytes) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(raw)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ((5).to_bytes(4, "little") + b"hello", "does not begin with the header"),
        ((0).to_bytes(4, "little"), "does not begin with the header"),
        ((MAX_FRAME_BYTES + 1).to_bytes(4, "little"), "frame length == "),
        (b"GET / HTTP/1.1\r\n\r\n", "frame length == "),
    ],
)
def test_what_is_no_batch_is_refused_and_disturbs_no_one(owner: OwnerProcess, raw: bytes, reason: str) -> None:
    answer = asyncio.run(ask(owner.address, raw))
    assert reason in json.loads(answer[4:])["error"]
    writer = FeatureWriter(OwnerSink(owner.address, deadline_s=5.0))

    async def run() -> None:
        await writer.write([verdict("after-a-bad-frame")])
        await writer.close()

    asyncio.run(run())


def test_a_batch_travels_unchanged() -> None:
    rows = pack(to_rows(VIDEO_TOXICITY, [verdict("video-1"), verdict("video-2", occurred_s=2.5)]))
    assert decode_batch(encode_batch(VIDEO_TOXICITY, rows)) == (VIDEO_TOXICITY, rows)


@given(st.data())
def test_a_damaged_batch_is_refused_or_is_still_rows(data: st.DataObject) -> None:
    raw = bytearray(encode_batch(VIDEO_TOXICITY, pack(to_rows(VIDEO_TOXICITY, [verdict("video-1")] * 3))))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        view, rows = decode_batch(cut)
    except BadInputError:
        return
    assert (view, len(rows)) == (VIDEO_TOXICITY, 3)


@pytest.mark.parametrize("answer", [Written(3, 4), Refusal("disk is full", retry=True)])
def test_an_answer_travels_unchanged(answer: Written | Refusal) -> None:
    assert decode_answer(encode_answer(answer)) == answer


def test_a_write_that_fails_on_disk_is_to_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    config = FeaturesConfig(online=f"sqlite:///{path}")
    writer = open_writer(config)
    blocker = GuardedTables(path)
    blocker._db.execute("DROP TABLE " + table_name(VIDEO_TOXICITY))

    async def run() -> None:
        with pytest.raises(DependencyError, match="cannot be written"):
            await writer.write([verdict("video-1")])
        await writer.close()

    asyncio.run(run())
    blocker.close()
