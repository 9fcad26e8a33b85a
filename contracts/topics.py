"""Topics: which event travels where, and under which key."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.cases import CaseAppealed, CaseOpened, Ruling
from contracts.records import Event
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from contracts.viewers import ExperimentExposure, Impression, UserReport, UserSession

DEAD_SUFFIX = ".dead"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's name, the contract of its events, the field that keys them and the one that says when it happened."""

    name: str
    event: type[Event]
    key: str
    time: str

    @property
    def dead(self) -> str:
        """Where events go that the contract or the media decoder refuses."""
        return self.name + DEAD_SUFFIX


VIDEOS_UPLOADED = Topic("videos.uploaded", VideoUploaded, "video_id", "occurred_at")
VIDEOS_VERDICTS = Topic("videos.verdicts", Verdict, "video_id", "scored_at")
VIDEOS_IMPRESSIONS = Topic("videos.impressions", Impression, "user_id", "shown_at")
USERS_REPORTS = Topic("users.reports", UserReport, "video_id", "reported_at")
USERS_SESSIONS = Topic("users.sessions", UserSession, "user_id", "started_at")
EXPERIMENTS_EXPOSURES = Topic("experiments.exposures", ExperimentExposure, "user_id", "exposed_at")
CASES_OPENED = Topic("cases.opened", CaseOpened, "video_id", "opened_at")
CASES_RULINGS = Topic("cases.rulings", Ruling, "video_id", "ruled_at")
CASES_APPEALS = Topic("cases.appeals", CaseAppealed, "video_id", "appealed_at")

TOPICS: tuple[Topic, ...] = (
    VIDEOS_UPLOADED,
    VIDEOS_VERDICTS,
    VIDEOS_IMPRESSIONS,
    USERS_REPORTS,
    USERS_SESSIONS,
    EXPERIMENTS_EXPOSURES,
    CASES_OPENED,
    CASES_RULINGS,
    CASES_APPEALS,
)
EVENTS: Mapping[str, type[Event]] = {topic.event.__name__: topic.event for topic in TOPICS}
