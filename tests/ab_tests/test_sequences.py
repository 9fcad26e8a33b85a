"""Boundaries against published values and a simulated Brownian motion; the band within and beyond the plan."""

import math
from datetime import date, timedelta
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_tests.inference.boundaries import critical_values, spent
from ab_tests.inference.sequences import Looked, anytime_critical, follow
from ab_tests.results import Sequence
from tests.ab_tests.aggregates import estimated

START = date(2026, 11, 2)


def evenly(looks: int) -> list[float]:
    return [k / looks for k in range(1, looks + 1)]


@pytest.mark.parametrize(
    ("looks", "published"),
    [
        (1, [1.960]),
        (2, [2.963, 1.969]),
        (3, [3.710, 2.511, 1.993]),
        (4, [4.333, 2.963, 2.359, 2.014]),
        (5, [4.877, 3.357, 2.680, 2.290, 2.031]),
    ],
)
def test_equal_looks_give_the_published_values_of_the_obrien_fleming_spending(
    looks: int, published: list[float]
) -> None:
    found = critical_values(evenly(looks), evenly(looks), alpha=0.05)
    assert found == pytest.approx(published, abs=1e-3)


def test_all_of_alpha_is_spent_at_the_end_and_little_before() -> None:
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    assert spent(0.5, 0.05) == pytest.approx(0.00305, abs=1e-5)  # published for half of the plan
    assert spent(0.0, 0.05) == 0.0
    assert spent(2.0, 0.05) == pytest.approx(0.05)


def test_a_brownian_motion_crosses_as_often_as_alpha_says() -> None:
    # Information that comes early, as when most users are met on the first days: looks depend on each other more.
    information = np.array([10.0, 16, 20, 23, 25, 27, 28, 29, 30, 30.5, 31, 31.4, 31.7, 32])
    critical = critical_values(list(information), evenly(14), alpha=0.05)
    rng = np.random.default_rng(8)
    steps = rng.normal(size=(200_000, 14)) * np.sqrt(np.diff(information, prepend=0.0))
    z = steps.cumsum(axis=1) / np.sqrt(information)
    assert (np.abs(z) > critical).any(axis=1).mean() == pytest.approx(0.05, abs=0.002)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=14))
def test_information_that_stands_still_or_falls_does_not_break_the_boundary(information: list[float]) -> None:
    found = critical_values(information, evenly(len(information)), alpha=0.05)
    assert len(found) == len(information)
    assert all(1.9 < value <= 8.0 for value in found)


def test_a_skipped_day_leaves_its_share_to_the_next() -> None:
    every_day = critical_values([1, 2, 3, 4], evenly(4), alpha=0.05)
    without_the_second = critical_values([1, 3, 4], [0.25, 0.75, 1.0], alpha=0.05)
    assert without_the_second[1] < every_day[2]


def test_the_anytime_band_is_the_papers_formula_and_narrowest_at_the_plan() -> None:
    # x = rho^2 * information is where x = 2 log(1 / alpha) + log(1 + x): for alpha = 0.05 it is 8.27.
    x = 8.27
    assert x == pytest.approx(2 * math.log(20) + math.log(1 + x), abs=0.06)
    expected = math.sqrt((x + 1) / x * math.log((x + 1) / 0.0025))
    assert anytime_critical(700.0, planned=700.0, alpha=0.05) == pytest.approx(expected, abs=1e-3)
    at_plan = anytime_critical(1.0, planned=1.0, alpha=0.05)
    assert at_plan <= min(anytime_critical(1.0, planned=other, alpha=0.05) for other in (0.5, 0.8, 1.25, 2.0))


def test_the_anytime_band_is_crossed_rarely_however_often_one_looks() -> None:
    rng = np.random.default_rng(9)
    walks = rng.normal(size=(4_000, 1_000)).cumsum(axis=1)
    time = np.arange(1, 1_001)
    critical = np.array([anytime_critical(t, planned=200.0, alpha=0.05) for t in time.tolist()])
    crossed = (np.abs(walks) / np.sqrt(time) > critical).any(axis=1).mean()
    assert 0.0 < crossed < 0.05


def looks_of(relatives: list[float], *, planned: int, se_first: float = 0.1) -> Sequence:
    looked = [
        Looked(k, START + timedelta(days=k - 1), estimated(relative, se_first / math.sqrt(k)))
        for k, relative in enumerate(relatives, start=1)
    ]
    return follow(looked, planned_looks=planned, alpha=0.05)


def test_the_band_is_wide_early_and_nearly_the_fixed_interval_at_the_end() -> None:
    sequence = looks_of([0.0] * 14, planned=14)
    widths = [look.band.width for look in sequence.looks]
    assert all(later < earlier for earlier, later in pairwise(widths))
    last = sequence.looks[-1]
    assert 1.0 < last.band.width / last.fixed_interval.width < 1.12
    assert sequence.first_crossing is None


def test_a_large_effect_is_found_before_the_end_and_the_day_is_kept() -> None:
    sequence = looks_of([0.2] * 14, planned=14)
    first = sequence.first_crossing
    assert first is not None
    assert 1 < first.number < 10
    assert first.day == START + timedelta(days=first.number - 1)
    assert first.band.low > 0


def test_beyond_the_plan_the_anytime_band_takes_over_and_is_wider() -> None:
    sequence = looks_of([0.0] * 16, planned=14)
    at_end, after = sequence.looks[13], sequence.looks[14]
    assert at_end.critical < 2.2
    assert after.critical == pytest.approx(
        anytime_critical(after.information, planned=at_end.information, alpha=0.005), rel=1e-9
    )
    assert after.critical > 3.7


def test_looks_that_teach_nothing_new_still_spend_what_their_day_allows() -> None:
    # All four looks know the same. The last may spend spent(1) - spent(3/4) = 0.05 - 0.0236 by itself at z = 2.22;
    # carrying the first day's 4.38 on to the end, the plan's whole alpha would never be used.
    found = critical_values([1.0] * 4, evenly(4), alpha=0.05)
    shares = [spent(k / 4, 0.05) - spent((k - 1) / 4, 0.05) for k in range(1, 5)]
    assert found == pytest.approx([-NormalDist().inv_cdf(share / 2) for share in shares], abs=1e-6)
    assert sum(2 * NormalDist().cdf(-z) for z in found) == pytest.approx(0.05)
