"""Shares over clusters by hand, and what a zero of few clusters is worth."""

import math

import pytest

from policy.benchmark.intervals import Interval, mean_of, over_clusters

Z2 = 1.959964**2


def test_clusters_of_one_give_wilsons_interval_by_hand() -> None:
    found = over_clusters([1, 1, 1, 0], [1, 1, 1, 1])
    # The clusters vary as a coin of 3/4 does, but for n - 1 in place of n: 4 askings are worth 3.
    middle, half = (0.75 + Z2 / 6) / (1 + Z2 / 3), math.sqrt(Z2 * (0.1875 / 3 + Z2 / 36)) / (1 + Z2 / 3)
    assert found.estimate == 0.75
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))


def test_none_of_sixty_askings_about_three_cases_is_no_better_known_than_none_of_three() -> None:
    found = over_clusters([0, 0, 0], [20, 20, 20])
    assert (found.estimate, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(Z2 / (3 + Z2))
    assert over_clusters([20, 20, 20], [20, 20, 20]).low == pytest.approx(3 / (3 + Z2))


def test_clusters_that_agree_within_are_worth_their_number_and_those_that_differ_within_are_worth_all() -> None:
    agree = over_clusters([10, 0, 10, 0], [10] * 4)
    differ = over_clusters([5, 5, 5, 5], [10] * 4)
    assert agree.high - agree.low > 2 * (differ.high - differ.low)
    assert differ.high == pytest.approx((0.5 + Z2 / 80 + math.sqrt(Z2 * (0.25 / 40 + Z2 / 6400))) / (1 + Z2 / 40))


def test_a_share_of_nothing_is_not_a_number() -> None:
    assert math.isnan(over_clusters([], []).estimate)
    assert math.isnan(over_clusters([0.0], [0]).estimate)


def test_the_mean_of_two_shares_has_the_root_of_the_summed_squares_by_hand() -> None:
    mean = mean_of([Interval(0.5, 0.2, 0.9), Interval(0.7, 0.3, 1.0)])
    assert mean.estimate == pytest.approx(0.6)
    assert (mean.low, mean.high) == pytest.approx((0.6 - 0.5 / 2, 0.6 + 0.5 / 2))
