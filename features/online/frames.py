"""What travels between a worker and the owner of the SQLite file: length-prefixed batches, JSON answers.

A request is a JSON header naming view and fields, then the rows by column: lengths, times, bytes. (Arrow would carry
it as fast, but to build its arrays from Python's bytes it imports pandas: a second of a worker's start.) An answer
says how many rows were written or stale once they are on disk, or why they were not and whether to try again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import orjson

from contracts.errors import BadInputError
from features.online.rows import Written
from features.online.sqlite import PackedRow
from features.views import BY_NAME, View

MAX_FRAME_BYTES = 64 << 20
_LENGTH_BYTES = 4
_LENGTHS, _TIMES = np.dtype("<u4"), np.dtype("<i8")
_ROW_BYTES = 2 * _LENGTHS.itemsize + 2 * _TIMES.itemsize


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a batch was not written; `retry` says that the same batch may succeed later."""

    reason: str
    retry: bool


def encode_batch(view: View, rows: Sequence[PackedRow]) -> bytes:
    keys, events, knowns, values = zip(*rows, strict=True)
    header = orjson.dumps({"view": view.name, "fields": view.field_names, "rows": len(rows)})
    return b"".join(
        (
            len(header).to_bytes(_LENGTH_BYTES, "little"),
            header,
            np.fromiter(map(len, keys), _LENGTHS, len(rows)).tobytes(),
            np.fromiter(map(len, values), _LENGTHS, len(rows)).tobytes(),
            np.array(events, _TIMES).tobytes(),
            np.array(knowns, _TIMES).tobytes(),
            *keys,
            *values,
        )
    )


def decode_batch(raw: bytes) -> tuple[View, list[PackedRow]]:
    """Raises `BadInputError` for anything but a batch of rows of a view with its present fields."""
    view, n, start = _header(raw)
    rest = len(raw) - start - n * _ROW_BYTES
    if rest < 0:
        msg = f"a frame of {len(raw)} bytes, must have {n * _ROW_BYTES} bytes for the lengths and times of {n} rows"
        raise BadInputError(msg)
    lengths = np.frombuffer(raw, _LENGTHS, 2 * n, start)
    times = np.frombuffer(raw, _TIMES, 2 * n, start + lengths.nbytes)
    if int(lengths.sum(dtype=np.int64)) != rest:
        msg = f"{rest} bytes of keys and values, must be {int(lengths.sum(dtype=np.int64))} by their lengths"
        raise BadInputError(msg)
    ends = accumulate(lengths.tolist(), initial=start + n * _ROW_BYTES)
    parts = [raw[begin:end] for begin, end in pairwise(ends)]
    events, knowns = times[:n].tolist(), times[n:].tolist()
    return view, list(map(PackedRow, parts[:n], events, knowns, parts[n:]))


def _header(raw: bytes) -> tuple[View, int, int]:
    """The view, the number of rows, and where they begin."""
    start = _LENGTH_BYTES + int.from_bytes(raw[:_LENGTH_BYTES], "little")
    try:
        header = orjson.loads(raw[_LENGTH_BYTES:start])
        name, fields, n = header["view"], tuple(header["fields"]), header["rows"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        msg = f"a frame of {len(raw)} bytes does not begin with the header of a batch: {error!r}"
        raise BadInputError(msg) from error
    if name not in BY_NAME or fields != BY_NAME[name].field_names or not (isinstance(n, int) and n > 0):
        msg = f"a batch of {n!r} rows for view {name!r} with other fields, is the worker of another version?"
        raise BadInputError(msg)
    return BY_NAME[name], n, start


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
