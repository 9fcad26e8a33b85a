"""Ask the warehouse about its verdicts and days: each function is one statement and returns a typed result.

Every count is of events, not of rows: replayed events count once. All raise `DependencyError` when the warehouse
does not answer.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, Protocol

from contracts.taxonomy import Category
from contracts.verdicts import Decision
from warehouse.address import asking
from warehouse.wanted import WANTED, wanted

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Queries(Protocol):
    """The part of a client that these functions use."""

    def query(self, query: str, parameters: dict[str, Any] | None = None, *, external_data: Any = None) -> Any: ...


class DecisionCount(NamedTuple):
    decision: Decision
    verdicts: int


class CategoryCount(NamedTuple):
    category: Category
    verdicts: int


class LatencyQuantiles(NamedTuple):
    """Milliseconds from upload to verdict, over `verdicts` events; NaN when there are none."""

    verdicts: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class DayTotals(NamedTuple):
    """Sums over the users of a day, as last rebuilt."""

    users: int
    impressions: int
    toxic_impressions: int
    reports: int
    watch_ms: int
    usage_ms: int


def _ask(client: Queries, sql: str, parameters: dict[str, Any] | None = None, **options: Any) -> list[tuple[Any, ...]]:
    with asking("a question about verdicts"):
        return list(client.query(sql, parameters, **options).result_rows)


def count_verdicts(client: Queries, *, since: datetime = _EPOCH) -> int:
    """How many events have a verdict that was scored at `since` or later."""
    sql = "SELECT count() FROM verdicts FINAL WHERE scored_at >= {since:DateTime64(6, 'UTC')}"
    return int(_ask(client, sql, {"since": since})[0][0])


def verdict_counts_by_decision(client: Queries, *, since: datetime = _EPOCH) -> tuple[DecisionCount, ...]:
    """How many events were allowed, demoted, sent to review and removed, in this order, zeros included."""
    counts = _counts(client, "decision", since)
    return tuple(DecisionCount(decision, counts.get(decision.value, 0)) for decision in Decision)


def verdict_counts_by_category(client: Queries, *, since: datetime = _EPOCH) -> tuple[CategoryCount, ...]:
    """How many events fell into each of the 16 categories, in their order, zeros included."""
    counts = _counts(client, "category", since)
    return tuple(CategoryCount(category, counts.get(category.value, 0)) for category in Category)


def _counts(client: Queries, column: str, since: datetime) -> dict[str, int]:
    sql = f"""
        SELECT {column}, count() FROM verdicts FINAL
        WHERE scored_at >= {{since:DateTime64(6, 'UTC')}} GROUP BY {column}
    """
    return dict(_ask(client, sql, {"since": since}))


def event_ids_present(client: Queries, event_ids: Collection[str]) -> set[str]:
    """Those of `event_ids` that have a verdict; the ids travel as a table of their own, so there may be many."""
    if not event_ids:
        return set()
    sql = f"SELECT DISTINCT event_id FROM verdicts WHERE event_id IN {WANTED}"
    return {row[0] for row in _ask(client, sql, external_data=wanted(event_ids))}


def latency_quantiles(client: Queries, *, since: datetime = _EPOCH) -> LatencyQuantiles:
    """Quantiles of the time from upload to verdict, exact and interpolated (inclusive)."""
    sql = """
        SELECT count(), quantilesExactInclusive(0.5, 0.9, 0.99)(since_upload_ms), max(since_upload_ms)
        FROM verdicts FINAL WHERE scored_at >= {since:DateTime64(6, 'UTC')}
    """
    verdicts, (p50, p90, p99), longest = _ask(client, sql, {"since": since})[0]
    return LatencyQuantiles(verdicts, p50, p90, p99, longest if verdicts else float("nan"))


def day_totals(client: Queries, day: date) -> DayTotals:
    """What the users of a day did together; zeros for a day that was never rebuilt."""
    sql = """
        SELECT count(), sum(impressions), sum(toxic_impressions), sum(reports), sum(watch_ms), sum(usage_ms)
        FROM user_days WHERE day = {day:Date}
    """
    return DayTotals(*map(int, _ask(client, sql, {"day": day})[0]))
