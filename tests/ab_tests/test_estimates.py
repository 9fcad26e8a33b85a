"""Estimates against numbers worked by hand: delta method, CUPED, families, Cochran's Q, non-inferiority."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_tests.inference.estimates import estimate
from ab_tests.inference.families import adjusted
from ab_tests.inference.guardrails import judge_guardrail
from ab_tests.inference.heterogeneity import cochran_q
from ab_tests.metrics import METRICS
from ab_tests.results import Estimate, GuardrailState, Unmeasured
from contracts.experiments import MetricName
from tests.ab_tests.aggregates import Z_95, aggregates, estimated

REPORT_RATE = METRICS[MetricName.REPORT_RATE]
ACTIVE_DAYS = METRICS[MetricName.ACTIVE_DAYS]


def test_every_metric_that_an_experiment_may_name_is_defined() -> None:
    assert set(METRICS) == set(MetricName)
    assert all(name is metric.name for name, metric in METRICS.items())


def test_the_delta_method_of_a_report_rate_by_hand() -> None:
    # Control: reports 2, 4, 6 and impressions 10, 20, 30: always a fifth, so the ratio has no variance at all.
    # Treatment: reports 1, 4, 10 and impressions 10, 20, 30. Means 5 and 20, ratio 1/4; variances 21 and 100,
    # covariance ((-4)(-10) + 0 + 5 * 10) / 2 = 45. Delta: (21 - 2 * 45 / 4 + 100 / 16) / 400 = 4.75 / 400 = 0.011875.
    still = {"pre_reports": [0, 0, 0], "pre_impressions": [0, 0, 0]}
    control = aggregates({"reports": [2, 4, 6], "impressions": [10, 20, 30], **still})
    treatment = aggregates({"reports": [1, 4, 10], "impressions": [10, 20, 30], **still})
    found = estimate(REPORT_RATE, control, treatment, variant="treatment")
    assert isinstance(found, Estimate)
    assert (found.control, found.treatment) == pytest.approx((0.2, 0.25))
    assert found.effect == pytest.approx(0.05)
    assert found.relative == pytest.approx(0.25)
    se = math.sqrt(0.011875 / 3)
    assert found.effect_interval.low == pytest.approx(0.05 - Z_95 * se)
    assert found.p_value == pytest.approx(math.erfc(0.05 / se / math.sqrt(2)))
    assert found.log_se == pytest.approx(se / 0.25)
    assert found.relative_interval.high == pytest.approx(1.25 * math.exp(Z_95 * se / 0.25) - 1)
    assert not found.cuped
    assert found.narrowing == 0.0


def test_a_covariate_that_says_all_leaves_the_effect_alone() -> None:
    # Treated users are active one day more than before, others as before: CUPED sees that almost without noise.
    rng = np.random.default_rng(5)
    before_c, before_t = rng.integers(1, 14, 400), rng.integers(1, 14, 400)
    noise_c, noise_t = rng.normal(0, 0.1, 400), rng.normal(0, 0.1, 400)
    control = aggregates({"active_days": list(before_c + noise_c), "pre_active_days": list(before_c)})
    treatment = aggregates({"active_days": list(before_t + noise_t + 1), "pre_active_days": list(before_t)})
    with_it = estimate(ACTIVE_DAYS, control, treatment, variant="t")
    without = estimate(ACTIVE_DAYS, control, treatment, variant="t", cuped=False)
    assert isinstance(with_it, Estimate)
    assert isinstance(without, Estimate)
    assert with_it.cuped
    assert with_it.effect == pytest.approx(1.0, abs=0.05)
    assert with_it.plain_interval == without.relative_interval
    assert with_it.narrowing == pytest.approx(1 - 0.1 / np.hypot(3.75, 0.1), abs=0.05)


@pytest.mark.parametrize(
    ("reports", "impressions", "reason"),
    [
        ([0, 1, 2], [9, 9, 9], "treatment has 3 reports, must have 10 or more"),
        ([0, 0, 0], [0, 0, 0], "treatment has no impressions"),
        ([20], [9], "treatment has 1 users, must have 2 or more"),
        ([6, 6, 6], [60, 60, 60], "all users are alike so far"),
    ],
)
def test_what_cannot_be_measured_says_why(reports: list[float], impressions: list[float], reason: str) -> None:
    def arm(reports: list[float], impressions: list[float]) -> dict[str, list[float]]:
        return {"reports": reports, "impressions": impressions, "pre_reports": reports, "pre_impressions": impressions}

    control = aggregates(arm([5, 5, 5], [90, 90, 90]))
    treatment = aggregates(arm(reports, impressions))
    found = estimate(REPORT_RATE, control, treatment, variant="treatment", part="search")
    assert found == Unmeasured(MetricName.REPORT_RATE, "treatment", "search", reason)


def test_benjamini_hochberg_and_holm_by_hand() -> None:
    # Sorted: 0.005, 0.01, 0.03, 0.04. BH: 0.005 * 4, 0.01 * 4/2, 0.03 * 4/3, 0.04; Holm: 4, 3, 2, 1 times, rising.
    p_values = [0.03, 0.005, 0.04, 0.01]
    assert adjusted(p_values, "fdr") == pytest.approx((0.04, 0.02, 0.04, 0.02))
    assert adjusted(p_values, "fwer") == pytest.approx((0.06, 0.02, 0.06, 0.03))
    assert adjusted([], "fdr") == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_never_milder_than_benjamini_hochberg_nor_than_the_p_value(p_values: list[float]) -> None:
    for p, fdr, fwer in zip(p_values, adjusted(p_values, "fdr"), adjusted(p_values, "fwer"), strict=True):
        assert p - 1e-12 <= fdr <= fwer + 1e-12 <= 1 + 2e-12


def test_cochrans_q_by_hand() -> None:
    # Log ratios 0, 0.1, 0.2 with standard error 0.1: weights 100, mean 0.1, Q = 100 (0.01 + 0 + 0.01) = 2, 2 degrees
    # of freedom: p = exp(-1).
    found = cochran_q([estimated(math.expm1(y), 0.1) for y in (0.0, 0.1, 0.2)])
    assert found is not None
    assert found.q == pytest.approx(2.0)
    assert found.degrees_of_freedom == 2
    assert found.p_value == pytest.approx(math.exp(-1))
    # Twice as sure of the first: weights 400, 100, 100, mean 0.05, Q = 400/400 + 100/400 + 100 * 0.0225 = 3.5.
    uneven = cochran_q([estimated(math.expm1(y), se) for y, se in ((0.0, 0.05), (0.1, 0.1), (0.2, 0.1))])
    assert uneven is not None
    assert uneven.q == pytest.approx(3.5)
    assert cochran_q([estimated(0.1, 0.1)]) is None


@pytest.mark.parametrize(
    ("relative", "state"),
    [(0.0, GuardrailState.HELD), (-0.02, GuardrailState.UNPROVEN), (-0.05, GuardrailState.FAILED)],
)
def test_usage_time_may_fall_by_two_percent_and_no_more(relative: float, state: GuardrailState) -> None:
    estimate = estimated(relative, 0.01, metric=MetricName.USAGE_TIME_TOTAL)
    found = judge_guardrail(estimate, 0.02, alpha=0.05)
    assert found.state is state
    assert math.log1p(found.bound) == pytest.approx(math.log1p(relative) - 1.6448536 * 0.01)


def test_a_report_rate_is_worse_upwards() -> None:
    found = judge_guardrail(estimated(0.05, 0.01), 0.02, alpha=0.05)
    assert found.state is GuardrailState.FAILED
    assert found.bound > 0.05
    at_the_margin = judge_guardrail(estimated(0.02, 0.01), 0.02, alpha=0.05)
    assert at_the_margin.p_value == pytest.approx(0.5)


def test_a_margin_of_everything_always_holds() -> None:
    found = judge_guardrail(estimated(-0.9, 0.5, metric=MetricName.ACTIVE_DAYS), 1.0, alpha=0.05)
    assert (found.state, found.p_value) == (GuardrailState.HELD, 0.0)
