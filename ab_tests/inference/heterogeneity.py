"""Estimates of one metric in disjoint segments in, Cochran's Q out: do the segments differ by more than chance?"""

import math
from collections.abc import Sequence

from ab_tests.results import Estimate, Heterogeneity


def cochran_q(estimates: Sequence[Estimate]) -> Heterogeneity | None:
    """Q = sum w (y - weighted mean)^2 with y the log ratio of means and w = 1 / se^2; chi-square with k - 1 degrees
    of freedom when all segments share one effect (Cochran, Biometrics 10, 1954). None for fewer than 2 segments.

    The segments must not share users: estimates by surface do, so Q says nothing of them.
    """
    from scipy.special import chdtrc

    if len(estimates) < 2:
        return None
    first = estimates[0]
    weights = [1.0 / (estimate.log_se * estimate.log_se) for estimate in estimates]
    effects = [math.log1p(estimate.relative) for estimate in estimates]
    pooled = sum(w * y for w, y in zip(weights, effects, strict=True)) / sum(weights)
    q = sum(w * (y - pooled) ** 2 for w, y in zip(weights, effects, strict=True))
    p_value = float(chdtrc(len(estimates) - 1, q))
    return Heterogeneity(first.metric, first.variant, q, len(estimates) - 1, p_value, p_value)
