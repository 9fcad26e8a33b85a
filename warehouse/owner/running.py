"""Run one request's statement in its session: a small answer, or a flow of blocks that is still running."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Protocol

from warehouse.owner.engine import Engine
from warehouse.owner.session import Column, Session, identifier
from warehouse.owner.wire.bodies import Body
from warehouse.owner.wire.replies import Answer, Counts, Flow
from warehouse.owner.wire.requests import Asked
from warehouse.owner.wire.statements import Statement

# Formats without a header or a footer: blocks one after another are one longer result.
_BLOCKWISE = frozenset({"Native", "TabSeparated", "TSV", "TSVRaw", "CSV", "RowBinary", "JSONEachRow"})
_ARROW_STREAM = "ArrowStream"
_ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"


def run(engine: Engine, asked: Asked, statement: Statement, data: Iterator[bytes], *, tag: str) -> Answer | Flow:
    """Run `statement`, with `data` as the rows of an INSERT; raises `ClickHouseError`.

    `tag` marks the query so that it can be cancelled. A `Flow` keeps its session until it is given back.
    """
    # A session that was made read-only could never be written to again, so such a request gets its own.
    name = None if "readonly" in asked.settings else asked.session_id
    with ExitStack() as held:
        if name and asked.close_session:
            held.callback(engine.forget, name)
        session = held.enter_context(
            engine.session(name, timeout_s=asked.session_timeout_s, must_exist=asked.session_check)
        )
        comment = f"{tag} {asked.settings.get('log_comment', '')}".rstrip()
        session.use(asked.database, {**asked.settings, "log_comment": comment})
        for table in asked.external:
            session.run(f"CREATE TEMPORARY TABLE {identifier(table.name)} ({table.structure})")
            if name:
                held.callback(session.run, f"DROP TEMPORARY TABLE IF EXISTS {identifier(table.name)}")
            with _kept([table.data], engine.spool_folder) as rows:
                session.insert(f"INSERT INTO {identifier(table.name)}", table.format, rows.path())
        form = statement.format or asked.default_format
        if statement.data_start is not None:
            return _insert(session, asked, statement, form, data, engine.spool_folder)
        if not statement.streams:
            answer = session.run(statement.text, form, asked.params)
            if statement.changes_session:
                session.keeps_settings()
            return answer
        blocks = _started(session, statement.text, form, asked.params)
        if asked.whole:
            return _kept_whole(session, asked, statement, form, blocks, engine.spool_folder)
        held.callback(blocks.close)
        first = next(blocks, b"")
        if first:
            return Flow(first, blocks, blocks.counts, held.pop_all().close)
        return Answer(_without_rows(session, asked, statement, form), blocks.counts)


def _started(session: Session, sql: str, form: str, params: Mapping[str, str]) -> "CountedBlocks":
    """The query's result, which comes while it runs, whatever its format."""
    if form == _ARROW_STREAM:
        return JoinedArrow(session.stream(sql, form, params))
    return session.stream(sql, form, params) if form in _BLOCKWISE else session.pipe(sql, form, params)


def _kept(chunks: Iterable[bytes], folder: Path) -> Body:
    """The chunks as one body, which the engine can read by its path."""
    body = Body(str(folder))
    try:
        for chunk in chunks:
            body.append(chunk)
    except BaseException:
        body.close()
        raise
    return body


def _insert(
    session: Session, asked: Asked, statement: Statement, form: str, data: Iterator[bytes], folder: Path
) -> Answer:
    """Insert a file of rows; VALUES that name parameters go in one piece with their statement."""
    if asked.params and form == "Values":
        text = f"{statement.text} {statement.settings} VALUES {b''.join(data).decode()}"
        return session.run(text, params=asked.params)
    with _kept(data, folder) as rows:
        return session.insert(statement.text, form, rows.path(), settings=statement.settings)


def _kept_whole(
    session: Session, asked: Asked, statement: Statement, form: str, blocks: "CountedBlocks", folder: Path
) -> Flow | Answer:
    """Let the query end before its first byte is sent, so that its failure is an HTTP error; a large result waits."""
    with closing(blocks):
        body = _kept(blocks, folder)
    if not body.size:
        body.close()
        return Answer(_without_rows(session, asked, statement, form), blocks.counts)
    return _flow(body.chunks(0), blocks.counts, body.close)


def _flow(chunks: Iterator[bytes], counts: Counts, give_back: Callable[[], None]) -> Flow | Answer:
    """A flow of what is ready, or an answer when one chunk is all."""
    first, second = next(chunks, b""), next(chunks, b"")
    if not second:
        give_back()
        return Answer(first, counts)

    def others() -> Iterator[bytes]:
        yield second
        yield from chunks

    return Flow(first, others(), counts, give_back)


def _without_rows(session: Session, asked: Asked, statement: Statement, form: str) -> bytes:
    """What a server sends for a query without rows, and chDB does not: the columns, where the format has them."""
    if form == "Native":
        return native_header(session.columns_of(statement.text, asked.params))
    if form == _ARROW_STREAM:
        return session.run(f"SELECT * FROM ({statement.text}\n) LIMIT 0", form, asked.params).payload
    return b""


class CountedBlocks(Protocol):
    """A result's blocks, what it took to make them, and how to end it early."""

    @property
    def counts(self) -> Counts: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def __next__(self) -> bytes: ...

    def close(self) -> None: ...


class JoinedArrow:
    """Join Arrow IPC streams of one schema into one: its schema message once, every batch, the end once.

    An encapsulated message begins with ffffffff and the length of its metadata as int32; a schema has no body.
    """

    def __init__(self, streams: CountedBlocks) -> None:
        self._streams = streams
        self._schema_bytes = 0
        self._ended = False

    @property
    def counts(self) -> Counts:
        return self._streams.counts

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        for stream in self._streams:
            piece = stream.removesuffix(_ARROW_END)[self._schema_bytes :]
            self._schema_bytes = 8 + int.from_bytes(stream[4:8], "little")
            if piece:
                return piece
        if self._ended or not self._schema_bytes:
            raise StopIteration
        self._ended = True
        return _ARROW_END

    def close(self) -> None:
        self._streams.close()


def native_header(columns: list[Column]) -> bytes:
    """A Native block of no rows: the number of columns, of rows, then each column's name and type."""
    sized = [text.encode() for column in columns for text in column]
    return _varint(len(columns)) + _varint(0) + b"".join(_varint(len(text)) + text for text in sized)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
