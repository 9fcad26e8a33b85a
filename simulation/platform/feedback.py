"""A day's reports in, tomorrow's toxicity features and removals out: how what some viewers do reaches all others.

    reports -> feature rises -> a case opens -> a ruling: removed for all, or cleared by precedent

This is the interference between arms: they share videos, so the reports of one arm change what the other is shown.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulation.platform import chance
from simulation.platform.chance import Purpose
from simulation.platform.day import Day
from simulation.platform.population import Population
from simulation.platform.sessions.feeds import Served
from simulation.platform.settings import FeedbackSettings
from simulation.platform.videos import Videos

_NO_CASE = -1


@dataclass(slots=True)
class Docket:
    """What reports and rulings made of M videos in one world.

    reports_M: int32. opened_on_M: int32, day of the case, -1 without one. removed_M, cleared_M: what was ruled.
    """

    reports_M: npt.NDArray[np.int32]
    opened_on_M: npt.NDArray[np.int32]
    removed_M: npt.NDArray[np.bool_]
    cleared_M: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls, n: int) -> "Docket":
        return cls(np.zeros(n, np.int32), np.full(n, _NO_CASE, np.int32), np.zeros(n, np.bool_), np.zeros(n, np.bool_))

    def features(self, videos: Videos, settings: FeedbackSettings) -> npt.NDArray[np.float32]:
        """The toxicity feature of each video, NaN where the release has not scored it and nobody ruled on it."""
        if not settings.on:
            return videos.score_M
        odds = np.log(videos.score_M / (1 - videos.score_M + np.float32(1e-9)) + np.float32(1e-9))
        raised = 1 / (1 + np.exp(-(odds + np.float32(settings.report_weight) * np.log1p(self.reports_M))))
        found = np.where(self.reports_M > 0, raised, videos.score_M).astype(np.float32)
        found[self.cleared_M] = settings.cleared_toxicity
        return found

    def close_day(
        self,
        reported: npt.NDArray[np.int32],
        videos: Videos,
        settings: FeedbackSettings,
        *,
        day: int,
        seed: int,
    ) -> None:
        """Count the day's reports (a video a report), open cases, and rule on those that are due."""
        self.reports_M += np.bincount(reported, minlength=len(videos)).astype(np.int32)
        if not settings.on:
            return
        self.opened_on_M[(self.reports_M >= settings.case_at) & (self.opened_on_M == _NO_CASE)] = day
        due = np.flatnonzero(
            (self.opened_on_M != _NO_CASE)
            & (self.opened_on_M + settings.ruling_days <= day)
            & ~self.removed_M
            & ~self.cleared_M
        )
        right = chance.uniforms(chance.keys(seed, Purpose.RULING, due)) < settings.ruling_accuracy
        violative = videos.violative[due] == right
        self.removed_M[due[violative]] = True
        self.cleared_M[due[~violative]] = True


class SimulatedModeration:
    """The `Moderation` of a world whose release is a score that was drawn, and whose rulings are chances."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._docket = Docket.empty(len(population.videos))

    def serve(self, day: int) -> Served:
        """The features as reports and rulings left them."""
        features = self._docket.features(self._population.videos, self._population.settings.feedback)
        return Served(features[None], self._docket.removed_M.copy())

    def close_day(self, today: Day) -> None:
        """Count reports, open cases, rule."""
        videos, settings, seed = self._population.videos, self._population.settings, self._population.plan.seed
        reported = today.video_I[today.reported_I]
        self._docket.close_day(reported, videos, settings.feedback, day=today.day, seed=seed)
