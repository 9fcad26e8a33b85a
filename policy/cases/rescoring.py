"""What viewers made of videos in, which of them to score again with it out, and the upload that asks for it.

The reports that a student reads are the weighed ones of reporters without neighbours. Those who report together may,
as one voice, have a person look; a score, behind which nobody looks, does not hear them. One voice is enough to demote:
where a harmless video earns a report in thousands of impressions, a single one more says much.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from contracts.errors import BadInputError
from contracts.videos import FeedbackCounts, VideoUploaded
from policy.cases.coordination import WeighedReports


@dataclass(frozen=True, slots=True)
class RescoringSettings:
    """When feedback has changed enough to score a video again with it.

    growth: of its impressions since it was scored last. reports: change of its weighed reports, up or down; and
    at least `reports_share` of what they were, so that each of a thousand reports does not ask again.
    first_impressions: with fewer, a video without feedback so far is asked about for its reports alone.
    """

    growth: float = 2.0
    reports: float = 1.0
    reports_share: float = 0.1
    first_impressions: int = 100

    def __post_init__(self) -> None:
        if not (self.growth > 1.0 and self.reports > 0.0 and self.reports_share >= 0.0 and self.first_impressions > 0):
            raise BadInputError(f"{self}: growth must be over 1, the others over 0 (reports_share 0 or more)")


class Counted(NamedTuple):
    """The impressions and weighed reports that a video is scored with."""

    impressions: int
    reports: float

    @classmethod
    def of(cls, video: WeighedReports) -> "Counted":
        """What a score hears of these reports: the weight of those who do not report together."""
        return cls(video.impressions, max(0.0, round(video.weight - video.coordinated_weight, 9)))


DEFAULT_RESCORING = RescoringSettings()
_NOTHING = Counted(0, 0.0)


def has_changed(
    counted: WeighedReports, before: Counted | None, settings: RescoringSettings = DEFAULT_RESCORING
) -> bool:
    """Whether a video's feedback is different enough from `before`, None where it was scored without any."""
    old = before or _NOTHING
    least = max(settings.growth * old.impressions, settings.first_impressions)
    moved = abs(Counted.of(counted).reports - old.reports)
    return counted.impressions >= least or moved >= max(settings.reports, settings.reports_share * old.reports)


def to_rescore(
    videos: Iterable[WeighedReports],
    before: Mapping[str, Counted],
    *,
    at_most: int,
    settings: RescoringSettings = DEFAULT_RESCORING,
) -> list[WeighedReports]:
    """Those of the videos to score again, most impressions gained first; `before` is by video."""
    changed = [video for video in videos if has_changed(video, before.get(video.video_id), settings)]

    def gained(video: WeighedReports) -> int:
        return video.impressions - before.get(video.video_id, _NOTHING).impressions

    return sorted(changed, key=lambda video: (-gained(video), video.video_id))[:at_most]


def with_feedback(upload: VideoUploaded, counted: WeighedReports, *, now: datetime) -> VideoUploaded:
    """A later version of an upload that carries its feedback; likes and skips stay what they were.

    The weighed reports of those who do not report together are rounded to the nearest whole one, halves up; where
    impressions were lost there are as many as reports. The event's id is made of the video and the counts, so that the
    same feedback is the same event.
    """
    reports = math.floor(Counted.of(counted).reports + 0.5)
    impressions = max(counted.impressions, reports)
    old = upload.feedback
    feedback = FeedbackCounts(
        impressions=impressions, reports=reports, likes=old.likes if old else 0, skips=old.skips if old else 0
    )
    name = f"{upload.video_id}/{impressions}/{reports}/{feedback.likes}/{feedback.skips}"
    return upload.model_copy(
        update={
            "event_id": f"feedback-{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}",
            "occurred_at": max(now, upload.occurred_at + timedelta(microseconds=1)),
            "feedback": feedback,
        }
    )
