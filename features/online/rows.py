"""Project one record into the row that an online store holds: key bytes, two times, one value per feature.

The bytes are those of Feast's own protobuf messages (`EntityKey` of serialization version 3, `Value`), written
directly: a worker that only writes need not import Feast, which takes longer than joining its consumer group.
The tests compare every one of them with Feast's own.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from contracts.records import Record
from features.views import Kind, View

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STRING_TYPE = 2  # ValueType.STRING
_U32 = struct.Struct("<I")
_FLOAT = struct.Struct("<f")


class Row(NamedTuple):
    """What is stored of one entity; times in microseconds since 1970, values as serialized Feast `Value`s."""

    key: bytes
    event_us: int
    known_us: int
    values: tuple[bytes, ...]


class Written(NamedTuple):
    """How many rows a write put in place, and how many were not newer than what was already there."""

    written: int
    stale: int


def microseconds(moment: datetime) -> int:
    """An aware time as whole microseconds since 1970-01-01 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=8192)
def varint(value: int) -> bytes:
    """A protobuf varint; negative values take ten bytes."""
    rest = value & 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _floats(values: Sequence[float]) -> bytes:
    packed = struct.pack(f"<{len(values)}f", *values)
    inner = b"\x0a" + varint(len(packed)) + packed
    return b"\x82\x01" + varint(len(inner)) + inner


def _float(value: float) -> bytes:
    return b"\x35" + _FLOAT.pack(value)


@lru_cache(maxsize=8192)
def _integer(value: int) -> bytes:
    return b"\x20" + varint(value)


@lru_cache(maxsize=8192)
def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"\x12" + varint(len(encoded)) + encoded


@lru_cache(maxsize=8192)
def _time(value: datetime) -> bytes:
    return b"\x40" + varint(microseconds(value) // 1_000_000)


_ENCODERS: dict[Kind, Callable[[Any], bytes]] = {
    Kind.FLOATS: _floats,
    Kind.FLOAT: _float,
    Kind.INT: _integer,
    Kind.TEXT: _text,
    Kind.TIME: _time,
}


def _sized(raw: bytes) -> bytes:
    return _U32.pack(len(raw)) + raw


def timestamp(moment_us: int) -> bytes:
    """A serialized protobuf `Timestamp`."""
    seconds, rest_us = divmod(moment_us, 1_000_000)
    nanos = b"\x10" + varint(rest_us * 1_000) if rest_us else b""
    return (b"\x08" + varint(seconds) if seconds else b"") + nanos


def repeated(values: Iterable[bytes]) -> bytes:
    """A serialized Feast `RepeatedValue` of serialized `Value`s, in their order."""
    return b"".join([b"\x0a" + varint(len(value)) + value for value in values])


@lru_cache(maxsize=16)
def _key_prefix(view: View) -> bytes:
    kind = _U32.pack(_STRING_TYPE)
    return _U32.pack(1) + kind + _sized(view.key.encode()) + kind


def key_of(view: View, entity: str) -> bytes:
    """The serialized key of one entity, by its id."""
    return _key_prefix(view) + _sized(entity.encode())


def to_rows(view: View, records: Iterable[Record]) -> list[Row]:
    """Project records of `view.record`; a missing value is an empty `Value`, which Feast reads as null."""
    prefix = _key_prefix(view)
    id_of, event_of, known_of = attrgetter(view.key), attrgetter(view.occurred), attrgetter(view.known)
    values_of = attrgetter(*view.field_names)
    encoders = [_ENCODERS[field.kind] for field in view.fields]
    return [
        Row(
            prefix + _sized(id_of(record).encode()),
            microseconds(event_of(record)),
            microseconds(known_of(record)),
            tuple(
                [
                    b"" if value is None else encode(value)
                    for encode, value in zip(encoders, values_of(record), strict=True)
                ]
            ),
        )
        for record in records
    ]
