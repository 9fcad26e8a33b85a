"""The one process that writes the SQLite file: batches in from workers, one commit for all that wait, answers out.

Batches that arrive while a commit is running share the next one, so that many workers cost few commits. An
answer is sent only after the commit is on disk; a batch without an answer may be sent again, the guard makes
that harmless.
"""

import asyncio
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts.errors import BadInputError, DependencyError
from features.online.frames import Refusal, decode_batch, encode_answer, read_frame, send_frame
from features.online.rows import Written
from features.online.sqlite import GuardedTables, PackedRow, table_name
from features.views import View

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    view: View
    rows: list[PackedRow]
    answer: asyncio.Future[Written | Refusal]


@contextmanager
def owned(path: Path) -> Iterator[GuardedTables]:
    """Open a SQLite store as its only writer.

    Raises `DependencyError` while another process is that, and `BadInputError` for a path that holds no such store.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".owner"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        msg = f"online store {path} cannot be opened: {error}"
        raise BadInputError(msg) from error
    try:
        _lock(lock, path)
        tables = _open(path)
        try:
            yield tables
        finally:
            tables.close()
    finally:
        os.close(lock)


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        msg = f"online store {path} has a writer already, must have one: point PRECEDENT_FEATURES_WRITER at it"
        raise DependencyError(msg) from None


def _open(path: Path) -> GuardedTables:
    try:
        tables = GuardedTables(path)
        tables.create_all()
    except sqlite3.Error as error:
        msg = f"online store {path} cannot be opened: {error}"
        raise BadInputError(msg) from error
    return tables


class OwnerWatch(Protocol):
    """Hears what the owner does: of each commit its batches and rows, and how long it took."""

    def arrived(self) -> None: ...
    def committed(self, batches: int, rows: int, seconds: float) -> None: ...
    def failed(self, batches: int) -> None: ...


class _Unwatched:
    def arrived(self) -> None:
        """Note nothing."""

    def committed(self, batches: int, rows: int, seconds: float) -> None:
        """Note nothing."""

    def failed(self, batches: int) -> None:
        """Note nothing."""


UNWATCHED: OwnerWatch = _Unwatched()


class Owner:
    """Serves writes on loopback until `stop` is set."""

    def __init__(self, tables: GuardedTables, watch: OwnerWatch = UNWATCHED) -> None:
        self._tables = tables
        self._watch = watch
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(
        self, stop: asyncio.Event, *, port: int = 0, ready: Callable[[str], None], host: str = "127.0.0.1"
    ) -> None:
        """Listen, call `ready` with the address, and end when `stop` is set and the last batch is committed."""
        try:
            server = await asyncio.start_server(self._serve_worker, host, port, limit=1 << 20)
        except OSError as error:
            raise BadInputError(f"--port {port}: {host} cannot be listened on there: {error.strerror}") from error
        committing = asyncio.create_task(self._commit_for_ever())
        bound_host, bound_port = server.sockets[0].getsockname()[:2]
        ready(f"{bound_host}:{bound_port}")
        try:
            await stop.wait()
        finally:
            server.close()
            committing.cancel()
            self._commit_waiting()
            # One turn of the loop, so that the workers whose batches were just committed get their answers.
            await asyncio.sleep(0)
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(committing, *self._connections, return_exceptions=True)

    async def _serve_worker(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (raw := await read_frame(reader)) is not None:
                view, rows = decode_batch(raw)
                send_frame(writer, encode_answer(await self._write(view, rows)))
                await writer.drain()
        except BadInputError as error:
            logger.warning("refused a batch: %s", error)
            send_frame(writer, encode_answer(Refusal(str(error), retry=False)))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            logger.info("a worker went away: %r", error)
        except asyncio.CancelledError:
            logger.debug("closing a connection")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _write(self, view: View, rows: list[PackedRow]) -> Written | Refusal:
        waiting = _Waiting(view, rows, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._watch.arrived()
        self._arrived.set()
        return await waiting.answer

    async def _commit_for_ever(self) -> None:
        while True:
            await self._arrived.wait()
            # One turn of the loop, so that workers answered together and writing again together share a commit.
            await asyncio.sleep(0)
            self._arrived.clear()
            self._commit_waiting()

    def _commit_waiting(self) -> None:
        group, self._waiting = self._waiting, []
        if not group:
            return
        answers: list[Written | Refusal]
        began = time.perf_counter()
        try:
            answers = [
                *self._tables.upsert([(table_name(each.view), each.view.field_names, each.rows) for each in group])
            ]
        except sqlite3.Error as error:
            logger.exception("could not write %d batches to %s", len(group), self._tables.path)
            self._watch.failed(len(group))
            answers = [Refusal(f"{self._tables.path}: {error}", retry=True)] * len(group)
        else:
            self._watch.committed(len(group), sum(len(each.rows) for each in group), time.perf_counter() - began)
        for each, answer in zip(group, answers, strict=True):
            if not each.answer.done():
                each.answer.set_result(answer)
