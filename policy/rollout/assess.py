"""Figures of a candidate in; halt with a reason, wait, or advance out: pure."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple

from contracts.errors import BadInputError
from contracts.releases import Seat
from policy.rollout.evidence import log_bet_over, log_bet_reported_more, report_ratio
from policy.rollout.figures import RolloutFigures


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """When a candidate is halted, and what it must have shown before it goes on.

    reported_more: halted when its videos are reported more than so many times as often as the live release's.
    disagrees: halted when it decides more than this share of the videos otherwise; a candidate that removes
      everything earns no report. unanswered: halted when it says nothing of more than this share.
    alpha: the share of harmless rollouts that may be halted, split among the three, over all looks together.
    no_worse_than, certainty: a canary goes on when the ratio of report rates is surely below this one.
    least_impressions, least_videos, least_compared: before which nothing goes on.
    shadow_for, canary_for: how long each stage lasts at least. canary_share: of the videos, when a shadow goes on.
    """

    reported_more: float = 1.1
    disagrees: float = 0.15
    unanswered: float = 0.2
    alpha: float = 0.05
    no_worse_than: float = 1.5
    certainty: float = 0.9
    least_impressions: int = 20_000
    least_videos: int = 200
    least_compared: int = 1_000
    shadow_for: timedelta = timedelta(hours=1)
    canary_for: timedelta = timedelta(hours=6)
    canary_share: float = 0.05

    def __post_init__(self) -> None:
        for name in ("disagrees", "unanswered", "alpha", "certainty", "canary_share"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise BadInputError(f"{name} == {getattr(self, name)}, must be in (0, 1) (rollout settings)")
        if not 1.0 <= self.reported_more < self.no_worse_than:
            raise BadInputError(
                f"reported_more == {self.reported_more}, no_worse_than == {self.no_worse_than}, must be at least 1 and "
                "above that (rollout settings)"
            )


class Assessment(NamedTuple):
    """What to do with a candidate, and why."""

    outcome: Literal["halt", "wait", "advance"]
    reason: str


DEFAULTS = RolloutSettings()


def assess(
    figures: RolloutFigures, seat: Seat, seated_for: timedelta, settings: RolloutSettings = DEFAULTS
) -> Assessment:
    """Judge a candidate by its figures since it was seated.

    A shadow decides of no video, so only its answers and its disagreement are judged.
    """
    against = _halting(figures, seat, settings)
    if against is not None:
        return Assessment("halt", against)
    lacking = _lacking(figures, seat, seated_for, settings)
    if lacking:
        return Assessment("wait", "; ".join(lacking))
    return Assessment("advance", _in_favour(figures, seat))


def _halting(figures: RolloutFigures, seat: Seat, settings: RolloutSettings) -> str | None:
    enough = math.log(3.0 / settings.alpha)
    live, candidate, asked = figures.live, figures.candidate, figures.compared + figures.unanswered
    if seat == "canary" and log_bet_reported_more(live, candidate, ratio=settings.reported_more) >= enough:
        ratio, low, high = report_ratio(live, candidate, share=0.95)
        return (
            f"report rate: {ratio:.2f} [{low:.2f}, {high:.2f}] times the live release's, {candidate.reports:,} reports "
            f"of {candidate.impressions:,} impressions against {live.reports:,} of {live.impressions:,}, must not be "
            f"over {settings.reported_more:g}"
        )
    if log_bet_over(figures.disagreeing, figures.compared, settings.disagrees) >= enough:
        return (
            f"disagreement: {figures.disagreeing / figures.compared:.1%} of {figures.compared:,} decisions differ from "
            f"the live release's ({figures.stricter:,} stricter), must not be over {settings.disagrees:.1%}"
        )
    if log_bet_over(figures.unanswered, asked, settings.unanswered) >= enough:
        return (
            f"unanswered: the candidate said nothing of {figures.unanswered / asked:.1%} of {asked:,} videos, must not "
            f"be over {settings.unanswered:.1%}"
        )
    return None


def _lacking(figures: RolloutFigures, seat: Seat, seated_for: timedelta, settings: RolloutSettings) -> list[str]:
    """What must be there before the candidate goes on, and is not yet."""
    lasts = settings.canary_for if seat == "canary" else settings.shadow_for
    lacking = []
    if seated_for < lasts:
        lacking.append(f"{seat} for {_hours(seated_for)} h of {_hours(lasts)} h")
    if figures.compared < settings.least_compared:
        lacking.append(f"{figures.compared:,} decisions compared of {settings.least_compared:,}")
    if seat != "canary":
        return lacking
    candidate = figures.candidate
    for name, value, least in (
        ("videos", candidate.videos, settings.least_videos),
        ("impressions", candidate.impressions, settings.least_impressions),
    ):
        if value < least:
            lacking.append(f"{value:,} {name} of the canary of {least:,}")
    _, _, high = report_ratio(figures.live, candidate, share=2.0 * settings.certainty - 1.0)
    if high > settings.no_worse_than:
        lacking.append(f"report rate at most {high:.2f} times the live one's, must be below {settings.no_worse_than:g}")
    return lacking


def _in_favour(figures: RolloutFigures, seat: Seat) -> str:
    differ = figures.disagreeing / max(figures.compared, 1)
    words = f"{differ:.1%} of {figures.compared:,} decisions differ"
    if seat != "canary":
        return words
    ratio, low, high = report_ratio(figures.live, figures.candidate, share=0.95)
    return f"report rate {ratio:.2f} [{low:.2f}, {high:.2f}] times the live one's, {words}"


def _hours(time: timedelta) -> str:
    return f"{time.total_seconds() / 3600:.1f}"
