"""Files of events in, rows of their base tables out: each row validated by its contract, what it refuses counted.

FOLDER/impressions.parquet (or .jsonl: a line an event, as on its topic), and so on, named as the base tables are;
also under FOLDER/events, where `precedent simulate platform` writes them. Loading again changes no sum.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.records import Event
from contracts.topics import TOPICS
from warehouse.sink import TABLES, ArrowInserter, EventSink

FORMS = ("parquet", "jsonl")
CALENDAR = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""The warehouse's days end in 2149 and begin again in 1970: a time far off would count on somebody else's day."""
_AT_ONCE = 20_000


class EventFile(NamedTuple):
    """A file of events of one contract."""

    path: Path
    event: type[Event]


class Loaded(NamedTuple):
    """How many rows of a file were inserted and how many its contract refuses; `first_refusal` says where and why."""

    file: EventFile
    rows: int
    refused: int
    first_refusal: str


def event_files(folder: Path) -> tuple[EventFile, ...]:
    """The files of events in `folder` or its `events`; raises `BadInputError` for none, or two of one table."""
    inside = folder / "events" if (folder / "events").is_dir() else folder
    found = []
    for event, table in TABLES.items():
        paths = [path for form in FORMS if (path := inside / f"{table}.{form}").is_file()]
        if len(paths) > 1:
            raise BadInputError(f"{inside}: has both {paths[0].name} and {paths[1].name}, must have one of them")
        found += [EventFile(path, event) for path in paths]
    if not found:
        known = ", ".join(TABLES.values())
        raise BadInputError(f"{inside}: has no events, must have .parquet or .jsonl files of {known}")
    return tuple(found)


def load(client: ArrowInserter, file: EventFile, *, done: Callable[[int], object] = lambda _: None) -> Loaded:
    """Insert the rows of a file, all but those that its contract refuses; `done` is told of each batch's rows.

    Raises `BadInputError` for a file that cannot be read, `DependencyError` when the warehouse does not answer.
    """
    sink = EventSink(client, file.event)
    rows, refused, first_refusal, number = 0, 0, "", 0
    for batch in _batches(file.path):
        events = []
        for event in _validated(batch, file):
            number += 1
            if isinstance(event, ValueError):
                refused += 1
                first_refusal = first_refusal or f"{file.path}: row {number}: {first_reason(event)}"
            else:
                events.append(event)
        rows += sink.insert(events)
        done(len(batch))
    return Loaded(file, rows, refused, first_refusal)


def rows_of(file: EventFile) -> int | None:
    """How many rows a file has, None where only reading it through would tell."""
    from pyarrow import parquet

    if file.path.suffix != ".parquet":
        return None
    with _readable(file.path), parquet.ParquetFile(file.path) as opened:
        return int(opened.metadata.num_rows)


def _batches(path: Path) -> Iterator[list[Any]]:
    """Rows as plain values, or lines of JSON as bytes."""
    from pyarrow import parquet

    with _readable(path):
        if path.suffix == ".parquet":
            with parquet.ParquetFile(path) as opened:
                yield from (batch.to_pylist() for batch in opened.iter_batches(_AT_ONCE))
            return
        with path.open("rb") as lines:
            while some := list(islice(lines, _AT_ONCE)):
                yield some


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What a broken file raises, as `BadInputError`; no error of ours is an OSError or a ValueError."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise BadInputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error


def _validated(batch: list[Any], file: EventFile) -> Iterator[Event | ValueError]:
    """Each row's event, or why it is none: the contract's refusal, or a time outside of `CALENDAR`."""
    check = TypeAdapter(file.event).validator
    (time,) = (topic.time for topic in TOPICS if topic.event is file.event)
    happened = attrgetter(time)
    first, end = CALENDAR
    for row in batch:
        try:
            event: Event = check.validate_json(row) if isinstance(row, bytes) else check.validate_python(row)
        except ValidationError as error:
            yield error
            continue
        if first <= happened(event) < end:
            yield event
        else:
            yield ValueError(f"{time} == {happened(event)}, must be from {first.date()} to before {end.date()}")
