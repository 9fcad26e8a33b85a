"""A small platform and plain rankers for tests."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from simulation.platform.day import Day
from simulation.platform.days import live
from simulation.platform.population import Assigner, Plan, Population, draw_population, everyone
from simulation.platform.sessions.feeds import Feed
from simulation.platform.settings import FeedbackSettings, PlatformSettings

SMALL = Plan(viewers=300, days=8, seed=5, starts_on=3)
NO_FEEDBACK = replace(PlatformSettings(), feedback=FeedbackSettings(on=False))


def by_relevance(feed: Feed, /) -> npt.NDArray[np.float32]:
    return feed.relevance_S_C


def by_arm(feed: Feed, /) -> npt.NDArray[np.float32]:
    """Arm 1 divides relevance by e^(4 * toxicity), arm 0 does not."""
    toxicity = np.nan_to_num(feed.toxicity_S_C, nan=0.2)
    return feed.relevance_S_C * np.exp(-4 * toxicity * (feed.arm_S == 1)[:, None])


def every_other(user_ids: Sequence[str]) -> npt.NDArray[np.int8]:
    return (np.arange(len(user_ids)) % 2).astype(np.int8)


def world(
    settings: PlatformSettings, assigner: Assigner | None = None, *, ranker: Any = by_arm, plan: Plan = SMALL
) -> tuple[Population, list[Day]]:
    population = draw_population(plan, settings)
    return population, list(live(population, ranker, assigner or everyone(0)))
