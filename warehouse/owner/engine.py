"""Own one chDB folder: its lock, its memory, the sessions that requests run in, and the cancelling of queries.

chDB allows one process per folder, and one engine per process.
"""

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from contracts.errors import BadInputError
from warehouse.owner.errors import ClickHouseError, Code, refuse
from warehouse.owner.memory import Memory
from warehouse.owner.session import Session, engine_errors, identifier, quoted


class Engine:
    """The only owner of a folder; raises `BadInputError` when it cannot be opened or another process has it."""

    def __init__(self, folder: Path, memory: Memory) -> None:
        self._lock_file = _claim(folder)
        self.folder = folder
        self._memory = memory
        self.spool_folder = folder / "spool"
        # What a killed owner left there is of requests that nobody waits for any more.
        shutil.rmtree(self.spool_folder, ignore_errors=True)
        self.spool_folder.mkdir()
        self._kept: dict[str, Session] = {}
        self._guard = threading.Lock()
        try:
            self._root = self._open_first()
        except ClickHouseError as error:
            self._lock_file.close()
            raise BadInputError(f"{folder}: the chDB folder does not open: {error}") from error
        self.version, self.timezone = self._root.run("SELECT version(), timezone()").payload.decode().split()

    def _open_first(self) -> Session:
        """The session that starts the engine: what it is started with holds for all."""
        server = {
            "max_server_memory_usage": self._memory.total_bytes,
            "merges_mutations_memory_usage_soft_limit": self._memory.merge_bytes,
            "mark_cache_size": self._memory.cache_bytes,
            "primary_index_cache_size": self._memory.cache_bytes,
        }
        return self.open("?" + "&".join(f"{name}={value}" for name, value in server.items()))

    def open(self, options: str = "") -> Session:
        """A new session."""
        import chdb

        with engine_errors():
            return Session(chdb.connect(f"{self.folder}{options}"), query_bytes=self._memory.query_bytes)

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
        """Cancel the query whose `log_comment` begins with `tag`, without waiting for its end."""
        self._kill(f"startsWith(Settings['log_comment'], {quoted(tag)})")

    def kill_all(self, *, but_inserts: bool) -> None:
        """Cancel every query, or every one but inserts, without waiting for their end."""
        self._kill("query NOT ILIKE 'KILL%'" + (" AND query NOT ILIKE 'INSERT%'" if but_inserts else ""))

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
