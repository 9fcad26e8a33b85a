"""What travels between a worker and the owner of the SQLite file: length-prefixed Arrow batches, JSON answers.

A request is one Arrow IPC stream of one batch of packed rows, its schema naming view and fields; an answer says
how many rows were written or stale once they are on disk, or why they were not and whether to try again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import pyarrow as pa

from contracts.errors import BadInputError
from features.online.rows import Written
from features.online.sqlite import PackedRow
from features.views import BY_NAME, View

MAX_FRAME_BYTES = 64 << 20
_LENGTH_BYTES = 4
_COLUMNS = (
    ("key", pa.binary()),
    ("event_us", pa.int64()),
    ("known_us", pa.int64()),
    ("values", pa.binary()),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a batch was not written; `retry` says that the same batch may succeed later."""

    reason: str
    retry: bool


def _schema(view: View) -> pa.Schema:
    return pa.schema(_COLUMNS, metadata={"view": view.name, "fields": ",".join(view.field_names)})


def encode_batch(view: View, rows: Sequence[PackedRow]) -> bytes:
    schema = _schema(view)
    columns = [pa.array(values, type=kind) for values, (_, kind) in zip(zip(*rows, strict=True), _COLUMNS, strict=True)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.record_batch(columns, schema=schema))
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def decode_batch(raw: bytes) -> tuple[View, list[PackedRow]]:
    """Raises `BadInputError` for anything but a batch of rows of a view with its present fields."""
    try:
        with pa.ipc.open_stream(raw) as stream:
            metadata = stream.schema.metadata or {}
            batch = stream.read_next_batch()
        batch.validate(full=True)
    except (pa.ArrowException, OSError, StopIteration) as error:
        msg = f"a frame of {len(raw)} bytes is not an Arrow stream of one batch: {error}"
        raise BadInputError(msg) from error
    name = metadata.get(b"view", b"").decode(errors="replace")
    if name not in BY_NAME:
        msg = f"view == {name!r}, must be one of {', '.join(BY_NAME)}"
        raise BadInputError(msg)
    view = BY_NAME[name]
    if not batch.schema.equals(_schema(view), check_metadata=True) or any(c.null_count for c in batch.columns):
        msg = f"a batch for view {name!r} has other columns or fields, is the worker of another version?"
        raise BadInputError(msg)
    columns = [column.to_pylist() for column in batch.columns]
    return view, list(map(PackedRow, *columns))


def encode_answer(answer: Written | Refusal) -> bytes:
    if isinstance(answer, Written):
        return orjson.dumps({"written": answer.written, "stale": answer.stale})
    return orjson.dumps({"error": answer.reason, "retry": answer.retry})


def decode_answer(raw: bytes) -> Written | Refusal:
    answer = orjson.loads(raw)
    if "error" in answer:
        return Refusal(answer["error"], answer["retry"])
    return Written(answer["written"], answer["stale"])


def send_frame(stream: asyncio.StreamWriter, raw: bytes) -> None:
    stream.write(len(raw).to_bytes(_LENGTH_BYTES, "little"))
    stream.write(raw)


async def read_frame(stream: asyncio.StreamReader) -> bytes | None:
    """The next frame, or None at a clean end; raises `BadInputError` for an absurd length."""
    try:
        length = int.from_bytes(await stream.readexactly(_LENGTH_BYTES), "little")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    if length > MAX_FRAME_BYTES:
        msg = f"frame length == {length}, must be at most {MAX_FRAME_BYTES} bytes"
        raise BadInputError(msg)
    return await stream.readexactly(length)
