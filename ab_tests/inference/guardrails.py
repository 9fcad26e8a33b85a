"""An estimate and a margin in, held, failed or unproven out: non-inferiority by a one-sided interval."""

import math
from statistics import NormalDist

from ab_tests.metrics import METRICS
from ab_tests.results import Direction, Estimate, GuardrailResult, GuardrailState


def judge_guardrail(estimate: Estimate, margin: float, *, alpha: float) -> GuardrailResult:
    """Whether the metric is worse by less than `margin`, a share of the control's mean.

    `bound` is the end, towards worse, of the one-sided 1 - alpha interval of the relative effect: within the margin it
    is held. It failed when the opposite end is beyond the margin. `p_value` is of "worse by the margin or more".
    All guardrails must hold together, so none is adjusted for the others (intersection-union test, Berger 1982).
    """
    worse = 1.0 if METRICS[estimate.metric].direction is Direction.LOWER else -1.0
    limit = math.log1p(worse * margin) if worse * margin > -1.0 else -math.inf
    effect = math.log1p(estimate.relative)
    reach = NormalDist().inv_cdf(1.0 - alpha) * estimate.log_se
    towards_worse, opposite = effect + worse * reach, effect - worse * reach
    if worse * towards_worse < worse * limit:
        state = GuardrailState.HELD
    elif worse * opposite > worse * limit:
        state = GuardrailState.FAILED
    else:
        state = GuardrailState.UNPROVEN
    p_value = NormalDist().cdf(worse * (effect - limit) / estimate.log_se)
    return GuardrailResult(
        metric=estimate.metric,
        variant=estimate.variant,
        margin=margin,
        relative=estimate.relative,
        bound=math.expm1(towards_worse),
        p_value=p_value,
        state=state,
    )
