"""A scenario in, its worlds out: everyone judged by the frozen policy, everyone by the learning one, half by each."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from contracts.cases import DecidedCase
from contracts.taxonomy import CATEGORIES
from policy.casebook import Evidence
from policy.train import TrainSettings, train
from simulation.platform.day import Day
from simulation.platform.days import live
from simulation.platform.population import Assigner, Population, draw_population, everyone
from streams.feed.simulated import Arms, learning_policy
from streams.weeks.contents import Contents
from streams.weeks.desk import Reviewer
from streams.weeks.judging import Judge
from streams.weeks.moderation import FROZEN, LEARNING, LearningModeration, Refresh
from streams.weeks.scenario import Scenario

SETTINGS = replace(TrainSettings(), fused=False)
"""Words only: the platform's videos have no pictures."""


@dataclass(frozen=True, slots=True)
class Weeks:
    """The platform, the experiment, and the release of the first day."""

    scenario: Scenario
    population: Population
    arms: Arms
    first: Judge


@dataclass(slots=True)
class Exposed:
    """Impressions of violative videos, by day and arm (or all in one world): of each trend, and of the rest.

    violative_A_D_K: int64 by arm, day and kind, the trends in order and then all others. shown_A_D: all impressions.
    """

    violative_A_D_K: npt.NDArray[np.int64]
    shown_A_D: npt.NDArray[np.int64]

    def per_1000(self, arm: int, *, since: int) -> npt.NDArray[np.float64]:
        """Violative impressions in 1,000 of an arm's from day `since` on: of each kind, and of all together."""
        kinds = self.violative_A_D_K[arm, since:].sum(axis=0)
        shares: npt.NDArray[np.float64] = 1000 * np.append(kinds, kinds.sum()) / self.shown_A_D[arm, since:].sum()
        return shares


@dataclass(slots=True)
class Watch:
    """Counts what is shown while a world is lived."""

    population: Population
    counts: Exposed = field(init=False)

    def __post_init__(self) -> None:
        kinds, days = len(self.population.settings.videos.trends) + 1, self.population.plan.days
        self.counts = Exposed(np.zeros((2, days, kinds), np.int64), np.zeros((2, days), np.int64))

    def through(self, days: Iterator[Day]) -> Iterator[Day]:
        """Pass the days on, counted."""
        videos = self.population.videos
        for day in days:
            arm_I = np.maximum(day.arm_S[day.session_I], 0)
            bad = videos.violative[day.video_I]
            kind = videos.trend_M[day.video_I]
            for arm in (FROZEN, LEARNING):
                mine = arm_I == arm
                self.counts.shown_A_D[arm, day.day] = mine.sum()
                kinds = self.counts.violative_A_D_K.shape[2]
                self.counts.violative_A_D_K[arm, day.day] = np.bincount(kind[mine & bad] % kinds, minlength=kinds)
            yield day


@dataclass(frozen=True, slots=True)
class World:
    """A world that can be lived: its moderation, its days, and what is counted on the way."""

    moderation: LearningModeration
    watch: Watch
    days: Iterator[Day]


def prepare(scenario: Scenario, *, tick: Callable[[str], None] = lambda _: None) -> Weeks:
    """Draw the platform and train the release of its first day, which has never seen a trend."""
    plan = scenario.plan
    tick("draw the platform")
    population = draw_population(plan, scenario.platform)
    tick(f"train the first release on {scenario.taught} cases")
    taught = tuple(_taught(scenario))
    policy = train(taught, settings=SETTINGS, seed=scenario.seed)
    return Weeks(scenario, population, learning_policy(plan), Judge(policy, SETTINGS, 1, taught))


def world(weeks: Weeks, reviewer: Reviewer, refresh: Refresh, assigner: Assigner) -> World:
    """A world of the weeks: who is judged by which policy."""
    arm_N = assigner(weeks.population.plan.user_ids)
    moderation = LearningModeration(weeks.population, weeks.scenario, weeks.first, reviewer, refresh, arm_N)
    watch = Watch(weeks.population)
    days = watch.through(live(weeks.population, weeks.arms.rank, assigner, moderation))
    return World(moderation, watch, days)


def all_frozen(weeks: Weeks, reviewer: Reviewer, refresh: Refresh) -> World:
    """Nobody's policy learns."""
    return world(weeks, reviewer, refresh, everyone(FROZEN))


def all_learning(weeks: Weeks, reviewer: Reviewer, refresh: Refresh) -> World:
    """Everybody is judged by the learning policy from the experiment's first day on."""
    return world(weeks, reviewer, refresh, everyone(LEARNING))


def experiment(weeks: Weeks, reviewer: Reviewer, refresh: Refresh) -> World:
    """Half of the users and of the reviewers in each arm; they share videos and rulings."""
    return world(weeks, reviewer, refresh, weeks.arms.assign)


def _taught(scenario: Scenario) -> Iterator[Evidence]:
    """Videos of another seed of the same platform, before any trend, ruled what is true.

    They are a plain sample of uploads. Cases with more violative ones among them would make a first release that is
    more suspicious than the platform gives reason for; whatever it learns later would then look like a loss.
    """
    a_day = scenario.per_1000_viewers * scenario.viewers / 1000
    days = max(scenario.days, math.ceil(scenario.taught / a_day))
    before = replace(scenario, seed=scenario.seed + 1_000, days=days, waves=())
    population = draw_population(before.plan, before.platform)
    rows = np.random.default_rng(before.seed).choice(len(population.videos), scenario.taught, replace=False)
    uploads = Contents(population).uploads(rows)
    for row, upload in zip(rows.tolist(), uploads, strict=True):
        category = CATEGORIES[population.videos.category_M[row]]
        case_id = f"taught-{upload.video_id}"
        yield Evidence(
            DecidedCase(case_id=case_id, upload=upload, category=category, decided_at=upload.occurred_at), None
        )
