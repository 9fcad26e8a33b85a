"""Questions to the warehouse, on a few verdicts counted by hand."""

import math
from datetime import timedelta

import pytest

from contracts.taxonomy import CATEGORIES
from contracts.verdicts import VERDICT_LIFETIME, Decision
from tests.warehouse.samples import START, verdict, verdicts
from warehouse import queries
from warehouse.address import Client
from warehouse.queries import DecisionCount, LatencyQuantiles
from warehouse.sink import VerdictSink


@pytest.fixture
def ten(database: Client) -> Client:
    """Ten events, each inserted twice: decisions 3 allow, 3 demote, 2 review, 2 remove; 80 to 89 ms."""
    sink = VerdictSink(database)
    sink.insert(verdicts(0, 10))
    sink.insert(verdicts(0, 10))
    return database


def test_events_are_counted_not_rows(ten: Client) -> None:
    assert queries.count_verdicts(ten) == 10


def test_only_what_was_scored_since_is_counted(ten: Client) -> None:
    since = START + timedelta(milliseconds=80 + 7)
    assert queries.count_verdicts(ten, since=since) == 3


def test_each_decision_is_listed_with_its_events(ten: Client) -> None:
    assert queries.verdict_counts_by_decision(ten) == (
        DecisionCount(Decision.ALLOW, 3),
        DecisionCount(Decision.DEMOTE, 3),
        DecisionCount(Decision.REVIEW, 2),
        DecisionCount(Decision.REMOVE, 2),
    )


def test_each_category_is_listed_with_its_events(ten: Client) -> None:
    counts = queries.verdict_counts_by_category(ten)
    assert [count.category for count in counts] == list(CATEGORIES)
    assert [count.verdicts for count in counts] == [1] * 10 + [0] * 6


def test_present_ids_are_told_from_absent_ones(ten: Client) -> None:
    asked = ["upload-3", "upload-9", "upload-10", "it's \\ not\there\n"]
    assert queries.event_ids_present(ten, asked) == {"upload-3", "upload-9"}
    assert queries.event_ids_present(ten, []) == set()


def test_very_many_ids_may_be_asked_for(ten: Client) -> None:
    assert len(queries.event_ids_present(ten, [f"upload-{n}" for n in range(100_000)])) == 10


def test_latency_quantiles_are_exact(ten: Client) -> None:
    assert queries.latency_quantiles(ten) == pytest.approx(LatencyQuantiles(10, 84.5, 88.1, 88.91, 89.0))


def test_an_empty_warehouse_has_counts_of_zero_and_no_quantiles(database: Client) -> None:
    assert queries.count_verdicts(database) == 0
    assert {count.verdicts for count in queries.verdict_counts_by_decision(database)} == {0}
    none = queries.latency_quantiles(database)
    assert none.verdicts == 0
    assert math.isnan(none.p50_ms)
    assert math.isnan(none.max_ms)


def test_the_feature_view_says_when_a_verdict_was_readable_and_until_when(ten: Client) -> None:
    columns = "event_timestamp, scored_at, occurred_at, expires_at, release_version, decision"
    row = ten.query(f"SELECT {columns} FROM video_toxicity WHERE video_id = 'video-4'", tz_mode="aware").result_rows
    given = verdict(4)
    times = (given.scored_at, given.scored_at, given.occurred_at, given.scored_at + VERDICT_LIFETIME)
    assert row == [(*times, given.release_version, given.decision)]
    assert given.expires_at == times[3]
