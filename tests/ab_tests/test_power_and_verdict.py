"""How many users and days it takes, by hand; and the sentence that an analyst reads."""

from datetime import date, timedelta

import pytest

from ab_tests.inference.power import Grown, growth_of, more_days, power_of
from ab_tests.inference.sequences import Looked, follow
from ab_tests.metrics import METRICS
from ab_tests.results import GuardrailResult, GuardrailState, Outcome, Power, Sequence
from ab_tests.verdict import judge_arm, percent, share
from contracts.experiments import MetricName
from tests.ab_tests.aggregates import aggregates, estimated
from tests.ab_tests.samples import experiment

START = date(2026, 11, 1)
EXPERIMENT = experiment()


def power(*, more: int | None = 9) -> Power:
    return Power(MetricName.REPORT_RATE, "treatment", 0.05, 0.8, 0.4, 0.08, 1_000, 2_500, 14, more, 0.8)


def final(relative: float, se: float) -> Sequence:
    looked = [Looked(14, START + timedelta(days=13), estimated(relative, se))]
    return follow(looked, planned_looks=14, alpha=0.05)


def test_users_needed_by_hand() -> None:
    # Mean 1, variance 1: to find 10% with power 80%, n per arm = 2 (1.96 + 0.8416)^2 / 0.1^2 = 1569.8.
    rows = {"active_days": [0.0, 1.0, 2.0] * 300, "pre_active_days": [0.0] * 900}
    arm = aggregates(rows)
    variance = 2 / 3 * 900 / 899
    found = power_of(
        METRICS[MetricName.ACTIVE_DAYS],
        arm,
        arm,
        [Grown(7, 1.0)],
        variant="t",
        smallest_effect=0.1,
        alpha=0.05,
        power=0.8,
    )
    assert found.users == 1_800
    assert found.users_needed == pytest.approx(2 * 1569.8 * variance, rel=1e-3)
    assert found.detectable == pytest.approx(2.8016 * (4 * variance / 1_800) ** 0.5, rel=1e-3)
    assert found.more_days == more_days(7, needed=found.users_needed / 1_800, growth=1.0)


def test_days_by_hand() -> None:
    assert more_days(14, needed=0.9, growth=1.0) == 0
    assert more_days(14, needed=2.0, growth=1.0) == 14
    assert more_days(14, needed=2.0, growth=0.5) == 42
    assert more_days(14, needed=1.01, growth=0.0) is None
    assert more_days(14, needed=100.0, growth=1.0) is None


@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0, 1.7])
def test_growth_is_the_exponent_of_the_days(exponent: float) -> None:
    assert growth_of([Grown(day, 5.0 * day**exponent) for day in range(1, 15)]) == pytest.approx(exponent)


def test_two_days_say_nothing_of_growth() -> None:
    assert growth_of([Grown(1, 1.0), Grown(2, 8.0)]) == 1.0


@pytest.mark.parametrize(
    ("relative", "se", "outcome"),
    [
        (-0.2, 0.05, Outcome.BETTER),
        (0.2, 0.05, Outcome.WORSE),
        (0.01, 0.01, Outcome.NO_DIFFERENCE),
        (0.03, 0.03, Outcome.NOT_ENOUGH),
    ],
)
def test_the_four_outcomes_of_a_report_rate(relative: float, se: float, outcome: Outcome) -> None:
    verdict = judge_arm(EXPERIMENT, final(relative, se), power(), [])
    assert verdict.outcome is outcome
    assert outcome.value in verdict.sentence
    assert (verdict.more_days == 9) is (outcome is Outcome.NOT_ENOUGH)


def test_more_active_days_are_better() -> None:
    looked = [Looked(14, START, estimated(0.2, 0.05, metric=MetricName.ACTIVE_DAYS))]
    sequence = follow(looked, planned_looks=14, alpha=0.05)
    assert judge_arm(EXPERIMENT, sequence, power(), []).outcome is Outcome.BETTER


def test_the_sentences() -> None:
    said = [
        judge_arm(EXPERIMENT, final(relative, se), power(), []).sentence
        for relative, se in ((0.03, 0.03), (-0.02, 0.005))
    ]
    assert said[0] == (
        "treatment: not enough users to see a change of 5%: report rate +3.0% (-3.0% to +9.4%); "
        "about 9 more days at this growth, 9 beyond the plan."
    )
    assert said[1] == ("treatment is better: report rate -2.0% (-3.0% to -1.0%), less than the 5% that would matter.")
    never = judge_arm(EXPERIMENT, final(0.03, 0.03), power(more=None), [])
    assert "at this growth a year more would not be enough" in never.sentence


def test_a_difference_that_was_seen_and_is_gone_is_told() -> None:
    seen = [(10, -0.2, 0.05), (14, -0.02, 0.04)]
    looked = [Looked(n, START + timedelta(days=n - 1), estimated(relative, se)) for n, relative, se in seen]
    said = judge_arm(EXPERIMENT, follow(looked, planned_looks=14, alpha=0.05), power(more=0), []).sentence
    assert "not enough users to see a change of 5%" in said
    assert "on 2026-11-10 it was clear of 0 (-" in said


def test_a_failed_guardrail_stands_beside_the_gain() -> None:
    failed = GuardrailResult(MetricName.USAGE_TIME_TOTAL, "treatment", 0.01, -0.04, -0.05, 0.999, GuardrailState.FAILED)
    said = judge_arm(EXPERIMENT, final(-0.2, 0.05), power(), [failed]).sentence
    assert said.endswith("; but guardrail total usage time within 1% failed (-4.0%).")


def test_small_effects_keep_their_places() -> None:
    assert percent(0.00033) == "+0.03%"
    assert percent(-0.243) == "-24.3%"
    assert share(0.05) == "5%"
    assert share(0.005) == "0.50%"
