"""Uploads as the warehouse keeps them: a recent sample of them, or those of given videos, each by its newest version.

Both raise `DependencyError` when the warehouse does not answer.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Protocol

from contracts.videos import VideoUploaded
from warehouse.address import asking
from warehouse.wanted import WANTED, wanted

_COLUMNS = ", ".join(VideoUploaded.model_fields)
_WINDOW = "occurred_at > {since:DateTime64(6, 'UTC')} AND occurred_at <= {until:DateTime64(6, 'UTC')}"
_DRAWN = "xxHash64(concat({salt:String}, ':', video_id))"
# Versions of a video: the newest stands first, and a replay beside its first copy.
_NEWEST = "ORDER BY video_id, occurred_at DESC, event_id DESC LIMIT 1 BY video_id"
_RECENT = f"""
SELECT {_COLUMNS}
FROM
(
    SELECT {_COLUMNS} FROM uploads
    WHERE {_WINDOW} AND video_id IN
    (
        SELECT video_id FROM uploads WHERE {_WINDOW}
        GROUP BY video_id ORDER BY {_DRAWN}, video_id LIMIT {{at_most:UInt32}}
    )
    {_NEWEST}
)
ORDER BY {_DRAWN}, video_id
"""
_OF_VIDEOS = f"SELECT {_COLUMNS} FROM uploads WHERE video_id IN {WANTED} {_NEWEST}"


class Columns(Protocol):
    """The part of a client that these functions use."""

    def query_arrow(
        self, query: str, parameters: dict[str, Any] | None = None, *, external_data: Any = None
    ) -> Any: ...


def recent_uploads(
    client: Columns, *, since: datetime, until: datetime, at_most: int, salt: str = ""
) -> list[VideoUploaded]:
    """Up to `at_most` of the videos of which a version came after `since` and up to `until`, by that newest version.

    Drawn by a hash of salt and video, and in its order: the same question gives the same sample, whatever came
    outside of the window; the first n of it are the sample of n.
    """
    given = {"since": since, "until": until, "at_most": at_most, "salt": salt}
    with asking("recent uploads"):
        return [VideoUploaded(**row) for row in client.query_arrow(_RECENT, given).to_pylist()]


def uploads_of(client: Columns, video_ids: Collection[str]) -> dict[str, VideoUploaded]:
    """The newest version of each of these videos that the warehouse knows."""
    if not video_ids:
        return {}
    with asking(f"uploads of {len(video_ids)} videos"):
        rows = client.query_arrow(_OF_VIDEOS, external_data=wanted(video_ids)).to_pylist()
    return {row["video_id"]: VideoUploaded(**row) for row in rows}
