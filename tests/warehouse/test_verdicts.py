"""Verdicts in the warehouse: columns that follow the contract, one row an event however often it is sent."""

import random
import types
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, get_args, get_origin

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DependencyError
from contracts.verdicts import Citation, Decision, Verdict
from tests.warehouse.samples import START, verdict, verdicts
from warehouse.address import Client
from warehouse.sink import VerdictSink, arrow_schema, to_arrow

VERDICT_SCHEMA = arrow_schema(Verdict)

CLICKHOUSE_TYPES = {
    "str": {"String", "LowCardinality(String)"},
    "float": {"Float32", "Float64"},
    "int": {"UInt32", "Int64"},
    "datetime": {"DateTime64(6, 'UTC')"},
    "[float]": {"Array(Float32)"},
    "[str]": {"Array(String)", "Array(LowCardinality(String))"},
    "[case_id:str category:str similarity:float]": {
        "Array(Tuple(\n    case_id String,\n    category LowCardinality(String),\n    similarity Float32))"
    },
}


def shape(annotation: Any) -> str:
    """A contract's type in short: what it is as a value, whatever else it promises."""
    if get_origin(annotation) is Annotated:
        return shape(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return "str"
    if get_origin(annotation) is tuple:
        return f"[{shape(get_args(annotation)[0])}]"
    if annotation is Citation:
        return " ".join(f"{name}:{shape(field.annotation)}" for name, field in Citation.model_fields.items())
    if isinstance(annotation, type):
        for kind in (str, float, int, datetime):
            if issubclass(annotation, kind):
                return kind.__name__
    assert not isinstance(annotation, types.UnionType), annotation
    return "datetime"  # AwareDatetime is a class only for type checkers


def test_every_field_of_a_verdict_is_a_column_of_an_agreeing_type(database: Client) -> None:
    columns = {row[0]: row[1] for row in database.query("DESCRIBE TABLE verdicts").result_rows}
    assert columns.pop("received_at") == "DateTime64(6, 'UTC')"
    assert list(columns) == list(Verdict.model_fields) == VERDICT_SCHEMA.names
    for name, field in Verdict.model_fields.items():
        assert columns[name] in CLICKHOUSE_TYPES[shape(field.annotation)], name


def test_a_verdict_comes_back_as_it_was_inserted(database: Client) -> None:
    given_verdicts = verdicts(0, 6)
    assert VerdictSink(database).insert(given_verdicts) == 6
    names = ", ".join(Verdict.model_fields)
    rows = database.query_arrow(f"SELECT {names} FROM verdicts ORDER BY occurred_at").to_pylist()
    assert [Verdict(**row) for row in rows] == given_verdicts


@given(st.lists(st.integers(0, 50), max_size=8))
def test_columns_hold_the_rows_in_order(numbers: Sequence[int]) -> None:
    given_verdicts = [verdict(number) for number in numbers]
    table = to_arrow(given_verdicts, VERDICT_SCHEMA)
    assert table.schema == VERDICT_SCHEMA
    table.validate(full=True)
    assert [Verdict(**row) for row in table.to_pylist()] == given_verdicts


def test_a_replay_with_other_batch_boundaries_counts_each_event_once(database: Client) -> None:
    sink = VerdictSink(database)
    events = verdicts(0, 600)
    for size in (256, 300):
        for start in range(0, 600, size):
            sink.insert(events[start : start + size])
    sums = "count(), uniqExact(event_id), round(sum(since_upload_ms))"
    once = [(600, 600, sum(80 + n for n in range(600)))]
    assert database.query(f"SELECT {sums} FROM verdicts FINAL").result_rows == once
    assert database.command("SELECT count() FROM verdicts") >= 600
    database.command("OPTIMIZE TABLE verdicts FINAL")
    assert database.query(f"SELECT {sums} FROM verdicts").result_rows == once


def test_the_latest_scoring_of_an_event_wins_in_whatever_order_they_come(database: Client) -> None:
    later = verdict(1, scored_at=START + timedelta(hours=1), decision=Decision.REMOVE)
    sink = VerdictSink(database)
    sink.insert([later])
    sink.insert([verdict(1, decision=Decision.ALLOW)])
    assert database.query("SELECT decision FROM verdicts FINAL").result_rows == [("remove",)]


def test_an_event_that_changes_its_day_is_still_one_event(database: Client) -> None:
    sink = VerdictSink(database)
    sink.insert([verdict(1)])
    sink.insert([verdict(1, occurred_at=START - timedelta(days=3))])
    assert database.command("SELECT count() FROM verdicts FINAL") == 1


def test_one_batch_may_touch_more_days_than_the_server_s_guard_allows(database: Client) -> None:
    moments = [datetime(1971, 1, 1, tzinfo=UTC) + timedelta(days=31 * n) for n in range(150)]
    sink = VerdictSink(database)
    assert sink.insert([verdict(n, occurred_at=moment) for n, moment in enumerate(moments)]) == 150
    assert database.command("SELECT count() FROM verdicts FINAL") == 150


@pytest.mark.parametrize("year", [1, 1899, 1950, 2200, 9999])
def test_a_clock_that_is_centuries_wrong_does_not_stop_the_sink(database: Client, year: int) -> None:
    wrong = verdict(1, occurred_at=datetime(year, 12, 31, tzinfo=UTC))
    sink = VerdictSink(database)
    assert [sink.insert([wrong]), sink.insert([wrong, verdict(2)])] == [1, 2]
    assert database.command("SELECT count() FROM verdicts FINAL") == 2


def test_nothing_to_insert_asks_nobody() -> None:
    class Nobody:
        def insert_arrow(self, table: str, arrow_table: Any, *, settings: Any = None) -> None:
            raise AssertionError(table)

    assert VerdictSink(Nobody()).insert([]) == 0


def test_a_batch_that_the_warehouse_refuses_is_something_to_wait_for(database: Client) -> None:
    database.command("DROP TABLE verdicts")
    with pytest.raises(DependencyError, match=r"2 verdicts: .*60"):
        VerdictSink(database).insert(verdicts(0, 2))


def test_shuffled_replays_of_parts_leave_one_row_an_event(database: Client) -> None:
    rng = random.Random(7)
    events = verdicts(0, 200)
    sink = VerdictSink(database)
    for _ in range(6):
        sink.insert(rng.sample(events, 80))
    sink.insert(events)
    assert database.query("SELECT count(), uniqExact(event_id) FROM verdicts FINAL").result_rows == [(200, 200)]


def test_the_schema_is_of_nullfree_arrow_columns() -> None:
    assert all(column.null_count == 0 for column in to_arrow(verdicts(0, 3), VERDICT_SCHEMA).columns)
    assert pa.types.is_timestamp(VERDICT_SCHEMA.field("scored_at").type)
