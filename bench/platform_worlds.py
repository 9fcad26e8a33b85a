"""A plan and settings in, worlds of the simulated platform as sums per user out, and what the analysis says of them.

The effect that is true is known: every user lives in control and in treatment, by the same chances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ab_tests.inference.estimates import estimate
from ab_tests.metrics import FOLLOWED_WEEK, METRICS, RETAINED_WEEK, columns_of
from ab_tests.results import Estimate, Unmeasured
from contracts.experiments import MetricName
from simulation.platform.days import live
from simulation.platform.log.totals import RETAINED_AFTER_DAYS, UserTotals, sum_up
from simulation.platform.population import Assigner, Plan, Population, draw_population, everyone
from simulation.platform.settings import PlatformSettings
from streams.feed.simulated import Arms, toxicity_aware

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

WATCHED = (
    MetricName.REPORT_RATE,
    MetricName.ACTIVE_DAYS,
    MetricName.USAGE_TIME_PER_USER,
    MetricName.USAGE_TIME_TOTAL,
    MetricName.RETENTION,
    MetricName.TOXIC_SHARE,
    MetricName.IMPRESSIONS_PER_USER,
)
_COLUMNS = columns_of(METRICS[name] for name in WATCHED)
Rows = npt.NDArray[np.float64]


class Effect(NamedTuple):
    """A metric in both worlds, and the relative change from control to treatment."""

    control: float
    treatment: float

    @property
    def relative(self) -> float:
        return self.treatment / self.control - 1.0


@dataclass(frozen=True, slots=True)
class Worlds:
    """The per-user rows [columns, users] of the exposed, who are the same users in every world."""

    arms: Arms
    control: Rows
    treatment: Rows
    mixed: Rows
    treated: npt.NDArray[np.bool_]
    violative: Effect

    @property
    def as_if_alone(self) -> Rows:
        """The experiment without interference: each user fares as in the world of their own arm."""
        return np.where(self.treated, self.treatment, self.control)


def live_worlds(plan: Plan, settings: PlatformSettings) -> Worlds:
    """All users in control, all in treatment, and the experiment between them."""
    population, arms = draw_population(plan, settings), toxicity_aware(plan)
    control, treatment = (summed(population, arms, everyone(arm)) for arm in (0, 1))
    mixed = summed(population, arms, arms.assign)
    if not all(np.array_equal(one.exposed_on_N, control.exposed_on_N) for one in (treatment, mixed)):
        raise AssertionError("worlds differ in who was exposed when, though no arm was in force before (bench)")
    return Worlds(
        arms=arms,
        control=rows_of(control, plan),
        treatment=rows_of(treatment, plan),
        mixed=rows_of(mixed, plan),
        treated=mixed.arm_N[mixed.exposed] == 1,
        violative=violative_share(control, treatment),
    )


def live_both(plan: Plan, settings: PlatformSettings) -> tuple[Rows, Rows]:
    """All users in control and all in treatment, without an experiment."""
    population, arms = draw_population(plan, settings), toxicity_aware(plan)
    control, treatment = (rows_of(summed(population, arms, everyone(arm)), plan) for arm in (0, 1))
    return control, treatment


def summed(population: Population, arms: Arms, assigner: Assigner) -> UserTotals:
    """One world's sums per user."""
    return sum_up(live(population, arms.rank, assigner), population)


def rows_of(totals: UserTotals, plan: Plan) -> Rows:
    """The columns that the metrics need, of the exposed users, [columns, users]."""
    some = totals.of(totals.exposed)
    followed = (some.exposed_on_N < plan.days - RETAINED_AFTER_DAYS).astype(np.float64)
    derived = {FOLLOWED_WEEK: followed, RETAINED_WEEK: followed * some.retained}
    return np.stack([derived[name] if name in derived else getattr(some, name) for name in _COLUMNS])


def violative_share(control: UserTotals, treatment: UserTotals) -> Effect:
    """Share of what is shown that is truly violative: no metric of the warehouse, which cannot know."""
    return Effect(*(one.violative_impressions.sum() / one.impressions.sum() for one in (control, treatment)))


def effect(control: Rows, treatment: Rows, name: MetricName) -> Effect:
    """A metric over all users of either."""
    return Effect(_value(control, name), _value(treatment, name))


def _value(rows: Rows, name: MetricName) -> float:
    metric = METRICS[name]
    over = rows[_COLUMNS.index(metric.denominator)].sum() if metric.denominator else rows.shape[1]
    return float(rows[_COLUMNS.index(metric.numerator)].sum() / over)


def analysed(rows: Rows, treated: npt.NDArray[np.bool_], names: Sequence[MetricName] = WATCHED) -> dict[str, Estimate]:
    """What `ab_tests` estimates from the rows of an experiment, with CUPED; a metric it refuses is left out."""
    control, treatment = aggregates(rows[:, ~treated]), aggregates(rows[:, treated])
    found = {}
    for name in names:
        one = estimate(METRICS[name], control, treatment, variant="treatment")
        if not isinstance(one, Unmeasured):
            found[name.value] = one
    return found


def aggregates(rows: Rows) -> "Aggregates":
    """Counts, means, variances and covariances of an arm's users, as the warehouse returns them."""
    from tea_tasting.aggr import Aggregates

    spread = np.cov(rows)
    pairs = [(i, j) for i in range(len(_COLUMNS)) for j in range(i)]
    return Aggregates(
        count_=rows.shape[1],
        mean_=dict(zip(_COLUMNS, rows.mean(axis=1).tolist(), strict=True)),
        var_=dict(zip(_COLUMNS, np.diag(spread).tolist(), strict=True)),
        cov_={tuple(sorted((_COLUMNS[i], _COLUMNS[j]))): float(spread[i, j]) for i, j in pairs},
    )
