"""Ids in, columns out, straight from the store: SQLite's packed rows, or Redis' hashes in one round trip.

Feast's own read of 200 candidates spends most of its time on a key and thirteen values as messages each. Here the keys
are written and the values cut open as bytes, and Redis gets all questions in one write.
"""

import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.errors import DependencyError
from features.online.columns import Columns, Raw, RowReader, columns, varint_at
from features.online.redis import at_field, connection_options, field_name, ts_field
from features.online.rows import key_of
from features.online.sqlite import GuardedTables, table_name
from features.views import PROJECT, View

if TYPE_CHECKING:
    from redis import Redis

READ_S = 2.0
"""How long a read waits for Redis unless it is told otherwise (`within`)."""


def open_reader(*, url: str | None, path: Path | None, shown: str) -> RowReader:
    """A reader of the store at a Redis URL, or in a SQLite file; connects with the first read."""
    if url is not None:
        return RedisReader(url, shown, deadline_s=READ_S)
    assert path is not None
    return SqliteReader(path)


class SqliteReader:
    """Reads the packed rows of one SQLite file; a read writes nothing, so it waits for no writer.

    What it may wait for, and for `deadline_s` at most, is a file that is being set up, or mended after a crash.
    """

    def __init__(self, path: Path, *, deadline_s: float = READ_S) -> None:
        self._path = path
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._tables: GuardedTables | None = None

    def within(self, deadline_s: float) -> "SqliteReader":
        return SqliteReader(self._path, deadline_s=deadline_s)

    def read(self, view: View, ids: Sequence[str]) -> Columns:
        keys = [key_of(view, one) for one in ids]
        try:
            with self._lock:
                if self._tables is None:
                    self._tables = GuardedTables(self._path, busy_ms=round(self._deadline_s * 1_000))
                table = table_name(view)
                stored = self._tables.select(table, keys) if self._tables.has(table) else {}
        except (sqlite3.Error, OSError) as error:
            msg = f"online store {self._path} cannot be read: {error}"
            raise DependencyError(msg) from error
        rows = [stored[key] for key in keys if key in stored]
        names = view.field_names
        values = [
            _parts(row.values)
            if row.names == names
            else list(map(dict(zip(row.names, _parts(row.values), strict=True)).get, names))
            for row in rows
        ]
        return columns(view, [key in stored for key in keys], [row.event_us for row in rows], values)


def _parts(repeated: bytes) -> list[Raw]:
    """The serialized values of a serialized `RepeatedValue`."""
    parts: list[Raw] = []
    place, end = 0, len(repeated)
    while place < end:
        length = repeated[place + 1]
        start = place + 2
        if length >= 0x80:
            length, start = varint_at(repeated, place + 1)
        place = start + length
        parts.append(repeated[start:place])
    return parts


class RedisReader:
    """Reads Feast's hashes in Redis, which may keep it waiting for `deadline_s` at each of its silences.

    What Redis is silent for is bounded by that, and so is the whole between two rows; a peer that drips a row byte by
    byte, as no Redis does, takes longer.
    """

    def __init__(self, url: str, shown: str, *, deadline_s: float) -> None:
        self._url = url
        self._shown = shown
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._client: Redis | None = None
        self._questions: dict[str, tuple[bytes, bytes]] = {}

    def within(self, deadline_s: float) -> "RedisReader":
        return RedisReader(self._url, self._shown, deadline_s=deadline_s)

    def read(self, view: View, ids: Sequence[str]) -> Columns:
        from redis.exceptions import RedisError

        try:
            rows = self._ask(self._request(view, ids), len(ids))
        except (RedisError, OSError) as error:
            msg = f"online store {self._shown} cannot be read: {error}"
            raise DependencyError(msg) from error
        n = len(view.fields)
        there = [row for row in rows if row[n] is not None]
        return columns(
            view,
            [row[n] is not None for row in rows],
            [_event_us(row[n], row[n + 1]) for row in there],
            [row[:n] for row in there],
        )

    def _request(self, view: View, ids: Sequence[str]) -> bytes:
        """One HMGET for each id, as Redis' protocol writes them."""
        if view.name not in self._questions:
            fields = [*(field_name(view.name, name) for name in view.field_names), ts_field(view.name)]
            fields.append(at_field(view.name))
            words = b"".join(b"$%d\r\n%b\r\n" % (len(field), field) for field in fields)
            self._questions[view.name] = b"*%d\r\n$5\r\nHMGET\r\n" % (2 + len(fields)), words
        head, words = self._questions[view.name]
        parts: list[bytes] = []
        for one in ids:
            key = key_of(view, one) + PROJECT.encode()
            parts += (head, b"$%d\r\n" % len(key), key, b"\r\n", words)
        return b"".join(parts)

    def _ask(self, request: bytes, answers: int) -> list[list[Any]]:
        if not answers:
            return []
        pool = self._pool()
        until = time.monotonic() + self._deadline_s
        connection = pool.get_connection()
        try:
            connection.send_packed_command([request])
            rows: list[list[Any]] = []
            for _ in range(answers):
                row = connection.read_response(disable_decoding=True)
                if isinstance(row, Exception):
                    raise row
                rows.append(row)
                if time.monotonic() > until:
                    msg = f"{len(rows)} of {answers} rows within {self._deadline_s:g} s"
                    raise TimeoutError(msg)
            return rows
        except BaseException:
            connection.disconnect()  # answers that come later would be taken for the next read's
            raise
        finally:
            pool.release(connection)

    def _pool(self) -> Any:
        with self._lock:
            if self._client is None:
                from redis import Redis
                from redis.backoff import NoBackoff
                from redis.retry import Retry

                options = connection_options(self._deadline_s)
                self._client = Redis.from_url(self._url, retry=Retry(NoBackoff(), 0), **options)
            return self._client.connection_pool


def _event_us(ts: bytes, at: Raw) -> int:
    """The event's time: in microseconds as the guard keeps it, else as Feast alone wrote it."""
    if at:
        return int(at.partition(b":")[0])
    from google.protobuf.timestamp_pb2 import Timestamp

    return int(Timestamp.FromString(ts).ToMicroseconds())
