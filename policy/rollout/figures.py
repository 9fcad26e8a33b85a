"""What a rollout is judged by: how often viewers report either release's videos, and where the two decide otherwise."""

from datetime import datetime
from typing import NamedTuple, Protocol

from contracts.releases import Pin


class Reported(NamedTuple):
    """Sums over the videos of which one release decided: a video counts i impressions and r reports.

    Videos are drawn by the hash, impressions are not: a popular video brings many, and its reports come together.
    The sums of squares say by how much that widens what is known (`shared` is the sum of i times r).
    """

    videos: int
    impressions: int
    reports: int
    impressions_squared: float
    reports_squared: float
    shared: float

    def __add__(self, other: object) -> "Reported":
        """The sums over the videos of both."""
        if not isinstance(other, Reported):
            return NotImplemented
        return Reported(
            self.videos + other.videos,
            self.impressions + other.impressions,
            self.reports + other.reports,
            self.impressions_squared + other.impressions_squared,
            self.reports_squared + other.reports_squared,
            self.shared + other.shared,
        )


class RolloutFigures(NamedTuple):
    """Figures since a candidate was seated; `live` and `candidate` are of videos uploaded since.

    compared: verdicts that hold both releases' decision, of which `disagreeing` differ and in `stricter` the
    candidate is the stricter. unanswered: verdicts of the live release without the candidate's decision.
    """

    live: Reported
    candidate: Reported
    compared: int
    disagreeing: int
    stricter: int
    unanswered: int


class FiguresOf(Protocol):
    """Reads the figures of a candidate beside the live release, since it was seated."""

    def __call__(self, *, live: Pin, candidate: Pin, since: datetime, now: datetime) -> RolloutFigures: ...


NOTHING = Reported(0, 0, 0, 0.0, 0.0, 0.0)
