"""One estimate a day in, one band a day out that holds on all days at once, within the plan and beyond it.

Alpha is divided before the first look. Nine tenths are spent over the planned days, one look a day, by an
O'Brien-Fleming boundary (`boundaries`): looking every day then costs little of what a single look at the end would
find. The last tenth buys whoever goes on after the plan an asymptotic confidence sequence, which holds for ever:

    estimate ± se sqrt((x + 1) / x log((x + 1) / alpha^2)),     x = information rho^2

(Robbins' normal mixture, made asymptotic by Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences", arXiv 2103.06476), narrowest at the plan's end.

Estimand: at each look the relative effect on everything up to that day. Assumed: users are independent and no arm
changes another's; as many users as make the log ratio of means normal and its standard error known; information
(1 / se^2) that does not depend on the effect, so that looks are a Brownian motion in it. Both bands miss a constant
effect on any day with probability alpha at most; of an effect that changes they hold what was true up to each day.
"""

import math
from collections.abc import Sequence as Ordered
from datetime import date
from statistics import NormalDist
from typing import NamedTuple

from ab_tests.inference.boundaries import critical_values
from ab_tests.results import Estimate, Interval, Look, Sequence

WITHIN_PLAN = 0.9
"""The share of alpha that is spent over the planned looks; the rest is for looks beyond the plan."""
METHOD = (
    "O'Brien-Fleming spending (Lan-DeMets) of 90% of alpha over the planned days, an asymptotic confidence "
    "sequence (arXiv 2103.06476) with the other 10% beyond them"
)


class Looked(NamedTuple):
    """The estimate of everything up to `day`, which is the `number`th day of the experiment."""

    number: int
    day: date
    estimate: Estimate


def follow(looked: Ordered[Looked], *, planned_looks: int, alpha: float) -> Sequence:
    """The looks of one metric of one arm, in the order of their days, each with its band.

    A day without a look gives what it may spend to the next one. `looked` must not be empty.
    """
    first = looked[0].estimate
    information = [1.0 / (look.estimate.log_se * look.estimate.log_se) for look in looked]
    within = [look for look in looked if look.number <= planned_looks]
    critical = list(
        critical_values(
            information[: len(within)],
            [look.number / planned_looks for look in within],
            alpha=alpha * WITHIN_PLAN,
        )
        if within
        else ()
    )
    planned = information[len(within) - 1] if within else information[0]
    critical += [
        anytime_critical(at, planned=planned, alpha=alpha * (1.0 - WITHIN_PLAN)) for at in information[len(within) :]
    ]
    return Sequence(
        metric=first.metric,
        variant=first.variant,
        planned_looks=planned_looks,
        alpha=alpha,
        method=METHOD,
        looks=tuple(_look(look, z, alpha) for look, z in zip(looked, critical, strict=True)),
    )


def anytime_critical(information: float, *, planned: float, alpha: float) -> float:
    """Half the width of the asymptotic confidence sequence, in standard errors, narrowest at `planned` information.

    There its derivative in x is 0 where (x + 1) exp(-(x + 1)) = alpha^2 / e, so x = -W_-1(-alpha^2 / e) - 1 with
    Lambert's W, and rho^2 = x / planned.
    """
    from scipy.special import lambertw

    rho_squared = (-lambertw(-alpha * alpha / math.e, -1).real - 1.0) / planned
    x = information * rho_squared
    return float(math.sqrt((x + 1.0) / x * math.log((x + 1.0) / (alpha * alpha))))


def _look(looked: Looked, critical: float, alpha: float) -> Look:
    estimate = looked.estimate
    return Look(
        number=looked.number,
        day=looked.day,
        users=estimate.control_users + estimate.treatment_users,
        relative=estimate.relative,
        information=1.0 / (estimate.log_se * estimate.log_se),
        fixed_interval=around(estimate, NormalDist().inv_cdf(1.0 - alpha / 2.0)),
        critical=critical,
        band=around(estimate, critical),
    )


def around(estimate: Estimate, z: float) -> Interval:
    """The relative effect, `z` standard errors of the log ratio to either side."""
    middle = math.log1p(estimate.relative)
    return Interval(math.expm1(middle - z * estimate.log_se), math.expm1(middle + z * estimate.log_se))
