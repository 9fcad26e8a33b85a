"""Stored bytes in, one column of values per feature out: what a lookup decodes, without an object per value.

The bytes are Feast's serialized `Value`s, whoever wrote them (see `features.online.rows`). Those of the usual shape are
cut open here; any other is left to Feast's own message, which takes about twenty times as long. A test holds every
column to what Feast itself reads.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from contracts.taxonomy import N_CATEGORIES
from features.views import Kind, View

Raw = bytes | None

_FLOAT_HEAD, _FLOAT_BYTES = 0x35, 5
_NO_FLOAT = bytes(4)
_VECTOR_BYTES = 4 * N_CATEGORIES
_VECTOR_HEAD = b"\x82\x01" + bytes((_VECTOR_BYTES + 2, 0x0A, _VECTOR_BYTES))
_NO_VECTOR = np.full(N_CATEGORIES, np.nan, "<f4").tobytes()


class Columns(NamedTuple):
    """The rows of N ids, of which K are there, in the order of the ids.

    known_N: bool. event_us_K: microseconds since 1970. values: by feature, FLOATS float32 [K, 16] (NaN where there are
    not 16), FLOAT float32 [K], INT int64 [K], TIME int64 [K] in seconds since 1970, TEXT a tuple of K strings; what is
    missing reads as 0 or "".
    """

    known_N: npt.NDArray[np.bool_]
    event_us_K: Sequence[int]
    values: dict[str, Any]

    @classmethod
    def empty(cls, view: View, n: int) -> "Columns":
        """The columns of N ids of which none is there."""
        return columns(view, [False] * n, [], [])


class RowReader(Protocol):
    """Reads a view's rows from where they are kept; raises `DependencyError` when it does not answer in time."""

    def read(self, view: View, ids: Sequence[str]) -> Columns: ...

    def within(self, deadline_s: float) -> "RowReader":
        """A reader of the same store that waits so long at most."""
        ...


def columns(view: View, known: Sequence[bool], events_us: Sequence[int], raws: Sequence[Sequence[Raw]]) -> Columns:
    """Columns of K rows, each the serialized values of the view's fields in their order."""
    by_field = zip(*raws, strict=True) if raws else [()] * len(view.fields)
    decoded = {field.name: _DECODERS[field.kind](column) for field, column in zip(view.fields, by_field, strict=True)}
    return Columns(np.array(known, np.bool_), events_us, decoded)


def _floats(raws: Sequence[Raw]) -> npt.NDArray[np.float32]:
    cut = [raw[1:] if raw and raw[0] == _FLOAT_HEAD and len(raw) == _FLOAT_BYTES else _odd_float(raw) for raw in raws]
    return np.frombuffer(b"".join(cut), "<f4")


def _vectors(raws: Sequence[Raw]) -> npt.NDArray[np.float32]:
    start = len(_VECTOR_HEAD)
    cut = [
        raw[start:] if raw and len(raw) == start + _VECTOR_BYTES and raw.startswith(_VECTOR_HEAD) else _odd_vector(raw)
        for raw in raws
    ]
    return np.frombuffer(b"".join(cut), "<f4").reshape(len(raws), N_CATEGORIES)


def _integers(raws: Sequence[Raw]) -> npt.NDArray[np.int64]:
    return np.array([_integer(raw) if raw else 0 for raw in raws], np.int64)


def _texts(raws: Sequence[Raw]) -> tuple[str, ...]:
    return tuple([_text(raw) if raw else "" for raw in raws])


_DECODERS: dict[Kind, Callable[[Sequence[Raw]], Any]] = {
    Kind.FLOATS: _vectors,
    Kind.FLOAT: _floats,
    Kind.INT: _integers,
    Kind.TIME: _integers,
    Kind.TEXT: _texts,
}


# Versions, decisions, categories repeat from row to row, and so do the seconds of one batch.
@lru_cache(maxsize=65_536)
def _integer(raw: bytes) -> int:
    """The number in an int64 or a timestamp."""
    if raw[0] in {0x20, 0x40}:
        value, end = varint_at(raw, 1)
        if end == len(raw):
            return value - (1 << 64) if value >> 63 else value
    odd = _value(raw)
    return int(odd.int64_val or odd.unix_timestamp_val)


@lru_cache(maxsize=65_536)
def _text(raw: bytes) -> str:
    if raw[0] == 0x12:
        length, start = varint_at(raw, 1)
        if start + length == len(raw):
            return raw[start:].decode()
    return str(_value(raw).string_val)


def _odd_float(raw: Raw) -> bytes:
    return np.float32(_value(raw).float_val).tobytes() if raw else _NO_FLOAT


def _odd_vector(raw: Raw) -> bytes:
    given = _value(raw).float_list_val.val if raw else ()
    return np.array(given, "<f4").tobytes() if len(given) == N_CATEGORIES else _NO_VECTOR


def _value(raw: bytes) -> Any:
    from feast.protos.feast.types.Value_pb2 import Value

    return Value.FromString(raw)


def varint_at(raw: bytes, place: int) -> tuple[int, int]:
    """The varint that begins at `place`, and where it ends."""
    value = shift = 0
    while True:
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
