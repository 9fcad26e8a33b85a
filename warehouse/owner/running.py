"""Run one request's statement in its session: an answer, or a flow of blocks that is still running."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

from warehouse.owner.engine import Answer, Column, Engine, Session, identifier
from warehouse.owner.requests import Asked
from warehouse.owner.statements import Statement

# Formats without a header or a footer: blocks one after another are one longer result.
_BLOCKWISE = frozenset({"Native", "TabSeparated", "TSV", "TSVRaw", "CSV", "RowBinary", "JSONEachRow"})
_ARROW_STREAM = "ArrowStream"
_ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"


@dataclass(frozen=True, slots=True)
class Flow:
    """A result still running: its first block, the others, and what gives its session back."""

    first: bytes
    others: Iterator[bytes]
    give_back: Callable[[], None]


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
        session.use(asked.database, {"log_comment": tag, **asked.settings})
        for table in asked.external:
            session.run(f"CREATE TEMPORARY TABLE {identifier(table.name)} ({table.structure})")
            if name:
                held.callback(session.run, f"DROP TEMPORARY TABLE IF EXISTS {identifier(table.name)}")
            session.insert(f"INSERT INTO {identifier(table.name)}", table.format, [table.data])
        form = statement.format or asked.default_format
        if statement.data_start is not None:
            return _insert(session, asked, statement, form, data)
        if statement.streams and (form in _BLOCKWISE or form == _ARROW_STREAM) and not asked.whole:
            blocks = session.stream(statement.text, form, asked.params)
            others = joined_arrow(blocks) if form == _ARROW_STREAM else blocks
            first = next(others, b"")
            if first:
                return Flow(first, others, held.pop_all().close)
            return Answer(_without_rows(session, asked, statement, form))
        answer = session.run(statement.text, form, asked.params)
        if statement.changes_session:
            session.keeps_settings()
        if statement.streams and not answer.payload:
            return Answer(_without_rows(session, asked, statement, form), answer.rows_read, answer.bytes_read)
        return answer


def _insert(session: Session, asked: Asked, statement: Statement, form: str, data: Iterator[bytes]) -> Answer:
    """Push an INSERT's rows; VALUES that name parameters go in one piece, for pushed rows have none."""
    if asked.params and form == "Values":
        return session.run(f"{statement.text} VALUES {b''.join(data).decode()}", params=asked.params)
    return session.insert(statement.text, form, data)


def _without_rows(session: Session, asked: Asked, statement: Statement, form: str) -> bytes:
    """What a server sends for a query without rows, and chDB does not: the columns, where the format has them."""
    if form == "Native":
        return native_header(session.columns_of(statement.text, asked.params))
    if form == _ARROW_STREAM:
        return session.run(f"SELECT * FROM ({statement.text}\n) LIMIT 0", form, asked.params).payload
    return b""


def joined_arrow(streams: Generator[bytes]) -> Iterator[bytes]:
    """Join Arrow IPC streams of one schema into one: its schema message once, every batch, the end once.

    An encapsulated message begins with ffffffff and the length of its metadata as int32; a schema has no body.
    """
    with closing(streams):
        schema_bytes = 0
        for stream in streams:
            piece = stream.removesuffix(_ARROW_END)[schema_bytes:]
            schema_bytes = 8 + int.from_bytes(stream[4:8], "little")
            if piece:
                yield piece
        yield _ARROW_END if schema_bytes else b""


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
