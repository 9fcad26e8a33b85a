"""Verdicts, impressions and reports in; the counted past of each author and each viewer out.

Counts are of events, not of rows. Rows come in blocks, so that millions of people are never held at once. All raise
`DependencyError` when the warehouse does not answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from contracts.histories import AuthorHistory, ViewerSensitivity
from warehouse.address import asking
from warehouse.daily import TOXIC_FROM

SKIPPED_BELOW_MS = 2_000
"""Who leaves a video sooner than this has skipped it."""
VIEWER_WINDOW = timedelta(days=28)
"""Tolerance changes: impressions and reports older than this do not count."""

# A video counts once, by the verdict on its latest version; a removal is a violation whatever the category found.
_AUTHORS = """
SELECT latest.1 AS author_id, count(), countIf(latest.2), countIf(latest.3), maxOrNullIf(latest.4, latest.3)
FROM
(
    SELECT argMax(
        (author_id, category != 'positive' OR decision = 'remove', decision = 'remove', occurred_at),
        (occurred_at, scored_at)
    ) AS latest
    FROM verdicts FINAL
    WHERE occurred_at <= {as_of:DateTime64(6, 'UTC')}
    GROUP BY video_id
)
GROUP BY author_id
ORDER BY author_id
"""
_VIEWERS = f"""
WITH reported AS
(
    SELECT reporter_id, video_id FROM reports FINAL
    WHERE reported_at > {{since:DateTime64(6, 'UTC')}} AND reported_at <= {{as_of:DateTime64(6, 'UTC')}}
)
SELECT user_id, count(), countIf(said), countIf(toxic), countIf(toxic AND skipped), countIf(toxic AND (skipped OR said))
FROM
(
    SELECT user_id, ifNull(toxicity >= {TOXIC_FROM}, 0) AS toxic, watch_ms < {SKIPPED_BELOW_MS} AS skipped,
           (user_id, video_id) IN reported AS said
    FROM impressions FINAL
    WHERE shown_at > {{since:DateTime64(6, 'UTC')}} AND shown_at <= {{as_of:DateTime64(6, 'UTC')}}
)
GROUP BY user_id
ORDER BY user_id
"""


class Streams(Protocol):
    """The part of a client that these functions use."""

    def query_row_block_stream(self, query: str, parameters: dict[str, Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class CountedPast:
    """Both histories as one collaborator, for who writes them on."""

    client: Streams

    def authors(self, *, as_of: datetime, now: datetime) -> Iterator[list[AuthorHistory]]:
        return author_histories(self.client, as_of=as_of, now=now)

    def viewers(self, *, as_of: datetime, now: datetime) -> Iterator[list[ViewerSensitivity]]:
        return viewer_sensitivities(self.client, as_of=as_of, now=now)


def author_histories(client: Streams, *, as_of: datetime, now: datetime) -> Iterator[list[AuthorHistory]]:
    """Every author's history up to `as_of`, in blocks, by author."""
    for block in _blocks(client, _AUTHORS, {"as_of": as_of}, "histories of authors"):
        yield [
            AuthorHistory.from_counts(
                author_id,
                verdicts=verdicts,
                violative=violative,
                removed=removed,
                last_removed_at=None if last_removed_at is None else last_removed_at.replace(tzinfo=UTC),
                as_of=as_of,
                computed_at=now,
            )
            for author_id, verdicts, violative, removed, last_removed_at in block
        ]


def viewer_sensitivities(client: Streams, *, as_of: datetime, now: datetime) -> Iterator[list[ViewerSensitivity]]:
    """How every viewer of the last `VIEWER_WINDOW` met toxic videos up to `as_of`, in blocks, by viewer.

    An impression counts as reported when its viewer reported the video at any time in the window.
    """
    given = {"as_of": as_of, "since": as_of - VIEWER_WINDOW}
    for block in _blocks(client, _VIEWERS, given, "sensitivities of viewers"):
        yield [
            ViewerSensitivity.from_counts(
                user_id,
                impressions=impressions,
                reports=reports,
                toxic_impressions=toxic,
                toxic_skips=skips,
                toxic_rejections=rejections,
                as_of=as_of,
                computed_at=now,
            )
            for user_id, impressions, reports, toxic, skips, rejections in block
        ]


def _blocks(client: Streams, sql: str, parameters: dict[str, Any], what: str) -> Iterator[list[tuple[Any, ...]]]:
    with asking(what), client.query_row_block_stream(sql, parameters) as stream:
        yield from filter(None, stream)
