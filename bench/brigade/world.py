"""The made-up platform that a brigade lives on: who reports, what is seen, and how a brigade goes about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from warehouse.feedback import Report, VideoFeedback

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY_S = 86_400.0

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BrigadeSettings:
    """The platform and its brigade.

    prevalence: violative videos that the release missed. impressions, spread: median of a week's impressions of a
    video, and the standard deviation of their log. report_violative, report_harmless: honest reports an impression.
    propensity: shape of the gamma distribution of users' propensities to report. delay_days: mean time from upload to
    report. right: rulings of the first week that find what is true.
    """

    users: int = 20_000
    videos: int = 10_000
    days: int = 7
    prevalence: float = 0.10
    impressions: float = 600.0
    spread: float = 1.0
    report_violative: float = 0.02
    report_harmless: float = 0.001
    propensity: float = 0.3
    delay_days: float = 1.0
    right: float = 0.95
    brigade_share: float = 0.05
    targets: int = 1_000
    zeal: float = 0.9


class Said(NamedTuple):
    """Reports: which of the videos, by which user, how many seconds after the week began; [N] each."""

    video_N: Ints
    user_N: Ints
    at_s_N: Array


class Manner(NamedTuple):
    """How a brigade goes about it: which share of the targets a member takes, over how long, and its record before."""

    share: float
    within_s: float
    upheld_before: int = 0
    rejected_before: int = 0


MANNERS: Mapping[str, Manner] = {
    "each all, in two hours": Manner(1.0, 7_200.0),
    "each all, over the week": Manner(1.0, 7 * DAY_S),
    "each a random fifth, in two hours": Manner(0.2, 7_200.0),
    "each all, after 20 upheld reports": Manner(1.0, 7_200.0, upheld_before=20),
    "each a random fiftieth, in two hours": Manner(0.02, 7_200.0),
    "a fiftieth, after 20 upheld reports": Manner(0.02, 7_200.0, upheld_before=20),
    "a fiftieth, once 18 each were rejected": Manner(0.02, 7_200.0, rejected_before=18),
}
HELD = tuple(MANNERS)[:4]
"""The manners of mass reporting. In the others the members share too little to be told from strangers, so that only
the rulings on what they opened, about 18 each, take their weight: they are printed, and nothing is asked of them."""


def week(settings: BrigadeSettings, chance_U: Array, rng: np.random.Generator) -> tuple[Bools, Ints, Said]:
    """Which videos are violative, how often each is seen, and the honest reports of a week."""
    violative_V = rng.random(settings.videos) < settings.prevalence
    return violative_V, *seen_in_week(violative_V, settings, chance_U, rng)


def seen_in_week(
    violative_V: Bools, settings: BrigadeSettings, chance_U: Array, rng: np.random.Generator
) -> tuple[Ints, Said]:
    """How often each video is seen, and the honest reports of a week."""
    n = len(violative_V)
    impressions_V = np.maximum(1, rng.lognormal(np.log(settings.impressions), settings.spread, n)).astype(np.int64)
    rate_V = np.where(violative_V, settings.report_violative, settings.report_harmless)
    video_N = np.repeat(np.arange(n), rng.binomial(impressions_V, rate_V))
    user_N = rng.choice(settings.users, size=len(video_N), p=chance_U)
    uploaded_s_V = rng.random(n) * (settings.days - 1) * DAY_S
    at_s_N = uploaded_s_V[video_N] + rng.exponential(settings.delay_days * DAY_S, len(video_N))
    return impressions_V, Said(video_N, user_N, np.minimum(at_s_N, settings.days * DAY_S - 1.0))


def brigade_of(
    manner: Manner, settings: BrigadeSettings, member_U: Ints, targets: Ints, rng: np.random.Generator
) -> Said:
    """The reports of a brigade: each member picks targets, and all strike a target in the same stretch of time."""
    chosen = rng.random((len(targets), len(member_U))) < manner.share * settings.zeal
    target, member = np.nonzero(chosen)
    strikes_s = rng.random(len(targets)) * max(0.0, settings.days * DAY_S - manner.within_s)
    at_s_N = strikes_s[target] + rng.random(len(target)) * min(manner.within_s, settings.days * DAY_S)
    return Said(targets[target], member_U[member], at_s_N)


def joined(one: Said, other: Said) -> Said:
    """Both, one after the other."""
    return Said(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))


def feedback_of(said: Said, impressions_V: Ints) -> list[VideoFeedback]:
    """As the warehouse gives it: each reporter once a video, reports by time, on none of the videos a ruling yet."""
    order = np.argsort(said.at_s_N, kind="stable")
    key = said.video_N[order] * (int(said.user_N.max(initial=0)) + 1) + said.user_N[order]
    first = order[np.sort(np.unique(key, return_index=True)[1])]
    reports: list[list[Report]] = [[] for _ in impressions_V]
    for video, user, at_s in zip(
        said.video_N[first].tolist(), said.user_N[first].tolist(), said.at_s_N[first].tolist(), strict=True
    ):
        reports[video].append(Report(user_id(user), START + timedelta(seconds=at_s)))
    return [VideoFeedback(video_id(v), int(impressions_V[v]), tuple(listed), None) for v, listed in enumerate(reports)]


video_id: Callable[[int], str] = "v{}".format
user_id: Callable[[int], str] = "u{}".format
