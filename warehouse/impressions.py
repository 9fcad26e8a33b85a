"""Videos in, how often each was shown in a stretch of time out; events count once, however often they came."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Protocol

from warehouse.address import asking
from warehouse.wanted import WANTED, wanted

_OF_VIDEOS = f"""
SELECT video_id, count() FROM impressions FINAL
WHERE shown_at > {{since:DateTime64(6, 'UTC')}} AND shown_at <= {{as_of:DateTime64(6, 'UTC')}}
  AND video_id IN {WANTED}
GROUP BY video_id
"""


class Queries(Protocol):
    """The part of a client that this uses."""

    def query(self, query: str, parameters: dict[str, Any] | None = None, *, external_data: Any = None) -> Any: ...


def impressions_of(client: Queries, video_ids: Collection[str], *, since: datetime, as_of: datetime) -> dict[str, int]:
    """Impressions of each of these videos after `since` and up to `as_of`; those without any are left out.

    Raises `DependencyError` when the warehouse does not answer.
    """
    if not video_ids:
        return {}
    with asking(f"impressions of {len(video_ids)} videos"):
        given = {"since": since, "as_of": as_of}
        rows = client.query(_OF_VIDEOS, given, external_data=wanted(video_ids)).result_rows
    return {str(video_id): int(count) for video_id, count in rows}
