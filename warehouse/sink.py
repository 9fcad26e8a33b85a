"""Events in, rows of their base table out, idempotent by event id: a replay, however batched, leaves one row an event.

A table's columns are those of the event's contract, in its order, and are derived from it here: `arrow_schema`.
"""

import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, Generic, Literal, NamedTuple, Protocol, TypeVar, Union, get_args, get_origin

import numpy as np
import pyarrow as pa
from pydantic import AwareDatetime
from pydantic.fields import FieldInfo

from contracts.cases import CaseAppealed, CaseOpened, Ruling
from contracts.errors import BadInputError, DependencyError, PrecedentError
from contracts.records import Event, Record
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from contracts.viewers import ExperimentExposure, Impression, UserReport, UserSession
from warehouse.address import asking

TABLES: Mapping[type[Event], str] = {
    VideoUploaded: "uploads",
    Verdict: "verdicts",
    Impression: "impressions",
    UserReport: "reports",
    UserSession: "sessions",
    ExperimentExposure: "exposures",
    CaseOpened: "cases",
    Ruling: "rulings",
    CaseAppealed: "appeals",
}
"""Which base table keeps which event."""
_TIME = pa.timestamp("us", tz="UTC")
# A replay of old events touches many days at once; the server's guard against that is for partitions by mistake.
_SETTINGS = {"max_partitions_per_insert_block": 0}
E_ = TypeVar("E_", bound=Event)


class ArrowInserter(Protocol):
    """The part of a client that sinks use."""

    def insert_arrow(self, table: str, arrow_table: Any, *, settings: dict[str, Any] | None = None) -> Any: ...


class EventSink(Generic[E_]):
    """Writes events of one contract through one client, which several threads may share."""

    def __init__(self, client: ArrowInserter, event: type[E_]) -> None:
        self.table = TABLES[event]
        self.schema = arrow_schema(event)
        self._client = client

    def insert(self, events: Sequence[E_]) -> int:
        """Insert the events as one batch; returns how many.

        Raises `DependencyError` when the warehouse does not answer or refuses the batch: wait and insert it again.
        """
        return self.insert_table(to_arrow(events, self.schema)) if events else 0

    def insert_table(self, columns: pa.Table) -> int:
        """Insert events that are columns already, each validated by its reader; returns how many.

        Raises `BadInputError` when names or types are not those of `schema`, or a value is missing where the contract
        wants one; `DependencyError` as `insert` does.
        """
        _check_columns(columns, self.schema, self.table)
        if not columns.num_rows:
            return 0
        try:
            with asking(f"{columns.num_rows} {self.table}"):
                self._client.insert_arrow(self.table, columns, settings=_SETTINGS)
        except PrecedentError as error:
            # An event is valid by its type: whatever the warehouse has against the batch is to be mended there.
            raise DependencyError(str(error)) from error
        return int(columns.num_rows)


class VerdictSink(EventSink[Verdict]):
    """The sink of verdicts."""

    def __init__(self, client: ArrowInserter) -> None:
        super().__init__(client, Verdict)


def to_arrow(events: Sequence[Event], schema: pa.Schema) -> pa.Table:
    """The events as columns of `schema`, which is that of their contract."""
    columns = [
        (_optional_records if field.nullable and pa.types.is_struct(field.type) else _column)(
            list(map(attrgetter(field.name), events)), field.type
        )
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def arrow_schema(event: type[Record]) -> pa.Schema:
    """The columns of a contract: what may be None is nullable, numbers are as wide as their bounds ask for."""
    return pa.schema([_arrow_field(name, field) for name, field in event.model_fields.items()])


def _arrow_field(name: str, field: FieldInfo) -> pa.Field:
    value = _value_type(field.annotation, tuple(field.metadata))
    return pa.field(name, value.arrow, nullable=value.optional)


class _Value(NamedTuple):
    arrow: pa.DataType
    optional: bool


def _value_type(annotation: Any, bounds: tuple[Any, ...] = ()) -> _Value:
    """The Arrow type of a contract's annotation; raises `TypeError` for what no column can hold."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _value_type(arguments[0], (*bounds, *arguments[1:]))
    if origin in {Union, types.UnionType}:
        (kept,) = (argument for argument in arguments if argument is not type(None))
        return _Value(_value_type(kept, bounds).arrow, optional=True)
    return _Value(_plain_type(annotation, origin, arguments, bounds), optional=False)


def _plain_type(annotation: Any, origin: Any, arguments: tuple[Any, ...], bounds: tuple[Any, ...]) -> pa.DataType:
    if origin is tuple:
        return pa.list_(_value_type(arguments[0]).arrow)
    kind = str if origin is Literal else annotation
    if isinstance(kind, type) and issubclass(kind, Record):
        return pa.struct(list(arrow_schema(kind)))
    upper = _upper_bound(bounds)
    columns = {
        str: pa.string(),
        bool: pa.bool_(),
        int: pa.uint64() if upper and upper > 2**32 else pa.uint32(),
        float: pa.float64() if upper is None else pa.float32(),
        datetime: _TIME,
        AwareDatetime: _TIME,
    }
    for of, column in columns.items():
        if isinstance(kind, type) and issubclass(kind, of):
            return column
    msg = f"{annotation}: no column type stands for it"
    raise TypeError(msg)


def _upper_bound(constraints: Sequence[Any]) -> float | None:
    """The upper bound among a field's constraints, which lie in it plainly or inside a `Field`."""
    for constraint in constraints:
        if isinstance(constraint, FieldInfo):
            return _upper_bound(constraint.metadata)
        for name in ("le", "lt"):
            if (limit := getattr(constraint, name, None)) is not None:
                return float(limit)
    return None


def _column(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Values as an Arrow array; arrays of arrays and of records are built from their flat columns."""
    if pa.types.is_list(type_):
        offsets = np.zeros(len(values) + 1, np.int32)
        np.cumsum([len(value) for value in values], out=offsets[1:])
        flat = _column(list(chain.from_iterable(values)), type_.value_type)
        return pa.ListArray.from_arrays(pa.array(offsets), flat)
    if pa.types.is_struct(type_):
        parts = [_column(list(map(attrgetter(part.name), values)), part.type) for part in type_]
        return pa.StructArray.from_arrays(parts, fields=list(type_))
    return pa.array(values, type_, size=len(values))


def _optional_records(values: Sequence[Any], type_: pa.StructType) -> pa.Array:
    """Records some of which are missing: those are null, their parts may not be, and take whatever stands first."""
    there = np.array([value is not None for value in values], np.bool_)
    if not there.any():
        blank = pa.scalar({part.name: None if part.nullable else _blank(part.type) for part in type_}, type_)
        records = pa.repeat(blank, len(values))
    else:
        places = np.maximum(np.cumsum(there) - 1, 0)
        records = _column([value for value in values if value is not None], type_).take(pa.array(places))
    return pa.StructArray.from_arrays(records.flatten(), fields=list(type_), mask=pa.array(~there))


def _blank(type_: pa.DataType) -> Any:
    if pa.types.is_list(type_):
        return []
    return "" if pa.types.is_string(type_) else 0


def _check_columns(columns: pa.Table, schema: pa.Schema, table: str) -> None:
    if columns.schema.names != schema.names:
        raise BadInputError(f"{table}: columns == {columns.schema.names}, must be {schema.names}")
    for field, column in zip(schema, columns.columns, strict=True):
        if column.type != field.type:
            raise BadInputError(f"{table}.{field.name}: type == {column.type}, must be {field.type}")
        if column.null_count and not field.nullable:
            raise BadInputError(f"{table}.{field.name}: {column.null_count} of {len(column)} values are missing")
