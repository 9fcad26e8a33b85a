"""One metric of two arms' aggregates in, one estimate out: delta method and CUPED by tea-tasting, on the normal scale.

Estimand: the ratio of means of everybody assigned and exposed, had all been treated, to the same had none been, for
these users and days, when one user's arm does not change what another user sees (no interference).
"""

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from ab_tests.metrics import FOLLOWED_DAYS, FOLLOWED_WEEK, RETAINED_WEEK, Metric
from ab_tests.results import Estimate, Interval, Unmeasured

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

FEWEST_EVENTS = 10
"""With a smaller numerator in an arm the delta method's interval is not to be trusted, and none is given."""
_NAMED = {
    FOLLOWED_WEEK: f"users followed for {FOLLOWED_DAYS} days",
    RETAINED_WEEK: f"users who came back after {FOLLOWED_DAYS} days",
    "usage_s": "seconds of usage",
}


def estimate(
    metric: Metric,
    control: "Aggregates",
    treatment: "Aggregates",
    *,
    variant: str,
    part: str = "all",
    alpha: float = 0.05,
    cuped: bool = True,
) -> Estimate | Unmeasured:
    """The effect of `variant` on `metric`, or why there is none.

    The variance of a ratio is by the delta method (Deng, Knoblich, Lu, KDD 2018), the relative interval by the same
    on the log of the ratio of means; CUPED (Deng, Xu, Kohavi, Walker, WSDM 2013) with one coefficient for both arms.
    It is left out where the covariate does not vary, as among users who are new.
    """
    from tea_tasting.metrics import RatioOfMeans

    if reason := unmeasurable(metric, control, treatment, variant=variant):
        return Unmeasured(metric.name, variant, part, reason)
    level = {"confidence_level": 1.0 - alpha, "alternative": "two-sided", "use_t": False, "equal_var": False}
    plain = RatioOfMeans(metric.numerator, metric.denominator, **level)
    found = without = plain.analyze_aggregates(control, treatment)
    adjusted = cuped and covariate_varies(metric, control, treatment)
    if adjusted:
        with_covariate = RatioOfMeans(
            metric.numerator, metric.denominator, metric.covariate, metric.covariate_denominator, **level
        )
        found = with_covariate.analyze_aggregates(control, treatment)
    relative = Interval(found.rel_effect_size_ci_lower, found.rel_effect_size_ci_upper)
    if not math.isfinite(relative.low) or not math.isfinite(relative.high):
        return Unmeasured(metric.name, variant, part, "its variance cannot be estimated from so few users")
    return Estimate(
        metric=metric.name,
        variant=variant,
        control_users=control.count(),
        treatment_users=treatment.count(),
        control=float(found.control),
        treatment=float(found.treatment),
        effect=float(found.effect_size),
        effect_interval=Interval(float(found.effect_size_ci_lower), float(found.effect_size_ci_upper)),
        relative=float(found.rel_effect_size),
        relative_interval=Interval(float(relative.low), float(relative.high)),
        plain_interval=Interval(float(without.rel_effect_size_ci_lower), float(without.rel_effect_size_ci_upper)),
        log_se=_log_se(relative, alpha),
        p_value=found.pvalue,
        adjusted_p=found.pvalue,
        cuped=adjusted,
    )


def covariate_varies(metric: Metric, control: "Aggregates", treatment: "Aggregates") -> bool:
    """Whether CUPED has anything to adjust by in both arms."""
    if metric.covariate is None:
        return False
    over = metric.covariate_denominator
    return all(arm.var(metric.covariate) > 0 and (over is None or arm.mean(over) > 0) for arm in (control, treatment))


def unmeasurable(metric: Metric, control: "Aggregates", treatment: "Aggregates", *, variant: str) -> str | None:
    """Why a metric of the control and `variant` cannot be estimated; None when it can."""
    for name, arm in (("the control", control), (variant, treatment)):
        if arm.count() < 2:
            return f"{name} has {arm.count()} users, must have 2 or more"
        if metric.denominator and arm.mean(metric.denominator) <= 0:
            return f"{name} has no {_words(metric.denominator)}"
        total = arm.mean(metric.numerator) * arm.count()
        if total < FEWEST_EVENTS:
            return f"{name} has {total:.0f} {_words(metric.numerator)}, must have {FEWEST_EVENTS} or more"
    if not any(_varies(metric, arm) for arm in (control, treatment)):
        return "all users are alike so far"
    return None


def _words(column: str) -> str:
    """A column as a sentence names it."""
    return _NAMED.get(column, column.replace("_", " "))


def _varies(metric: Metric, arm: "Aggregates") -> bool:
    """Active days do not on the first day: who is there has one."""
    mean = arm.mean(metric.numerator) / arm.mean(metric.denominator)
    return arm.ratio_var(metric.numerator, metric.denominator) > 1e-12 * mean * mean


def _log_se(relative: Interval, alpha: float) -> float:
    """The interval is exp(log ratio ± z se) - 1, so its ends give the standard error back."""
    z = NormalDist().inv_cdf(1.0 - alpha / 2.0)
    return (math.log1p(relative.high) - math.log1p(relative.low)) / (2.0 * z)
