"""A plan and settings in, everyone and everything there is out: the same in every world."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.viewers import Surface
from simulation.platform.settings import PlatformSettings
from simulation.platform.videos import Scorer, Videos, binormal, draw_videos
from simulation.platform.viewers import Viewers, draw_viewers

Assigner = Callable[[Sequence[str]], npt.NDArray[np.int8]]
"""User ids in, the place of each user's variant out; -1 for who is in no experiment."""

SURFACES: tuple[Surface, ...] = tuple(Surface)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many viewers live how many days from which date; from day `starts_on` (0 first) arms are in force.

    surfaces: where the arms take effect. release_version: of the release whose scores are served.
    """

    viewers: int
    days: int
    seed: int
    begins: date = date(2026, 3, 2)
    starts_on: int = 14
    surfaces: tuple[Surface, ...] = SURFACES
    release_version: int = 1

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("viewers", self.viewers, 1, 50_000_000),
            ("days", self.days, 1, 3_650),
            ("seed", self.seed, 0, 2**63 - 1),
            ("starts_on", self.starts_on, 0, self.days),
            ("release_version", self.release_version, 1, 2**31 - 1),
        ):
            if not low <= value <= high:
                raise BadInputError(f"{name} == {value}, must be in [{low}, {high}] (Plan)")

    @property
    def user_ids(self) -> list[str]:
        return [f"u{self.seed}-{number}" for number in range(self.viewers)]


@dataclass(frozen=True, slots=True)
class Population:
    """Who and what there is: the same in every world."""

    plan: Plan
    settings: PlatformSettings
    viewers: Viewers
    videos: Videos


def draw_population(plan: Plan, settings: PlatformSettings, *, scorer: Scorer | None = None) -> Population:
    """Draw viewers and videos; `scorer` replaces the model of the settings, by real scores for instance."""
    score = scorer or binormal(settings.model, settings.videos.prevalence)
    return Population(
        plan,
        settings,
        draw_viewers(settings, n=plan.viewers, days=plan.days, seed=plan.seed),
        draw_videos(settings, viewers=plan.viewers, days=plan.days, seed=plan.seed, scorer=score),
    )


def everyone(arm: int) -> Assigner:
    """The assigner of a world in which all users have one arm."""
    return lambda user_ids: np.full(len(user_ids), arm, np.int8)
