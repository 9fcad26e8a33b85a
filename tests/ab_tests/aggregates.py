"""Aggregates of hand-written users, and estimates with hand-chosen numbers, for tests."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from tea_tasting.aggr import Aggregates

from ab_tests.results import Estimate, Interval
from contracts.experiments import MetricName

Z_95 = 1.959963984540054


def aggregates(columns: Mapping[str, Sequence[float]]) -> Aggregates:
    """What a warehouse would return for these rows: count, means, sample variances and covariances (of one row, 0)."""
    names = list(columns)
    rows = {name: np.asarray(values, np.float64) for name, values in columns.items()}
    count = len(rows[names[0]])
    offsets = {name: values - values.mean() for name, values in rows.items()}
    cov = {(a, b): float(offsets[a] @ offsets[b]) / max(count - 1, 1) for a in names for b in names if a <= b}
    return Aggregates(
        count_=count,
        mean_={name: float(values.mean()) for name, values in rows.items()},
        var_={name: cov[name, name] for name in names},
        cov_={pair: value for pair, value in cov.items() if pair[0] < pair[1]},
    )


def estimated(
    relative: float,
    log_se: float,
    *,
    metric: MetricName = MetricName.REPORT_RATE,
    users: int = 1_000,
    p_value: float = 0.5,
) -> Estimate:
    """An estimate of this relative effect and standard error of the log ratio; the control's mean is 1."""
    middle = math.log1p(relative)
    reach = Interval(math.expm1(middle - Z_95 * log_se), math.expm1(middle + Z_95 * log_se))
    return Estimate(
        metric=metric,
        variant="treatment",
        control_users=users // 2,
        treatment_users=users // 2,
        control=1.0,
        treatment=1.0 + relative,
        effect=relative,
        effect_interval=reach,
        relative=relative,
        relative_interval=reach,
        plain_interval=reach,
        log_se=log_se,
        p_value=p_value,
        adjusted_p=p_value,
        cuped=False,
    )
