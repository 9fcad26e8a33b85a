"""Own one chDB folder: sessions of one connection each, queries, streams and inserts on them.

A chDB connection is a ClickHouse session: its settings, current database and temporary tables are its own, it
takes 0.3 ms and 0.1 MB, any thread may use it, but one at a time. chDB allows one process per folder.
"""

import fcntl
import os
import re
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from contracts.errors import BadInputError
from warehouse.owner.errors import ClickHouseError, Code, refuse

_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Column(NamedTuple):
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: its bytes in the format asked for, and what it read or wrote."""

    payload: bytes = b""
    rows_read: int = 0
    bytes_read: int = 0
    rows_written: int = 0
    bytes_written: int = 0
    elapsed_s: float = 0.0


def quoted(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


@contextmanager
def _engine_errors() -> Iterator[None]:
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
    expires_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    _applied: dict[str, str] = field(default_factory=dict)
    _own: dict[str, str] = field(default_factory=dict)
    _has_own_settings: bool = False

    def use(self, database: str | None, settings: Mapping[str, str]) -> None:
        """Make this session as the request asks; settings of an earlier request are taken back."""
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
        with _engine_errors():
            result = self.connection.query(sql, format, params=dict(params or {}))
            return Answer(
                payload=result.bytes(),
                rows_read=result.storage_rows_read(),
                bytes_read=result.storage_bytes_read(),
                rows_written=result.rows_written(),
                bytes_written=result.bytes_written(),
                elapsed_s=result.elapsed(),
            )

    def stream(self, sql: str, format: str, params: Mapping[str, str] | None = None) -> Generator[bytes]:  # noqa: A002
        """Yield a query's result block by block; closing the generator cancels the query."""
        with _engine_errors():
            result = self.connection.send_query(sql, format, params=dict(params or {}))
        try:
            while True:
                with _engine_errors():
                    block = result.fetch()
                if block is None:
                    return
                if payload := block.bytes():
                    yield payload
        finally:
            result.cancel()

    def insert(self, sql: str, format: str, chunks: Iterable[bytes]) -> Answer:  # noqa: A002
        """Push the rows of one INSERT; nothing is committed unless the last chunk was taken."""
        with _engine_errors():
            inserter = self.connection.send_insert(sql, format)
            try:
                for chunk in chunks:
                    inserter.append(chunk)
                written = inserter.finish()
            except BaseException:
                inserter.cancel()
                raise
        return Answer(rows_written=written.rows_written, bytes_written=written.bytes_written, elapsed_s=written.elapsed)

    def columns_of(self, sql: str, params: Mapping[str, str] | None = None) -> list[Column]:
        """The columns that a query would answer with."""
        lines = self.run(f"DESCRIBE ({sql}\n)", "TSVRaw", params).payload.decode().splitlines()
        return [Column(*line.split("\t")[:2]) for line in lines]

    def close(self) -> None:
        self.connection.close()


class Engine:
    """The only owner of a folder; raises `BadInputError` when it cannot be opened or another process has it."""

    def __init__(self, folder: Path) -> None:
        self._lock_file = _claim(folder)
        self.folder = folder
        self.spool_folder = folder / "spool"
        self.spool_folder.mkdir(exist_ok=True)
        self._kept: dict[str, Session] = {}
        self._guard = threading.Lock()
        try:
            self._root = self.open()
        except ClickHouseError as error:
            self._lock_file.close()
            raise BadInputError(f"{folder}: the chDB folder does not open: {error}") from error
        self.version, self.timezone = self._root.run("SELECT version(), timezone()").payload.decode().split()

    def open(self) -> Session:
        """A new session."""
        import chdb

        with _engine_errors():
            return Session(chdb.connect(str(self.folder)))

    def create_database(self, name: str) -> None:
        self._root.run(f"CREATE DATABASE IF NOT EXISTS {identifier(name)}")

    @contextmanager
    def session(self, name: str | None, *, timeout_s: float, must_exist: bool = False) -> Iterator[Session]:
        """A session for one request: a fresh one, or the one kept under `name`; refused while it is in use."""
        if name is None:
            fresh = self.open()
            try:
                yield fresh
            finally:
                fresh.close()
            return
        kept = self._take(name, must_exist=must_exist)
        try:
            yield kept
        finally:
            kept.expires_at = time.monotonic() + timeout_s
            kept.lock.release()

    def _take(self, name: str, *, must_exist: bool) -> Session:
        with self._guard:
            self._drop_expired()
            kept = self._kept.get(name)
            if kept is None:
                if must_exist:
                    raise refuse(Code.SESSION_NOT_FOUND, f"Session {name} not found")
                kept = self._kept[name] = self.open()
            if not kept.lock.acquire(blocking=False):
                raise refuse(Code.SESSION_IS_LOCKED, f"Session {name} is locked by a concurrent client")
            return kept

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for name, kept in list(self._kept.items()):
            if kept.expires_at < now and kept.lock.acquire(blocking=False):
                del self._kept[name]
                kept.close()

    def forget(self, name: str) -> None:
        """Close a kept session that is not in use."""
        with self._guard:
            kept = self._kept.get(name)
            if kept is not None and kept.lock.acquire(blocking=False):
                del self._kept[name]
                kept.close()

    def kill(self, tag: str) -> None:
        """Cancel the query whose `log_comment` is `tag`, without waiting for its end."""
        self._kill(f"Settings['log_comment'] = {quoted(tag)}")

    def kill_reads(self) -> None:
        """Cancel every query but inserts, which end by themselves."""
        self._kill("query NOT ILIKE 'KILL%' AND query NOT ILIKE 'INSERT%'")

    def _kill(self, which: str) -> None:
        fresh = self.open()
        try:
            fresh.run(f"KILL QUERY WHERE {which} ASYNC")
        finally:
            fresh.close()

    def close(self) -> None:
        """Close every session; no query may be running."""
        with self._guard:
            for kept in self._kept.values():
                kept.close()
            self._kept.clear()
        self._root.close()
        self._lock_file.close()


def _claim(folder: Path) -> IO[str]:
    """Take the folder's lock, held as long as the returned file is open."""
    lock_path = folder / "owner.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock_file = lock_path.open("a+", encoding="ascii")
    except OSError as error:
        raise BadInputError(f"{folder}: {error.strerror}, must be a folder that can be written") from error
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock_file.seek(0)
        owner = lock_file.read().strip() or "unknown"
        lock_file.close()
        raise BadInputError(f"{folder}: owned by process {owner}, a warehouse has one owner at a time") from error
    lock_file.truncate(0)
    with suppress(OSError):
        lock_file.write(f"{os.getpid()}\n")
        lock_file.flush()
    return lock_file
