"""Impressions, reports and rulings in; each video's feedback and each reporter's record out.

Counts are of events, not of rows, and a reporter counts once a video. Rows come in blocks, so that a window's videos
are never held at once. All raise `DependencyError` when the warehouse does not answer.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from contracts.taxonomy import CATEGORIES, Category
from warehouse.address import asking

_NAMED = {category.value: category for category in CATEGORIES}
# What a video was ruled to be, by its latest ruling, and when it was ruled on for the first time.
_RULED = """
    SELECT video_id, argMax(category, (ruled_at, event_id)) AS category, min(ruled_at) AS first_ruled_at
    FROM rulings FINAL
    WHERE ruled_at <= {as_of:DateTime64(6, 'UTC')}
    GROUP BY video_id
"""
_SHOWN_THEN = "shown_at > {since:DateTime64(6, 'UTC')} AND shown_at <= {as_of:DateTime64(6, 'UTC')}"
_SAID_THEN = "reported_at > {since:DateTime64(6, 'UTC')} AND reported_at <= {as_of:DateTime64(6, 'UTC')}"
_CAME = "received_at > {after:DateTime64(6, 'UTC')}"
_REPORTED = f"(SELECT video_id FROM reports WHERE {_SAID_THEN})"
_FRESH = f"""(
    SELECT video_id FROM impressions WHERE {_SHOWN_THEN} AND {_CAME}
    UNION DISTINCT SELECT video_id FROM reports WHERE {_SAID_THEN} AND {_CAME}
)"""


def _videos(of: str) -> str:
    """What the window holds of the videos that `of` is true of."""
    return f"""
        SELECT video_id, sum(shown) AS impressions,
               arraySort(groupArrayIf((said_at, reporter_id), reporter_id != '')) AS reports, max(ruled) AS ruled
        FROM
        (
            SELECT video_id, count() AS shown, '' AS reporter_id, toDateTime64(0, 6, 'UTC') AS said_at, '' AS ruled
            FROM impressions FINAL
            WHERE {_SHOWN_THEN} AND {of}
            GROUP BY video_id
            UNION ALL
            SELECT video_id, 0, reporter_id, min(reported_at), ''
            FROM reports FINAL
            WHERE {_SAID_THEN} AND {of}
            GROUP BY video_id, reporter_id
            UNION ALL
            SELECT video_id, 0, '', toDateTime64(0, 6, 'UTC'), category FROM ({_RULED})
        )
        GROUP BY video_id
        HAVING impressions > 0 OR notEmpty(reports)
        ORDER BY video_id
    """


# Who reports what was ruled on already agrees with what everybody can see: that earns and costs nothing.
_REPORTERS = f"""
SELECT reporter_id, countIf(category != 'positive'), countIf(category = 'positive')
FROM
(
    SELECT reporter_id, video_id, min(reported_at) AS said_at
    FROM reports FINAL
    WHERE reported_at <= {{as_of:DateTime64(6, 'UTC')}}
    GROUP BY reporter_id, video_id
) AS said
INNER JOIN ({_RULED}) AS ruled USING video_id
WHERE said_at < first_ruled_at
GROUP BY reporter_id
ORDER BY reporter_id
"""


class Report(NamedTuple):
    """A reporter's first report of a video in the window."""

    reporter_id: str
    reported_at: datetime


class VideoFeedback(NamedTuple):
    """A video's impressions and reports in the window, reports by time; `ruled` is what its latest ruling found."""

    video_id: str
    impressions: int
    reports: tuple[Report, ...]
    ruled: Category | None


class ReporterRecord(NamedTuple):
    """How a reporter's earlier reports were ruled, a video counting once: upheld where it was found violative."""

    reporter_id: str
    upheld: int
    rejected: int


class Streams(Protocol):
    """The part of a client that these functions use."""

    def query_row_block_stream(self, query: str, parameters: dict[str, Any]) -> Any: ...


def video_feedback(client: Streams, *, since: datetime, as_of: datetime) -> Iterator[list[VideoFeedback]]:
    """Every video seen or reported after `since` and up to `as_of`, in blocks, by video."""
    yield from _feedback(client, _videos("true"), {"since": since, "as_of": as_of})


def reported_feedback(client: Streams, *, since: datetime, as_of: datetime) -> Iterator[list[VideoFeedback]]:
    """As `video_feedback`, of the videos alone that have a report: all that weighing the window's reports needs."""
    yield from _feedback(client, _videos(f"video_id IN {_REPORTED}"), {"since": since, "as_of": as_of})


def fresh_feedback(
    client: Streams, *, after: datetime, since: datetime, as_of: datetime
) -> Iterator[list[VideoFeedback]]:
    """As `video_feedback`, of the videos alone of which an impression or report reached the warehouse after `after`.

    Each with its whole window, what came before included. Rows are stamped up to `warehouse.daily.UNSETTLED` before
    they become visible: asking each time from so long before the last time leaves none out, and names some twice.
    """
    given = {"after": after, "since": since, "as_of": as_of}
    yield from _feedback(client, _videos(f"video_id IN {_FRESH}"), given)


def _feedback(client: Streams, sql: str, parameters: dict[str, Any]) -> Iterator[list[VideoFeedback]]:
    with asking("feedback on videos"), client.query_row_block_stream(sql, parameters) as stream:
        for block in filter(None, stream):
            yield [
                VideoFeedback(
                    video_id,
                    impressions,
                    tuple(Report(reporter_id, said_at.replace(tzinfo=UTC)) for said_at, reporter_id in reports),
                    _NAMED[ruled] if ruled else None,
                )
                for video_id, impressions, reports, ruled in block
            ]


def reporter_records(client: Streams, *, as_of: datetime) -> Iterator[list[ReporterRecord]]:
    """How the reports of every reporter whose videos were ruled on by `as_of` fared, in blocks, by reporter.

    A report counts if it came before the video's first ruling, by what the latest one found.
    """
    with asking("records of reporters"), client.query_row_block_stream(_REPORTERS, {"as_of": as_of}) as stream:
        for block in filter(None, stream):
            yield [ReporterRecord(*row) for row in block]
