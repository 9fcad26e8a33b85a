"""Verdicts as they were given: what arrived since a moment, the latest of given videos, those that cite a case, all.

All raise `DependencyError` when the warehouse does not answer.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from contracts.verdicts import Verdict
from warehouse.address import asking
from warehouse.wanted import WANTED, wanted

_COLUMNS = ", ".join(Verdict.model_fields)
_ARRIVED = "received_at > {after:DateTime64(6, 'UTC')} AND received_at <= {until:DateTime64(6, 'UTC')}"
# As many rows as asked for, and all that arrived at the same moment as the last of them: rows of one insert do.
_THROUGH = f"""
SELECT maxOrNull(received_at) FROM
(
    SELECT received_at FROM verdicts WHERE {_ARRIVED} ORDER BY received_at LIMIT {{at_most:UInt32}}
)
"""
_SINCE = f"""
SELECT {_COLUMNS} FROM
(
    SELECT {_COLUMNS} FROM verdicts WHERE {_ARRIVED} ORDER BY event_id, scored_at DESC LIMIT 1 BY event_id
)
ORDER BY scored_at, event_id
"""
# A video's verdict in force is that on its latest version, and of two on one version the later.
_LATEST = "ORDER BY video_id, occurred_at DESC, scored_at DESC LIMIT 1 BY video_id"
_OF_VIDEOS = f"SELECT {_COLUMNS} FROM verdicts WHERE video_id IN {WANTED} {_LATEST}"
_CITES = "has(citations.case_id, {case_id:String})"
_CITING = f"""
SELECT {_COLUMNS} FROM
(
    SELECT {_COLUMNS} FROM verdicts
    WHERE video_id IN (SELECT video_id FROM verdicts WHERE scored_at > {{since:DateTime64(6, 'UTC')}} AND {_CITES})
    {_LATEST}
)
WHERE scored_at > {{since:DateTime64(6, 'UTC')}} AND {_CITES}
ORDER BY scored_at DESC, event_id
"""
# A version's hour never changes, and lies in one partition.
_HOURS = """
SELECT toStartOfHour(occurred_at) AS hour, count() FROM verdicts
WHERE occurred_at >= toStartOfHour({since:DateTime64(6, 'UTC')}) AND occurred_at <= {until:DateTime64(6, 'UTC')}
GROUP BY hour ORDER BY hour DESC
"""
_OF_HOUR = f"""
SELECT {_COLUMNS} FROM verdicts
WHERE occurred_at >= {{start:DateTime64(6, 'UTC')}} AND occurred_at < {{end:DateTime64(6, 'UTC')}}
"""


class Arrived(NamedTuple):
    """Verdicts by time of scoring, and the moment through which all that arrived was read: where to go on from."""

    verdicts: tuple[Verdict, ...]
    through: datetime


class History(Protocol):
    """The part of a client that these functions use."""

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any: ...

    def query_arrow(
        self, query: str, parameters: dict[str, Any] | None = None, *, external_data: Any = None
    ) -> Any: ...


class Streaming(Protocol):
    """The part of a client that answers in blocks."""

    def query_arrow_stream(self, query: str, parameters: dict[str, Any]) -> Any: ...


def verdicts_since(client: History, *, after: datetime, until: datetime, at_most: int = 10_000) -> Iterator[Arrived]:
    """What reached the warehouse later than `after` and up to `until`, in blocks of about `at_most` verdicts.

    A block never parts what arrived at one moment, so that going on after its `through` misses nothing; it holds more
    than `at_most` when more came in one insert. A verdict whose event was scored again, or that was replayed, comes
    again. Rows are stamped before they become visible, up to `warehouse.daily.UNSETTLED` before: an `until` that lies
    so far behind the warehouse's clock misses none, one that lies nearer may miss those of an insert that was slow.
    """
    while True:
        with asking("verdicts that arrived"):
            given = {"after": after, "until": until}
            [[through]] = client.query(_THROUGH, {**given, "at_most": at_most}).result_rows
            if through is None:
                return
            after, given["until"] = through.replace(tzinfo=UTC), through.replace(tzinfo=UTC)
            rows = client.query_arrow(_SINCE, given).to_pylist()
        yield Arrived(tuple(Verdict(**row) for row in rows), after)


def latest_verdicts(client: History, video_ids: Collection[str]) -> dict[str, Verdict]:
    """The verdict in force on each of these videos that has one."""
    if not video_ids:
        return {}
    with asking(f"verdicts on {len(video_ids)} videos"):
        rows = client.query_arrow(_OF_VIDEOS, external_data=wanted(video_ids)).to_pylist()
    return {row["video_id"]: Verdict(**row) for row in rows}


def verdicts_citing(client: History, case_id: str, *, since: datetime) -> list[Verdict]:
    """The verdicts in force that were scored after `since` and cite the case, the newest first."""
    with asking(f"verdicts that cite {case_id}"):
        rows = client.query_arrow(_CITING, {"case_id": case_id, "since": since}).to_pylist()
    return [Verdict(**row) for row in rows]


class Hour(NamedTuple):
    """An hour of versions of videos, and how many verdicts were given on them."""

    start: datetime
    rows: int


def hours_of_verdicts(client: History, *, since: datetime, until: datetime) -> list[Hour]:
    """The hours in which versions came to be that have verdicts, `since` and `until` included, the newest first."""
    with asking("hours of verdicts"):
        rows = client.query(_HOURS, {"since": since, "until": until}).result_rows
    return [Hour(start.replace(tzinfo=UTC), count) for start, count in rows]


def verdicts_of_hour(client: Streaming, start: datetime) -> Iterator[list[Verdict]]:
    """All verdicts on versions that came to be in one hour, in blocks and in no order, replays among them."""
    given = {"start": start, "end": start + timedelta(hours=1)}
    with asking(f"verdicts from {start.isoformat()}"), client.query_arrow_stream(_OF_HOUR, given) as stream:
        for block in stream:
            yield [Verdict(**row) for row in block.to_pylist()]
