"""One chDB connection is one ClickHouse session: put a request's settings on it, run, stream, insert, write to a file.

Its settings, current database and temporary tables are its own; it takes 0.4 ms and 0.1 MB, any thread may use it,
but one at a time.
"""

import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from warehouse.owner.errors import ClickHouseError, Code, refuse
from warehouse.owner.wire.replies import Answer, Counts

# The engine takes an expression for a query, as no server does, so that a broken statement gets a strange error.
_OURS = {"implicit_select": "0"}
_PIPE_BYTES = 1 << 20
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Column(NamedTuple):
    name: str
    type: str


def quoted(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


@contextmanager
def engine_errors() -> Iterator[None]:
    """The binding raises RuntimeError or its own ChdbError; both carry the engine's text."""
    try:
        yield
    except ClickHouseError:
        raise
    except Exception as error:
        raise ClickHouseError.from_engine(error) from error


@dataclass
class Session:
    """One connection, and the settings that the current request has put on it."""

    connection: Any
    query_bytes: int
    expires_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    _applied: dict[str, str] = field(default_factory=dict)
    _own: dict[str, str] = field(default_factory=dict)
    _has_own_settings: bool = False

    def use(self, database: str | None, settings: Mapping[str, str]) -> None:
        """Set what the request asks for; settings of an earlier request are taken back."""
        settings = {"max_memory_usage": str(self.query_bytes), **_OURS, **settings}
        for name in settings:
            if not _SETTING.fullmatch(name):
                raise refuse(Code.BAD_REQUEST_PARAMETER, f"Setting name {name!r}, must be letters, digits and _")
        back = [name for name in self._applied if name not in settings]
        new = {name: value for name, value in settings.items() if self._applied.get(name) != value}
        if self._has_own_settings:
            self._remember([name for name in new if name not in self._applied])
        changes = [f"{name} = {quoted(self._own[name]) if name in self._own else 'DEFAULT'}" for name in back] + [
            f"{name} = {quoted(value)}" for name, value in new.items()
        ]
        if changes:
            self.run("SET " + ", ".join(changes))
        self._applied = dict(settings)
        self._own = {name: value for name, value in self._own.items() if name in settings}
        if database:
            self.run(f"USE {identifier(database)}")

    def _remember(self, names: list[str]) -> None:
        """Keep what the session itself has SET before a request's settings cover it."""
        listed = ", ".join(quoted(name) for name in names)
        sql = f"SELECT name, value FROM system.settings WHERE changed AND name IN ({listed or quoted('')})"
        for line in self.run(sql, "TSVRaw").payload.decode().splitlines():
            name, value = line.split("\t", 1)
            self._own[name] = value

    def keeps_settings(self) -> None:
        """Say that a SET of the session's own has run."""
        self._has_own_settings = True

    def run(self, sql: str, format: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Answer:  # noqa: A002
        """Run one statement and keep its whole result; raises `ClickHouseError`."""
        with engine_errors():
            result = self.connection.query(sql, format, params=dict(params or {}))
            return Answer(result.bytes(), _counts(result))

    def pipe(self, sql: str, format: str, params: Mapping[str, str] | None = None) -> "Piped":  # noqa: A002
        """A query's result as the engine would write it to one file, piece by piece, while the query runs."""
        read, write = os.pipe()
        text = f"{sql}\nINTO OUTFILE '/proc/self/fd/{write}' TRUNCATE FORMAT {identifier(format)}"
        return Piped(lambda: self.connection.query(text, "Null", params=dict(params or {})), read, write)

    def stream(self, sql: str, format: str, params: Mapping[str, str] | None = None) -> "Blocks":  # noqa: A002
        """A query's result block by block, while the query runs."""
        with engine_errors():
            return Blocks(self.connection.send_query(sql, format, params=dict(params or {})))

    def insert(self, sql: str, format: str, path: str, *, settings: str = "") -> Answer:  # noqa: A002
        """Insert the rows of a file; raises `ClickHouseError` when the engine could not keep all of them.

        chDB's interface for pushing rows (4.4, `send_insert`) says that it wrote what it did not: on a full disk, past
        max_partitions_per_insert_block, against a constraint.
        """
        with engine_errors():
            text = f"{sql}\nFROM INFILE {quoted(path)} COMPRESSION 'none' {settings}\nFORMAT {identifier(format)}"
            return Answer(counts=_counts(self.connection.query(text, "Null")))

    def columns_of(self, sql: str, params: Mapping[str, str] | None = None) -> list[Column]:
        """The columns that a query would answer with."""
        lines = self.run(f"DESCRIBE ({sql}\n)", "TSVRaw", params).payload.decode().splitlines()
        return [Column(*line.split("\t")[:2]) for line in lines]

    def close(self) -> None:
        self.connection.close()


class Blocks:
    """A running query's result; `close` cancels what is left of it."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self.counts = Counts()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            with engine_errors():
                block = self._result.fetch()
            if block is None:
                raise StopIteration
            self.counts.rows_read += block.storage_rows_read()
            self.counts.bytes_read += block.storage_bytes_read()
            self.counts.elapsed_s += block.elapsed()
            if payload := block.bytes():
                return bytes(payload)

    def close(self) -> None:
        self._result.cancel()


class Piped:
    """A running query's result through a pipe: formats with a header or a footer around all rows stream as well.

    A file would not do: on a full disk the engine (chDB 4.4) loses its end and reports success.
    """

    def __init__(self, query: Callable[[], Any], read: int, write: int) -> None:
        fcntl.fcntl(read, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._read = read
        self._failure: ClickHouseError | None = None
        self.counts = Counts()
        self._thread = threading.Thread(target=self._run, args=(query, write), name="query", daemon=True)
        self._thread.start()

    def _run(self, query: Callable[[], Any], write: int) -> None:
        try:
            with engine_errors():
                self.counts = _counts(query())
        except ClickHouseError as error:
            self._failure = error
        finally:
            os.close(write)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._read >= 0 and (piece := os.read(self._read, _PIPE_BYTES)):
            return piece
        self.close()
        if self._failure:
            failure, self._failure = self._failure, None
            raise failure
        raise StopIteration

    def close(self) -> None:
        """Wait for the query's end: it fails at its next row when nobody reads any more."""
        if self._read >= 0:
            os.close(self._read)
            self._read = -1
        self._thread.join()


def _counts(result: Any) -> Counts:
    return Counts(
        rows_read=result.storage_rows_read(),
        bytes_read=result.storage_bytes_read(),
        rows_written=result.rows_written(),
        bytes_written=result.bytes_written(),
        elapsed_s=result.elapsed(),
    )
