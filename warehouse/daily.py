"""Base tables in, what each user did and what happened to each video on a day out: replaced as a whole day.

A day is out of date when rows that belong to it came in since its last rebuild, be they late, replayed or of today.
Days are days of UTC, of shown_at, reported_at and started_at.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple, Protocol

from contracts.errors import BadInputError
from contracts.viewers import Surface
from warehouse.address import asking

TOXIC_FROM = 0.5
"""An impression counts as toxic from this toxicity on, as it stood when the video was shown."""
KEPT_DAYS = 180
"""Base rows leave after so many days; a day whose first rows are older is closed and stays as it was last rebuilt."""
UNSETTLED = timedelta(minutes=1)
"""Rows that were sent this long before a rebuild may have become visible after it: inserts time out sooner."""
STAGING = "_staging_"
"""Stands in the name of a table that is being built, between that of the table it is for and a random one."""
# A replayed event falls into the partition of its first copy (0003), so partitions are deduplicated by themselves.
_ONCE = {"do_not_merge_across_partitions_select_final": 1}


class Commands(Protocol):
    """The part of a client that rebuilds use."""

    def command(self, cmd: str, parameters: dict[str, Any] | None = None, *, settings: Any = None) -> Any: ...

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any: ...


class Rebuilt(NamedTuple):
    """A day as it was rebuilt: how many users did something, how many videos were seen or reported."""

    day: date
    users: int
    videos: int


class DueDay(NamedTuple):
    """A day that is out of date; `rebuilt` is False when it never was built, `late` when rows came after its end."""

    day: date
    rebuilt: bool
    late: bool


def rebuild(
    client: Commands, days: Iterable[date], *, done: Callable[[Rebuilt], None] = lambda _: None
) -> tuple[Rebuilt, ...]:
    """Rebuild `user_days` and `video_days` of these days, one by one, telling `done` of each.

    Safe to repeat and to interrupt: a day's table is replaced at once or not at all. Raises `BadInputError` for a
    closed day, `DependencyError` when the warehouse does not answer or is full.
    """
    closed = set(closed_days(client))
    rebuilt = []
    for day in days:
        if day in closed:
            rule = "must not be rebuilt from what is left"
            raise BadInputError(f"{day}: its base rows came more than {KEPT_DAYS} days ago and leave, {rule}")
        rebuilt.append(_rebuild_day(client, day))
        done(rebuilt[-1])
    return tuple(rebuilt)


def days_with_rows(client: Commands, *, since: date, until: date) -> tuple[date, ...]:
    """The days from `since` to `until` that ever got rows, oldest first."""
    with asking("days with rows"):
        rows = client.query("SELECT DISTINCT day FROM arrivals ORDER BY day").result_rows
    return tuple(day for (day,) in rows if since <= day <= until)


def days_to_rebuild(
    client: Commands,
    *,
    since: date = date.min,
    until: date = date.max,
    unsettled: timedelta = UNSETTLED,
) -> tuple[DueDay, ...]:
    """The days from `since` to `until` whose base tables got rows since the day's last rebuild, oldest first.

    Rows that came less than `unsettled` before the rebuild count as new. Closed days are left out.
    """
    sql = """
        SELECT day, countIf(rebuilds.day = arrivals.day) > 0, max(received_on) > day
        FROM arrivals LEFT JOIN (SELECT day, began_at FROM rebuilds FINAL) AS rebuilds USING day
        WHERE day NOT IN {closed:Array(Date)}
        GROUP BY day
        HAVING max(last_received_at) >= max(began_at) - toIntervalMicrosecond({unsettled:Int64})
        ORDER BY day
    """
    given = {"closed": list(closed_days(client)), "unsettled": unsettled // timedelta(microseconds=1)}
    with asking("days to rebuild"):
        rows = client.query(sql, given).result_rows
    return tuple(DueDay(day, bool(rebuilt), bool(late)) for day, rebuilt, late in rows if since <= day <= until)


def closed_days(client: Commands) -> tuple[date, ...]:
    """The days whose first base rows begin to leave, so that what is left of them must not be summed."""
    sql = f"SELECT day FROM arrivals GROUP BY day HAVING min(first_received_at) < now() - INTERVAL {KEPT_DAYS} DAY"
    with asking("closed days"):
        return tuple(day for (day,) in client.query(sql).result_rows)


def _rebuild_day(client: Commands, day: date) -> Rebuilt:
    with asking(f"rebuilding {day}"):
        began_at = client.query("SELECT toString(now64(6, 'UTC'))").result_rows[0][0]
        users, videos = (
            replace_partition(client, table, f"'{day}'", statement, {"day": day}, settings=_ONCE)
            for table, statement in (("user_days", _USER_DAYS), ("video_days", _VIDEO_DAYS))
        )
        record = """
            INSERT INTO rebuilds (day, began_at, users, videos)
            SELECT {day:Date}, toDateTime64({began_at:String}, 6, 'UTC'), {users:UInt64}, {videos:UInt64}
        """
        client.command(record, {"day": day, "began_at": began_at, "users": users, "videos": videos})
    return Rebuilt(day, users, videos)


def replace_partition(
    client: Commands,
    table: str,
    partition: str,
    statement: str,
    parameters: dict[str, Any],
    *,
    settings: Mapping[str, Any] | None = None,
) -> int:
    """Let what `statement` gives take the place of the table's partition, at once; returns the number of rows.

    `partition` is an SQL literal; `statement` is a column list and a SELECT, as after INSERT INTO t. The partition
    stays as it was when anything fails.
    """
    staging = f"{table}{STAGING}{uuid.uuid4().hex}"
    client.command(f"CREATE TABLE {staging} AS {table}")
    try:
        client.command(f"INSERT INTO {staging} {statement}", parameters, settings=settings)
        rows = int(client.command(f"SELECT count() FROM {staging}"))
        change = f"REPLACE PARTITION {partition} FROM {staging}" if rows else f"DROP PARTITION {partition}"
        client.command(f"ALTER TABLE {table} {change}")
    finally:
        client.command(f"DROP TABLE IF EXISTS {staging} SYNC")
    return rows


# What impressions and reports give at a surface, {at} being the condition that they are of it.
_SEEN = {
    "impressions": "countIf({at})",
    "scored_impressions": "countIf({at} AND toxicity IS NOT NULL)",
    "toxic_impressions": f"countIf({{at}} AND toxicity >= {TOXIC_FROM})",
    "watch_ms": "sumIf(watch_ms, {at})",
}
_REPORTED = {"reports": "countIf({at})"}
_VISITED = {"sessions": "count()", "usage_ms": "sum(dateDiff('millisecond', started_at, ended_at))"}
_SHOWN = {
    "scored_impressions": "countIf(toxicity IS NOT NULL)",
    "toxic_impressions": f"countIf(toxicity >= {TOXIC_FROM})",
    "toxicity_sum": "ifNull(sum(toxicity), 0)",
    "watch_ms": "sum(watch_ms)",
}
_ACCUSED = {"reports": "count()", "reporters": "uniqExact(reporter_id)"}


def _at_surfaces(measures: Mapping[str, str]) -> dict[str, str]:
    """A column and its expression for each measure at each surface."""
    return {
        f"{measure}_{surface}": expression.format(at=f"surface = '{surface}'")
        for measure, expression in measures.items()
        for surface in Surface
    }


def _summed(key: str, sources: Sequence[tuple[str, str, str, Mapping[str, str]]]) -> str:
    """Each source's sums by `key`, brought together into one row a key: (table, its key, its time, its columns)."""
    columns = [column for *_, expressions in sources for column in expressions]
    parts = [
        f"SELECT {own_key} AS {key}, {', '.join(f'{expressions.get(column, 0)} AS {column}' for column in columns)}\n"
        f"FROM {table} FINAL WHERE toDate({time}) = {{day:Date}} GROUP BY {key}"
        for table, own_key, time, expressions in sources
    ]
    sums = ", ".join(f"sum(part.{column}) AS {column}" for column in columns)
    return f"SELECT {key}, {sums}\nFROM ({' UNION ALL '.join(parts)}) AS part GROUP BY {key}"


def _total(measure: str) -> str:
    return " + ".join(f"{measure}_{surface}" for surface in Surface)


def _filled(table_columns: Mapping[str, str], source: str) -> str:
    """The column list and the SELECT of an INSERT: each column of the table with its expression."""
    listed = ", ".join(f"{expression} AS {column}" for column, expression in table_columns.items())
    return f"({', '.join(table_columns)}) SELECT {listed}\nFROM ({source}) AS summed"


def _user_days() -> str:
    seen, reported = _at_surfaces(_SEEN), _at_surfaces(_REPORTED)
    summed = _summed(
        "user_id",
        [
            ("impressions", "user_id", "shown_at", seen),
            ("reports", "reporter_id", "reported_at", reported),
            ("sessions", "user_id", "started_at", _VISITED),
        ],
    )
    totals = {measure: _total(measure) for measure in (*_SEEN, *_REPORTED)}
    as_they_are = {column: column for column in (*_VISITED, *seen, *reported)}
    active = f"sessions + {totals['impressions']} > 0"
    return _filled({"day": "{day:Date}", "user_id": "user_id", "active": active, **totals, **as_they_are}, summed)


def _video_days() -> str:
    shown = _at_surfaces({"impressions": _SEEN["impressions"]})
    summed = _summed(
        "video_id",
        [
            ("impressions", "video_id", "shown_at", {**shown, **_SHOWN}),
            ("reports", "video_id", "reported_at", _ACCUSED),
        ],
    )
    where = ", ".join(f"if(impressions_{surface} > 0, ['{surface}'], [])" for surface in Surface)
    columns = {
        "day": "{day:Date}",
        "impressions": _total("impressions"),
        "toxicity": "if(scored_impressions > 0, toxicity_sum / scored_impressions, NULL)",
        "surfaces": f"arrayConcat({where})",
    }
    same = ("video_id", "scored_impressions", "toxic_impressions", "watch_ms", *_ACCUSED, *shown)
    return _filled({**columns, **{column: column for column in same}}, summed)


_USER_DAYS = _user_days()
_VIDEO_DAYS = _video_days()
