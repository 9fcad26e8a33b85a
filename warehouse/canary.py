"""Reports of the videos that a canary and the live release decided of, summed by video: what a rollout is judged by.

Only videos whose first upload came after the canary was seated count, on both sides: those were drawn by its hash.
A video stays with the release of its first verdict, whatever judges it later.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from warehouse.address import asking

_BY_RELEASE = """
    SELECT release, count(), sum(i), sum(r), sum(i * i), sum(r * r), sum(i * r)
    FROM
    (
        SELECT drawn.release AS release, toFloat64(seen.n) AS i, toFloat64(said.n) AS r
        FROM
        (
            SELECT video_id, argMin(release_version, scored_at) AS release
            FROM verdicts FINAL
            WHERE scored_at <= {as_of:DateTime64(6, 'UTC')} AND video_id IN
            (
                SELECT video_id FROM verdicts
                WHERE occurred_at > {since:DateTime64(6, 'UTC')} AND scored_at <= {as_of:DateTime64(6, 'UTC')}
            )
            GROUP BY video_id
            HAVING min(occurred_at) > {since:DateTime64(6, 'UTC')}
        ) AS drawn
        LEFT JOIN
        (
            SELECT video_id, count() AS n FROM impressions FINAL
            WHERE shown_at > {since:DateTime64(6, 'UTC')} AND shown_at <= {as_of:DateTime64(6, 'UTC')}
            GROUP BY video_id
        ) AS seen ON drawn.video_id = seen.video_id
        LEFT JOIN
        (
            SELECT video_id, count() AS n FROM reports FINAL
            WHERE reported_at > {since:DateTime64(6, 'UTC')} AND reported_at <= {as_of:DateTime64(6, 'UTC')}
            GROUP BY video_id
        ) AS said ON drawn.video_id = said.video_id
        WHERE release IN ({live:UInt32}, {candidate:UInt32})
    )
    GROUP BY release
"""
_UNANSWERED = """
    SELECT count() FROM verdicts FINAL
    WHERE scored_at > {settled:DateTime64(6, 'UTC')} AND scored_at <= {as_of:DateTime64(6, 'UTC')}
        AND release_version = {live:UInt32} AND isNull(candidate.release_version)
"""
SETTLES_AFTER = timedelta(minutes=1)
"""How long workers may take to load a candidate before what it does not say counts."""


class ReportedVideos(NamedTuple):
    """Videos of one release, their impressions and reports, and the sums over videos of squares and products."""

    videos: int
    impressions: int
    reports: int
    impressions_squared: float
    reports_squared: float
    shared: float


class Queries(Protocol):
    """The part of a client that these functions use."""

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any: ...


def reported_by_release(
    client: Queries, *, live: int, candidate: int, since: datetime, as_of: datetime
) -> tuple[ReportedVideos, ReportedVideos]:
    """Sums over the live release's videos and over the candidate's, after `since` and up to `as_of`.

    Raises `DependencyError` when the warehouse does not answer.
    """
    given = {"live": live, "candidate": candidate, "since": since, "as_of": as_of}
    with asking(f"reports on videos of releases {live} and {candidate}"):
        rows = client.query(_BY_RELEASE, given).result_rows
    by_release = {row[0]: ReportedVideos(row[1], int(row[2]), int(row[3]), *row[4:]) for row in rows}
    nothing = ReportedVideos(0, 0, 0, 0.0, 0.0, 0.0)
    return by_release.get(live, nothing), by_release.get(candidate, nothing)


def unanswered(client: Queries, *, live: int, since: datetime, as_of: datetime) -> int:
    """Verdicts of the live release to which its candidate said nothing, from a minute after `since` on."""
    given = {"live": live, "settled": since + SETTLES_AFTER, "as_of": as_of}
    with asking(f"verdicts of release {live} without a candidate's decision"):
        [[count]] = client.query(_UNANSWERED, given).result_rows
    return int(count)
