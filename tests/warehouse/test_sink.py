"""Every event's base table: columns that follow its contract, one row an event however often it is sent."""

import random
import re
import resource
import types
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
import pytest

from contracts.errors import BadInputError, DependencyError
from contracts.records import Event, Record
from contracts.viewers import Impression
from tests.warehouse.owners import running_owner, start_owner
from tests.warehouse.samples import upload, verdict
from tests.warehouse.viewers import appeal, at, case, exposure, impression, report, ruling, session
from warehouse.address import Client, connect
from warehouse.migrate import migrate
from warehouse.sink import TABLES, EventSink, arrow_schema, to_arrow

ARROW_OF = {"UInt32": pa.uint32(), "UInt64": pa.uint64(), "Float32": pa.float32(), "Float64": pa.float64()}
SAMPLES: dict[str, Callable[[int], Event]] = {
    "uploads": lambda n: upload(n, at(n % 3)),
    "verdicts": verdict,
    "impressions": lambda n: impression(n, f"user-{n % 5}", day=n % 3, toxicity=(None, 0.5)[n % 2]),
    "reports": lambda n: report(n, f"user-{n % 5}", day=n % 3),
    "sessions": lambda n: session(n, f"user-{n % 5}", day=n % 3),
    "exposures": lambda n: exposure(f"user-{n}", day=n % 3),
    "cases": case,
    "rulings": ruling,
    "appeals": appeal,
}
EVENTS = pytest.mark.parametrize("event", TABLES, ids=lambda event: event.__name__)


def plain(column: str) -> str:
    """A ClickHouse type without what is only about its storage: low cardinality, widths of numbers, line breaks."""
    column = re.sub(r"\s+", " ", column).replace("( ", "(")
    column = re.sub(r"LowCardinality\(((?:Nullable\()?\w+\)?)\)", r"\1", column)
    return re.sub(r"\b(Float|UInt)\d+", r"\1", column)


def wanted(annotation: Any) -> str:
    """The plain ClickHouse type of a contract's annotation: what it is as a value, whatever else it promises."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return wanted(arguments[0])
    if origin in {Union, types.UnionType}:
        return f"Nullable({wanted(next(one for one in arguments if one is not type(None)))})"
    if origin is tuple:
        return f"Array({wanted(arguments[0])})"
    if isinstance(annotation, type) and issubclass(annotation, Record):
        parts = (f"{name} {wanted(field.annotation)}" for name, field in annotation.model_fields.items())
        return f"Tuple({', '.join(parts)})"
    kinds = {str: "String", float: "Float", int: "UInt", datetime: "DateTime64(6, 'UTC')"}
    kind = str if origin is Literal else annotation
    # AwareDatetime is a datetime only for type checkers
    return next((kinds[of] for of in kinds if isinstance(kind, type) and issubclass(kind, of)), kinds[datetime])


def given(event: type[Event], numbers: range) -> list[Event]:
    return [SAMPLES[TABLES[event]](n) for n in numbers]


@EVENTS
def test_every_field_of_a_contract_is_a_column_of_an_agreeing_type(database: Client, event: type[Event]) -> None:
    columns = {row[0]: row[1] for row in database.query(f"DESCRIBE TABLE {TABLES[event]}").result_rows}
    assert columns.pop("received_at") == "DateTime64(6, 'UTC')"
    assert list(columns) == list(event.model_fields) == arrow_schema(event).names
    for field in arrow_schema(event):
        column = columns[field.name]
        assert plain(column) == wanted(event.model_fields[field.name].annotation), field.name
        number = re.sub(r"Nullable\((\w+)\)", r"\1", column)
        assert ARROW_OF.get(number, field.type) == field.type, field.name
        assert field.nullable == ("Nullable" in column), field.name


@EVENTS
def test_an_event_comes_back_as_it_was_inserted(database: Client, event: type[Event]) -> None:
    events = given(event, range(6))
    assert EventSink(database, event).insert(events) == 6
    names = ", ".join(event.model_fields)
    rows = database.query_arrow(f"SELECT {names} FROM {TABLES[event]}").to_pylist()
    found = {row["event_id"]: event(**row) for row in rows}
    assert found == {one.event_id: one for one in events}


@EVENTS
def test_replays_with_other_boundaries_and_orders_leave_one_row_an_event(database: Client, event: type[Event]) -> None:
    rng = random.Random(11)
    sink = EventSink(database, event)
    events = given(event, range(120))
    for size in (50, 7, 120):
        rng.shuffle(events)
        for start in range(0, 120, size):
            sink.insert(events[start : start + size])
    once = "SELECT count(), uniqExact(event_id) FROM {} FINAL SETTINGS do_not_merge_across_partitions_select_final = 1"
    assert database.query(once.format(TABLES[event])).result_rows == [(120, 120)]
    assert database.command(f"SELECT count() FROM {TABLES[event]}") >= 120


def test_columns_are_inserted_as_events_are(database: Client) -> None:
    sink = EventSink(database, Impression)
    events = [impression(n) for n in range(4)]
    assert sink.insert_table(to_arrow(events, sink.schema)) == 4
    sink.insert(events)
    assert database.command("SELECT count() FROM impressions FINAL") == 4
    assert sink.insert_table(sink.schema.empty_table()) == 0


def test_columns_that_are_not_the_contract_s_are_refused() -> None:
    sink = EventSink(Nobody(), Impression)
    columns = to_arrow([impression(1)], sink.schema)
    with pytest.raises(BadInputError, match=r"impressions: columns == \['user_id', .*\], must be \['event_id', "):
        sink.insert_table(columns.drop_columns(["event_id"]))
    wide = columns.set_column(6, "watch_ms", pa.array([1], pa.int64()))
    with pytest.raises(BadInputError, match=r"impressions\.watch_ms: type == int64, must be uint32"):
        sink.insert_table(wide)
    gap = columns.set_column(1, "user_id", pa.array([None], pa.string()))
    with pytest.raises(BadInputError, match=r"impressions\.user_id: 1 of 1 values are missing"):
        sink.insert_table(gap)


class Nobody:
    """A client that nothing may be asked of."""

    def insert_arrow(self, table: str, arrow_table: Any, *, settings: Any = None) -> None:
        raise AssertionError(table)


def test_a_warehouse_that_is_stopped_is_waited_for_and_then_has_every_row(tmp_path: Path) -> None:
    address = "http://ana:secret@127.0.0.1:1/moderation"
    first = start_owner(tmp_path / "data", tmp_path / "log", PRECEDENT_WAREHOUSE=address)
    migrate(first.address)
    sink = EventSink(connect(first.address), Impression)
    sink.insert([impression(0)])
    first.stop()
    assert first.process.stdout is not None
    first.process.stdout.close()
    with pytest.raises(DependencyError, match=r"2 impressions: the warehouse does not answer"):
        sink.insert([impression(1), impression(2)])
    port = str(first.address.port)
    with running_owner(tmp_path / "data", tmp_path / "log", "--port", port, PRECEDENT_WAREHOUSE=address):
        sink.insert([impression(1), impression(2)])
        assert connect(first.address).command("SELECT count() FROM impressions FINAL") == 3


def test_a_warehouse_that_is_full_is_waited_for_and_then_has_every_row_once(tmp_path: Path) -> None:
    """No file of the owner may grow past 2 kB, as on a full disk; then there is space again."""
    with running_owner(tmp_path / "data", tmp_path / "log") as owner:
        migrate(owner.address)
        client = connect(owner.address)
        sink = EventSink(client, Impression)
        sink.insert([impression(n) for n in range(100)])
        rng = random.Random(5)
        events = [impression(n, video_id=f"v{rng.getrandbits(100):x}") for n in range(100, 2_000)]
        _, hard = resource.prlimit(owner.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(owner.process.pid, resource.RLIMIT_FSIZE, (2_000, hard))
        with pytest.raises(DependencyError, match=r"1900 impressions: "):
            sink.insert(events)
        assert client.command("SELECT count() FROM impressions FINAL") == 100
        resource.prlimit(owner.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        sink.insert(events)
        assert client.command("SELECT count() FROM impressions FINAL") == 2_000
