"""Days in, one row per user out: the sums of `warehouse.experiments`, made without a warehouse."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from simulation.platform.day import Day
from simulation.platform.days import TOXIC_FROM
from simulation.platform.population import Population

NEVER = -1
RETAINED_AFTER_DAYS = 7
_Sums = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UserTotals:
    """One row for each of N users; sums count from the day of first exposure on, pre_* before arms were in force.

    arm_N: int8, of the first exposure, -1 without. exposed_on_N: int32, day of the run, `NEVER` without.
    """

    arm_N: npt.NDArray[np.int8]
    exposed_on_N: npt.NDArray[np.int32]
    impressions: _Sums
    scored_impressions: _Sums
    toxic_impressions: _Sums
    reports: _Sums
    active_days: _Sums
    usage_s: _Sums
    watch_s: _Sums
    violative_impressions: _Sums
    retained: _Sums
    pre_impressions: _Sums
    pre_scored_impressions: _Sums
    pre_toxic_impressions: _Sums
    pre_reports: _Sums
    pre_active_days: _Sums
    pre_usage_s: _Sums

    @property
    def exposed(self) -> npt.NDArray[np.int64]:
        """The users who met an arm."""
        return np.flatnonzero(self.exposed_on_N != NEVER)

    def of(self, rows: npt.NDArray[np.int64]) -> "UserTotals":
        """The rows of some users."""
        return UserTotals(*(getattr(self, one.name)[rows] for one in fields(self)))


_PER_DAY = (
    "impressions",
    "scored_impressions",
    "toxic_impressions",
    "reports",
    "active_days",
    "usage_s",
    "watch_s",
    "violative_impressions",
)
_PRE = {one.name for one in fields(UserTotals) if one.name.startswith("pre_")}


class Tally:
    """Takes a world's days one by one, in order, and gives the sums of all of them."""

    def __init__(self, population: Population) -> None:
        n = population.plan.viewers
        self._population = population
        self._arm, self._exposed_on = np.full(n, -1, np.int8), np.full(n, NEVER, np.int32)
        self._before, self._during = np.zeros((2, len(_PER_DAY), n))
        self._retained = np.zeros(n)

    def add(self, day: Day) -> None:
        """Count a day; who meets an arm on it for the first time counts from it on."""
        met = np.flatnonzero(day.arm_S >= 0)[::-1]  # the first of a viewer's sessions is written last
        arms_today = np.full(len(self._arm), -1, np.int8)
        arms_today[day.viewer_S[met]] = day.arm_S[met]
        new = (arms_today >= 0) & (self._exposed_on == NEVER)
        self._arm[new], self._exposed_on[new] = arms_today[new], day.day
        sums = _of_day(day, self._population)
        if day.day < self._population.plan.starts_on:
            self._before += sums
            return
        counts = self._exposed_on != NEVER
        self._during[:, counts] += sums[:, counts]
        came = sums[_PER_DAY.index("active_days")] > 0
        self._retained[counts & came & (day.day >= self._exposed_on + RETAINED_AFTER_DAYS)] = 1.0

    def totals(self) -> UserTotals:
        """One row per user, of the days so far."""
        columns = dict(zip(_PER_DAY, self._during.copy(), strict=True)) | {"retained": self._retained.copy()}
        before = zip(_PER_DAY, self._before.copy(), strict=True)
        columns |= {f"pre_{name}": sums for name, sums in before if f"pre_{name}" in _PRE}
        return UserTotals(self._arm.copy(), self._exposed_on.copy(), **columns)


def sum_up(days: Iterable[Day], population: Population) -> UserTotals:
    """The sums of all days of a world."""
    tally = Tally(population)
    for day in days:
        tally.add(day)
    return tally.totals()


def _of_day(day: Day, population: Population) -> npt.NDArray[np.float64]:
    """The sums of one day, [len(_PER_DAY), N]."""
    n, who = population.plan.viewers, day.viewers_of_impressions

    def count(rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return np.bincount(who[rows], minlength=n).astype(np.float64)

    visits = np.bincount(day.viewer_S, minlength=n)
    return np.stack(
        [
            np.bincount(who, minlength=n).astype(np.float64),
            count(~np.isnan(day.toxicity_I)),
            count(day.toxicity_I >= TOXIC_FROM),
            count(day.reported_I),
            (visits > 0).astype(np.float64),
            np.bincount(day.viewer_S, (day.ended_ms_S - day.started_ms_S) / 1000, minlength=n),
            np.bincount(who, day.watch_ms_I / 1000, minlength=n),
            count(population.videos.violative[day.video_I]),
        ]
    )
