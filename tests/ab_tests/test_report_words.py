"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_tests.report import words
from ab_tests.results import Interval


@pytest.mark.parametrize(
    ("relative", "low", "high", "said"),
    [
        (0.018, 0.004, 0.032, "+1.8% [+0.4%, +3.2%]"),
        (-0.243, -0.271, -0.214, "−24.3% [−27.1%, −21.4%]"),
        (0.00028, -0.00012, 0.00068, "+0.028% [−0.012%, +0.068%]"),
        (-0.24, -0.36, -0.12, "−24% [−36%, −12%]"),
        (0.00004, -0.004, 0.004, "0.00% [−0.40%, +0.40%]"),
        (0.0424, 0.0002, 0.0858, "+4.24% [+0.02%, +8.58%]"),
        (0.0424, 0.0000001, 0.0858, "+4.2% [0.0%, +8.6%]"),
        (0.0424, 0.0, 0.0858, "+4.2% [0.0%, +8.6%]"),
        (12.0, 2.0, 22.0, "+1,200% [+200%, +2,200%]"),
    ],
)
def test_an_effect_has_two_significant_digits_of_half_its_interval(
    relative: float, low: float, high: float, said: str
) -> None:
    assert words.effect(relative, Interval(low, high)) == said


def test_what_is_no_number_is_said_not_to_be_known() -> None:
    assert words.effect(math.nan, Interval(-1.0, 1.0)) == "not known"
    assert words.effect(0.01, Interval(math.nan, math.nan)) == "+1.0% not known"
    assert words.percent(math.inf) == "not known"
    assert words.p_of(math.nan) == "not known"
    assert words.power(math.nan) == "not known"
    assert words.Unit("days per user", math.nan).value(math.nan) == "not known"


def test_an_end_at_infinity_has_its_sign() -> None:
    assert words.effect(0.01, Interval(-math.inf, math.inf)) == "+1.0% [−∞, +∞]"


@pytest.mark.parametrize(
    ("p_value", "said"),
    [(0.0123, "p 0.012"), (0.413, "p 0.41"), (0.0004, "p < 0.001"), (0.001, "p 0.001"), (0.995, "p > 0.99")],
)
def test_a_p_value_is_never_said_to_be_0_or_1(p_value: float, said: str) -> None:
    assert words.p_said(p_value) == said


def test_a_small_rate_is_told_by_the_thousand_and_a_share_in_percent() -> None:
    rate = words.Unit("reports per impression", 0.00412)
    assert (rate.value(0.00412), rate.name) == ("4.120", "reports per 1,000 impressions")
    assert rate.difference(-0.00098, Interval(-0.00111, -0.00085)) == "−0.98 [−1.11, −0.85]"
    share = words.Unit("share of users", 0.713)
    assert share.value(0.713) == "71.30%"
    assert share.difference(0.0037, Interval(-0.0004, 0.0078)) == "+0.37 [−0.04, +0.78] points"
    seconds = words.Unit("seconds per user", 18_910.0)
    assert (seconds.value(18_910.0), seconds.name) == ("18,910", "seconds per user")


def test_power_is_never_a_certainty() -> None:
    assert [words.power(value) for value in (0.8, 0.994, 1.0)] == ["80%", ">99%", ">99%"]


def test_an_interval_narrower_by_half_is_worth_four_times_the_users() -> None:
    assert words.narrowed(0.5) == "50.0% narrower, worth 4.00 times the users"
    assert words.narrowed(0.0) == "nothing"
    assert words.narrowed(math.nan) == "not known"


def test_minus_signs_are_set_before_percentages_alone() -> None:
    sentence = "arm-2 is worse: report rate -1.5% (-3.0% to -0.1%), see 2026-11-14."
    assert words.typeset(sentence) == "arm-2 is worse: report rate −1.5% (−3.0% to −0.1%), see 2026-11-14."


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(allow_nan=True, allow_infinity=True),
)
def test_any_effect_can_be_said(relative: float, low: float, high: float) -> None:
    said = words.effect(relative, Interval(low, high))
    assert "nan" not in said
    assert "inf" not in said
