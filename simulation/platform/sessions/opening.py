"""A new day in, its sessions out: who comes, how often, on which surface, under which arm, and whom brigades strike."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulation.platform import chance
from simulation.platform.chance import Purpose
from simulation.platform.population import SURFACES, Population
from simulation.platform.viewers import Standing, sessions_of, who_comes

OUTSIDE = -1
"""The arm of a session that no experiment touches."""
NO_TARGET = -1


@dataclass(frozen=True, slots=True)
class Sessions:
    """S sessions of one day: who, which of the day's (0 first), where, under which arm, and what chance they have.

    target_S: int32, the video that a member of a brigade opens with on the day of a strike, else -1.
    """

    viewer_S: npt.NDArray[np.int64]
    slot_S: npt.NDArray[np.int64]
    surface_S: npt.NDArray[np.int8]
    arm_S: npt.NDArray[np.int8]
    target_S: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.viewer_S)

    def part(self, rows: slice) -> "Sessions":
        return Sessions(
            self.viewer_S[rows], self.slot_S[rows], self.surface_S[rows], self.arm_S[rows], self.target_S[rows]
        )


def open_sessions(
    population: Population, standing: Standing, removed_M: npt.NDArray[np.bool_], arm_N: npt.NDArray[np.int8], day: int
) -> Sessions:
    """Open the day's sessions, in order of viewer and time; `arm_N` is each user's arm once arms are in force."""
    plan, settings = population.plan, population.settings
    present = who_comes(population.viewers, standing, settings, day=day, seed=plan.seed)
    how_often = sessions_of(present, settings, day=day, seed=plan.seed)
    viewer = np.repeat(present, how_often)
    slot = np.arange(len(viewer)) - np.repeat(np.cumsum(how_often) - how_often, how_often)
    u_surface, _ = session_chances(plan.seed, day, viewer, slot)
    surface = np.searchsorted(np.cumsum(settings.surfaces)[:-1], u_surface, side="right").astype(np.int8)
    affected = np.isin(surface, [SURFACES.index(one) for one in plan.surfaces]) & (day >= plan.starts_on)
    arm = np.where(affected, arm_N[viewer], OUTSIDE).astype(np.int8)
    target = _targets(population, removed_M, day)[population.viewers.brigade_N[viewer]]
    return Sessions(viewer, slot, surface, arm, np.where(slot == 0, target, NO_TARGET).astype(np.int32))


def _targets(population: Population, removed_M: npt.NDArray[np.bool_], day: int) -> npt.NDArray[np.int32]:
    """The video that each brigade strikes today, -1 for none; the last entry is for who is in no brigade."""
    settings, videos, seed = population.settings, population.videos, population.plan.seed
    bad = settings.bad_faith
    targets = np.full(bad.brigades + 1, NO_TARGET, np.int32)
    live_days = settings.videos.life_days
    for brigade in range(bad.brigades):
        if (day + brigade * bad.brigade_every_days // bad.brigades) % bad.brigade_every_days:
            continue
        there = (videos.uploaded_on_M <= day) & (videos.uploaded_on_M > day - live_days) & ~videos.violative
        weight = np.where(there, videos.popularity_M, 0.0)
        rng = np.random.default_rng([seed, 4, day, brigade])
        target = int(np.searchsorted(np.cumsum(weight), rng.random() * weight.sum(), side="right"))
        targets[brigade] = NO_TARGET if removed_M[target] else target
    return targets


def session_chances(
    seed: int, day: int, viewer_S: npt.NDArray[np.int64], slot_S: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Two uniforms of each session: for its surface, for its start."""
    drawn = chance.fan(chance.keys(seed, Purpose.SESSION, day, viewer_S, slot_S), 2)
    return chance.uniforms(drawn[:, 0]), chance.uniforms(drawn[:, 1])
