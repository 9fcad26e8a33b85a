"""Verdicts in, online features out: one protocol, whether Redis, an owner process or this process writes them."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from contracts.errors import BadInputError, DependencyError
from contracts.histories import AuthorHistory, ViewerSensitivity
from contracts.records import Record
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from features.online.frames import Refusal, decode_answer, encode_batch, read_frame, send_frame
from features.online.owner import owned
from features.online.redis import GUARDED_WRITE, script_calls
from features.online.rows import Written, to_rows
from features.online.sqlite import pack, table_name
from features.views import AUTHOR_HISTORY, VIDEO_TOXICITY, VIEWER_SENSITIVITY, View

if TYPE_CHECKING:
    from redis.asyncio import Redis


class RecordSink(Protocol):
    """Where projected records go; raises `DependencyError` when it cannot be reached now."""

    async def write_records(self, view: View, records: Sequence[Record]) -> Written: ...

    async def close(self) -> None: ...


class FeatureWriter:
    """Writes features of one kind of record each; returns once they are readable.

    An event that is not newer than what is stored is counted as stale and changes nothing, so that a write may
    be repeated. Raises `DependencyError` when the store cannot be reached: wait and write the same again.
    """

    def __init__(self, sink: RecordSink) -> None:
        self._sink = sink

    async def write(self, verdicts: Sequence[Verdict]) -> Written:
        return await self._sink.write_records(VIDEO_TOXICITY, verdicts)

    async def write_authors(self, histories: Sequence[AuthorHistory]) -> Written:
        return await self._sink.write_records(AUTHOR_HISTORY, histories)

    async def write_viewers(self, sensitivities: Sequence[ViewerSensitivity]) -> Written:
        return await self._sink.write_records(VIEWER_SENSITIVITY, sensitivities)

    async def close(self) -> None:
        await self._sink.close()


def open_writer(config: FeaturesConfig) -> FeatureWriter:
    """A writer for the configured store; connects with the first write.

    Redis is written directly. SQLite is written through its owner process where `config.writer` names one,
    and by this process where it does not: then no other process may write.
    """
    if config.redis_url is not None:
        return FeatureWriter(RedisSink(config.redis_url, config.shown_online, deadline_s=config.write_deadline_s))
    if config.writer is not None:
        return FeatureWriter(OwnerSink(config.writer, deadline_s=config.write_deadline_s))
    return FeatureWriter(SqliteSink(config.sqlite_path))


class OwnerSink:
    """The worker's end of a connection to the owner of the SQLite file; one write at a time."""

    def __init__(self, address: str, *, deadline_s: float) -> None:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            msg = f"features writer == {address!r}, must be HOST:PORT"
            raise BadInputError(msg)
        self._host, self._port = host, int(port)
        self._address = address
        self._deadline_s = deadline_s
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def write_records(self, view: View, records: Sequence[Record]) -> Written:
        if not records:
            return Written(0, 0)
        request = encode_batch(view, pack(to_rows(view, records)))
        async with self._turn:
            try:
                async with asyncio.timeout(self._deadline_s):
                    raw = await self._ask(request)
            except BaseException as error:
                # An answer that comes later would be taken for the next write's.
                self._disconnect()
                if isinstance(error, (OSError, asyncio.IncompleteReadError)):
                    reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or repr(error)
                    msg = f"features writer {self._address} cannot be reached: {reason}"
                    raise DependencyError(msg) from error
                raise
        answer = decode_answer(raw)
        if isinstance(answer, Refusal):
            msg = f"features writer {self._address} refused {len(records)} rows: {answer.reason}"
            raise DependencyError(msg) if answer.retry else BadInputError(msg)
        return answer

    async def _ask(self, request: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        send_frame(writer, request)
        await writer.drain()
        raw = await read_frame(reader)
        if raw is None:
            msg = "the connection was closed"
            raise ConnectionResetError(msg)
        return raw

    def _disconnect(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def close(self) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._disconnect()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


class SqliteSink:
    """Writes the SQLite file from this process, as its only writer."""

    def __init__(self, path: Path) -> None:
        self._ownership = owned(path)
        self._tables = self._ownership.__enter__()

    async def write_records(self, view: View, records: Sequence[Record]) -> Written:
        batch = (table_name(view), view.field_names, pack(to_rows(view, records)))
        try:
            return self._tables.upsert([batch])[0]
        except sqlite3.Error as error:
            msg = f"online store {self._tables.path} cannot be written: {error}"
            raise DependencyError(msg) from error

    async def close(self) -> None:
        self._ownership.__exit__(None, None, None)


class RedisSink:
    """Writes Feast's hashes in Redis, guarded by one script; several workers may write at once."""

    def __init__(self, url: str, shown: str, *, deadline_s: float) -> None:
        self._url = url
        self._shown = shown
        self._deadline_s = deadline_s
        self._client: Redis | None = None

    async def write_records(self, view: View, records: Sequence[Record]) -> Written:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        if self._client is None:
            # The caller waits and repeats, and counts it; a second patience underneath would hide that.
            self._client = Redis.from_url(self._url, socket_timeout=self._deadline_s, retry=Retry(NoBackoff(), 0))
        script = self._client.register_script(GUARDED_WRITE)
        written = 0
        try:
            for keys, arguments in script_calls(view.name, view.field_names, to_rows(view, records)):
                written += int(await script(keys=keys, args=arguments))
        except (RedisError, OSError) as error:
            msg = f"online store {self._shown} cannot be written: {error}"
            raise DependencyError(msg) from error
        return Written(written, len(records) - written)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
