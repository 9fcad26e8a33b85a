"""Aggregates of two arms and how information grew in; what can be seen now, and in how many more days, out."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ab_tests.inference.estimates import covariate_varies
from ab_tests.metrics import Metric
from ab_tests.results import Power

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

LONGEST_DAYS = 365


class Grown(NamedTuple):
    """How much was known after `days` days: 1 / se^2 of the estimate, or simply the users so far."""

    days: int
    information: float


def power_of(
    metric: Metric,
    control: "Aggregates",
    treatment: "Aggregates",
    history: Sequence[Grown],
    *,
    variant: str,
    smallest_effect: float,
    alpha: float,
    power: float,
    cuped: bool = True,
) -> Power:
    """Power of the two-sided test for a relative change of `smallest_effect`, from the variance observed so far.

    Users needed at that variance, over those there are, is how much more information is needed; information is taken
    to go on growing as `growth` says, the power of time that fits the days so far (`growth_of`). `history` ends today.
    """
    from tea_tasting.metrics import RatioOfMeans

    pair = control + treatment
    with_covariate = cuped and covariate_varies(metric, control, treatment)
    columns = (metric.covariate, metric.covariate_denominator) if with_covariate else (None, None)
    planned = RatioOfMeans(
        metric.numerator,
        metric.denominator,
        *columns,
        alternative="two-sided",
        use_t=False,
        equal_var=False,
        alpha=alpha,
        power=power,
        ratio=treatment.count() / control.count(),
        rel_effect_size=smallest_effect,
    )
    users_needed = int(planned.solve_power_from_aggregates(pair, "n_obs")[0].n_obs)
    growth, days = growth_of(history), history[-1].days
    return Power(
        metric=metric.name,
        variant=variant,
        smallest_effect=smallest_effect,
        planned_power=power,
        power=float(planned.solve_power_from_aggregates(pair, "power")[0].power),
        detectable=float(planned.solve_power_from_aggregates(pair, "rel_effect_size")[0].rel_effect_size),
        users=pair.count(),
        users_needed=users_needed,
        days=days,
        more_days=more_days(days, needed=users_needed / pair.count(), growth=growth),
        growth=growth,
    )


def growth_of(history: Sequence[Grown]) -> float:
    """The b of information ~ days^b, by least squares on logs over the later half of the days; 1 for under 3 days.

    New users who keep arriving, and a metric that settles as each is seen for longer, both make b larger; it is 0
    where everybody has come and more days teach nothing.
    """
    recent = [at for at in history[len(history) // 2 :] if at.information > 0]
    if len(recent) < 3:
        recent = [at for at in history if at.information > 0]
    if len(recent) < 3:
        return 1.0
    slope = np.polyfit(np.log([at.days for at in recent]), np.log([at.information for at in recent]), 1)[0]
    return max(float(slope), 0.0)


def more_days(days: int, *, needed: float, growth: float) -> int | None:
    """Days until there is `needed` times today's information; None when that takes over a year."""
    if needed <= 1.0:
        return 0
    if growth <= 0.0:
        return None
    log_days = math.log(days) + math.log(needed) / growth
    if log_days > math.log(days + LONGEST_DAYS):
        return None
    return math.ceil(math.exp(log_days) - 1e-9) - days
