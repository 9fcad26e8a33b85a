"""A day's impressions and reports in, tomorrow's toxicity features and removals out, by the real policy code.

    new uploads -> verdicts of each arm's release -> features
    each arm's desk: its verdicts, its viewers' reports -> cases -> rulings: the video removed, or cleared
                                        -> precedents, published overnight -> every few nights a refreshed release

A ruling acts on its video in every arm, whichever desk made it. What is learned from it acts in the learning arm
alone: the frozen one keeps the release and casebook of the first day.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from contracts.taxonomy import Category
from policy.casebook import Evidence
from policy.train import Policy
from simulation.platform.day import Day
from simulation.platform.population import Population
from simulation.platform.sessions.feeds import Served
from streams.weeks.contents import Contents
from streams.weeks.desk import Desk, Reviewer, Rulings, midnight
from streams.weeks.judging import Judge
from streams.weeks.scenario import Scenario

FROZEN, LEARNING = 0, 1
_AT_ONCE = 512
Refresh = Callable[[Policy, Sequence[Evidence], Sequence[Evidence]], Policy]
"""The parent, what taught it, and what was decided since, in; the next policy out."""


class LearningModeration:
    """A `Moderation` of a frozen and a learning arm, each with as much of the reviewers' budget as of the viewers.

    arm_N: the arm of each viewer. Where nobody is in the learning arm, nothing is learned.
    """

    def __init__(
        self,
        population: Population,
        scenario: Scenario,
        first: Judge,
        reviewer: Reviewer,
        refresh: Refresh,
        arm_N: npt.NDArray[np.int8],
    ) -> None:
        self._population, self._scenario, self._refresh = population, scenario, refresh
        self._contents = Contents(population)
        self._frozen, self.learning = first, Judge(first.policy, first.settings, first.version, first.taught)
        self._learns = bool((arm_N == LEARNING).any())
        self._feature = np.full((2, len(population.videos)), np.nan, np.float32)
        self._rescore: set[int] = set()
        self.rulings = Rulings()
        of_frozen = round(scenario.rulings_a_day * float((arm_N == FROZEN).mean()))
        self.desks = tuple(
            Desk(population, self._contents, reviewer, self.rulings, arm_N == arm, budget=budget)
            for arm, budget in ((FROZEN, of_frozen), (LEARNING, scenario.rulings_a_day - of_frozen))
        )
        self.refreshed_on: list[int] = []

    @property
    def opened(self) -> int:
        """Videos that a case was opened on, at either desk."""
        return len(self.desks[FROZEN].opened | self.desks[LEARNING].opened)

    def serve(self, day: int) -> Served:
        """Judge what was uploaded since yesterday, and again what was reported, by each arm's release."""
        videos, life = self._population.videos, self._population.settings.videos.life_days
        new = np.flatnonzero(
            (videos.uploaded_on_M <= day)
            & (videos.uploaded_on_M > day - life)
            & np.isnan(self._feature[FROZEN])
            & ~np.isnan(videos.score_M)  # some are served before their verdict is there
        )
        again = np.array(sorted(self._rescore - set(new.tolist())), np.int64)
        self._score(FROZEN, self._frozen, new)
        if day < self._scenario.pre_days or not self._learns:
            self._feature[LEARNING] = self._feature[FROZEN]
        else:
            self._score(LEARNING, self.learning, np.concatenate([new, again]))
        ruled = self.rulings.category_of
        removed = np.zeros(len(videos), np.bool_)
        removed[[row for row, found in ruled.items() if found is not Category.POSITIVE]] = True
        cleared = [row for row, found in ruled.items() if found is Category.POSITIVE]
        self._feature[:, cleared] = self._population.settings.feedback.cleared_toxicity
        return Served(self._feature.copy(), removed, (self._frozen.version, self.learning.version))

    def close_day(self, today: Day) -> None:
        """Have each desk take its reports, open cases and rule; publish, and refresh on its nights."""
        videos, life = self._population.videos, self._population.settings.videos.life_days
        now = midnight(self._population, today.day + 1)
        alive = (videos.uploaded_on_M <= today.day) & (videos.uploaded_on_M > today.day + 1 - life)
        fresh = np.flatnonzero(alive & (videos.uploaded_on_M == today.day)).tolist()
        judges = (self._frozen, self.learning)
        self._rescore = [desk.take(today) for desk in self.desks][LEARNING]
        for desk, judge in zip(self.desks, judges, strict=True):
            if desk.budget:
                desk.open(judge, fresh, alive, now)
                desk.rule(alive, now)
        if self._learns and today.day + 1 >= self._scenario.pre_days:
            self._learn(today.day)

    def _score(self, arm: int, judge: Judge, rows: npt.NDArray[np.int64]) -> None:
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            self._feature[arm, some] = judge.toxicity(judge.read(self._contents.uploads(some)))

    def _learn(self, day: int) -> None:
        """Learn from all rulings since the last refresh, by a refresh on its nights and as precedents on the others."""
        known = {item.case.case_id for item in self.learning.taught}
        news = [item for item in self.rulings.decided if item.case.case_id not in known]
        if news and (day + 1 - self._scenario.pre_days) % self._scenario.nights_between == 0:
            policy = self._refresh(self.learning.policy, self.learning.taught, news)
            taught = (*self.learning.taught, *news)
            self.learning = Judge(policy, self.learning.settings, self.learning.version + 1, taught)
            self.refreshed_on.append(day)
        else:
            self.learning.publish(news)
