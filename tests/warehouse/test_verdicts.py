"""Verdicts in the warehouse: columns that follow the contract, one row an event however often it is sent."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DependencyError
from contracts.verdicts import Decision, Verdict
from tests.warehouse.samples import START, verdict, verdicts
from warehouse.address import Client
from warehouse.sink import VerdictSink, arrow_schema, to_arrow

VERDICT_SCHEMA = arrow_schema(Verdict)


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


def test_only_the_candidate_s_decision_may_be_missing() -> None:
    table = to_arrow(verdicts(0, 3), VERDICT_SCHEMA)
    table.validate(full=True)
    assert {name: table[name].null_count for name in table.column_names if table[name].null_count} == {"candidate": 2}
    assert [field.name for field in VERDICT_SCHEMA if field.nullable] == ["candidate"]
    assert pa.types.is_timestamp(VERDICT_SCHEMA.field("scored_at").type)


def test_where_the_two_releases_disagree_is_one_question(database: Client) -> None:
    VerdictSink(database).insert(verdicts(0, 8))  # odd ones have a candidate, which is one step stricter or allows
    asked = "countIf(candidate.decision != decision), countIf(candidate IS NULL), max(candidate.release_version)"
    assert database.query(f"SELECT {asked} FROM verdicts FINAL").result_rows == [(4, 4, 4)]
    columns = "candidate_decision, candidate_toxicity, candidate_release_version"
    rows = database.query(f"SELECT {columns} FROM video_toxicity ORDER BY video_id LIMIT 2").result_rows
    assert rows == [(None, None, None), ("review", 0.5, 4)]


def test_verdicts_without_any_candidate_are_columns_too(database: Client) -> None:
    plain = [verdict(number, candidate=None) for number in range(3)]
    VerdictSink(database).insert(plain)
    assert database.query("SELECT count(), countIf(candidate IS NULL) FROM verdicts FINAL").result_rows == [(3, 3)]
    assert [Verdict(**row) for row in to_arrow(plain, VERDICT_SCHEMA).to_pylist()] == plain
