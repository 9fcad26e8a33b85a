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
    """A topic's name, the contract of its events and the field that keys them."""

    name: str
    event: type[Event]
    key: str

    @property
    def dead(self) -> str:
        """Where events go that the contract or the media decoder refuses."""
        return self.name + DEAD_SUFFIX


VIDEOS_UPLOADED = Topic("videos.uploaded", VideoUploaded, "video_id")
VIDEOS_VERDICTS = Topic("videos.verdicts", Verdict, "video_id")
VIDEOS_IMPRESSIONS = Topic("videos.impressions", Impression, "user_id")
USERS_REPORTS = Topic("users.reports", UserReport, "video_id")
USERS_SESSIONS = Topic("users.sessions", UserSession, "user_id")
EXPERIMENTS_EXPOSURES = Topic("experiments.exposures", ExperimentExposure, "user_id")
CASES_OPENED = Topic("cases.opened", CaseOpened, "video_id")
CASES_RULINGS = Topic("cases.rulings", Ruling, "video_id")
CASES_APPEALS = Topic("cases.appeals", CaseAppealed, "video_id")

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
