"""The short form of `python -m bench ab_validity`: fewer re-randomisations, each with its own, wider band."""

import pytest

from ab_tests.metrics import METRICS
from bench.ab_log import UserLog, make_log
from bench.ab_validity import ALPHA, LEAKS, LOOKS, alarms, band, coverage, daily_looks, detectable, false_positives
from contracts.experiments import MetricName

SHUFFLES = 120
USAGE = METRICS[MetricName.USAGE_TIME_TOTAL]
SOME = (METRICS[MetricName.REPORT_RATE], USAGE, METRICS[MetricName.RETENTION])


@pytest.fixture(scope="module")
def log() -> UserLog:
    return make_log(users=6_000, days=LOOKS, seed=31)


def test_the_band_is_the_exact_binomial() -> None:
    # Of 10 trials at 1/2, 0 or 10 come up with probability 2/1024: just outside of 99.9%... and inside of 99.8%.
    assert band(10, 0.5, level=0.999) == (0.0, 1.0)
    assert band(10, 0.5, level=0.99) == (0.1, 0.9)
    low, high = band(2_000, 0.05)
    assert (low, high) == (0.0345, 0.0665)


def test_without_an_effect_five_percent_are_found_with_cuped_and_without(log: UserLog) -> None:
    low, high = band(SHUFFLES, ALPHA)
    for name, rates in false_positives(log, SOME, n=SHUFFLES, seed=1).items():
        assert low <= rates["cuped"] <= high, name
        assert low <= rates["plain"] <= high, name
        assert rates["narrowing"] > 0.0, name


def test_a_known_effect_is_covered(log: UserLog) -> None:
    low, high = band(SHUFFLES, 1 - ALPHA)
    for name, rates in coverage(log, SOME, n=SHUFFLES, seed=2, effect=0.03).items():
        assert low <= rates["cuped"] <= high, name
        assert low <= rates["plain"] <= high, name


def test_daily_looks_raise_few_false_alarms_and_keep_most_detections(log: UserLog) -> None:
    n = 60
    without = daily_looks(log, USAGE, n=n, seed=3)
    assert without["band"] <= band(n, ALPHA)[1]
    assert without["band"] < without["naive"]
    with_it = daily_looks(log, USAGE, n=n, seed=4, effect=detectable(log, USAGE, seed=5))
    low, high = band(n, 0.8)
    assert low <= with_it["end"] <= high
    assert with_it["band"] >= 0.7 * with_it["end"]


def test_leaks_of_one_arm_alarm_and_those_of_both_do_not(log: UserLog) -> None:
    columns, exposed = log.through(LOOKS)
    seen = {leak: alarms(columns, exposed, leak, n=20, seed=6) for leak in LEAKS}
    assert seen["a tenth of one arm's users"]["sizes"] > 0.5
    assert seen["active users of one arm, as many idle ones of the other"]["sizes"] < 0.2
    assert seen["active users of one arm, as many idle ones of the other"]["any"] > 0.7
    unseen = ("none", "a tenth of both arms' users", "active users of both arms", "a tenth counted in the other arm")
    assert all(seen[leak]["any"] < 0.2 for leak in unseen)
