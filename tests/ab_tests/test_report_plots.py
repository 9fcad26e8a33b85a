"""Where marks lie, worked by hand: on a scale from -4% to +4%, 0 is in the middle and 1% is 11 percent of the width."""

import math
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ab_tests.report import daily, plots
from ab_tests.report.reading import Tone
from ab_tests.report.scale import Scale, scale_over
from ab_tests.results import ArmCount, Interval, Look, Power, Sequence
from contracts.experiments import MetricName
from tests.ab_tests.analyses import estimate_of
from tests.ab_tests.html_tree import Node, tree_of

SCALE = Scale(-0.04, 0.04)
FOUND = replace(
    estimate_of(MetricName.ACTIVE_DAYS, "treatment", 7.8, 0.018, 0.007), relative_interval=Interval(0.004, 0.032)
)


def places(node: Node) -> list[float]:
    return [float(node.attributes[name].rstrip("%")) for name in ("x1", "x2")]


def test_an_interval_lies_where_its_ends_are() -> None:
    """0.4% lies at 50 + 4.4, 3.2% at 50 + 35.2, 1.8% at 50 + 19.8 percent of the width."""
    plot = tree_of(plots.effect(SCALE, FOUND, Tone.BETTER))
    assert places(plot.one("line", "interval")) == [54.4, 85.2]
    marker = plot.one("path", "marker")
    assert "better" in marker.classes
    assert [node.attributes["x"] for node in plot.all("svg") if marker in node.children] == ["69.80%"]
    assert places(plot.one("line", "zero")) == [50.0, 50.0]
    caps = plot.all("path", "cap")
    assert [node.attributes["x"] for node in plot.all("svg") if any(cap in node.children for cap in caps)] == [
        "54.40%",
        "85.20%",
    ]


def test_margin_and_smallest_effect_are_marked() -> None:
    """A margin of -1% lies at 39, all that is worse to its left; ±2% are 28 and 72."""
    plot = tree_of(plots.effect(SCALE, FOUND, Tone.BETTER, margin=-0.01, smallest_effect=0.02))
    beyond, zone = plot.one("rect", "beyond"), plot.one("rect", "zone")
    assert (beyond.attributes["x"], beyond.attributes["width"]) == ("0.00%", "39.00%")
    assert places(plot.one("line", "margin")) == [39.0, 39.0]
    assert (zone.attributes["x"], zone.attributes["width"]) == ("28.00%", "44.00%")
    worse_is_up = tree_of(plots.effect(SCALE, FOUND, Tone.BETTER, margin=0.01)).one("rect", "beyond")
    assert (worse_is_up.attributes["x"], worse_is_up.attributes["width"]) == ("61.00%", "39.00%")


def test_a_band_that_leaves_the_plot_ends_in_arrows() -> None:
    plot = tree_of(plots.effect(SCALE, FOUND, Tone.UNCLEAR, band=Interval(-0.5, math.inf)))
    assert places(plot.one("line", "band")) == [3.0, 97.0]
    assert len(plot.all("path", "arrow")) == 2


def test_what_has_no_effect_has_no_mark() -> None:
    lost = replace(FOUND, relative=math.nan, relative_interval=Interval(math.nan, math.nan))
    for found in (None, lost):
        plot = tree_of(plots.effect(SCALE, found, Tone.UNMEASURED, margin=-0.01))
        assert not plot.all("path", "marker")
        assert not plot.all("line", "interval")
        assert plot.all("line", "margin")


def test_each_tone_has_a_shape_of_its_own() -> None:
    shapes = {
        tone: tree_of(plots.effect(SCALE, FOUND, tone)).one("path", "marker").attributes["d"]
        for tone in (Tone.BETTER, Tone.WORSE, Tone.UNCLEAR)
    }
    assert len(set(shapes.values())) == 3


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (-0.04, 0.04, (-0.04, -0.02, 0.0, 0.02, 0.04)),
        (-0.33, 0.48, (-0.2, 0.0, 0.2, 0.4)),
        (-0.0011, 0.0009, (-0.001, -0.0005, 0.0, 0.0005)),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert Scale(low, high).ticks(4) == pytest.approx(ticks)


def test_tick_labels_have_the_decimals_that_their_step_needs() -> None:
    assert [node.text for node in tree_of(plots.axis(Scale(-0.011, 0.009))).all("text")] == [
        "−1.0%",
        "−0.5%",
        "0.0%",
        "+0.5%",
    ]


@given(st.lists(st.floats(-5.0, 5.0), max_size=8))
def test_a_scale_holds_every_value_and_nothing(values: list[float]) -> None:
    scale = scale_over(values)
    assert scale.holds(0.0)
    assert all(scale.holds(value) and 6.0 <= scale.place(value) <= 94.0 for value in values)
    assert 1 <= len(scale.ticks()) <= 12


def look(number: int, relative: float, band: Interval) -> Look:
    fixed = Interval(relative - 0.01, relative + 0.01)
    return Look(number, date(2026, 11, number), 1_000 * number, relative, 1.0, fixed, 2.0, band)


def sequence(*looks: Look, planned: int = 4) -> Sequence:
    return Sequence(MetricName.REPORT_RATE, "treatment", planned, 0.05, "a method", looks)


LOOKS = sequence(
    look(1, -0.02, Interval(-0.5, 0.9)),
    look(2, -0.03, Interval(-0.06, -0.002)),
    look(3, -0.03, Interval(-0.05, -0.01)),
)


def test_every_look_has_a_point_at_its_day() -> None:
    """Four planned days lie at 3, 32.33, 61.67 and 91 percent."""
    drawn = daily.draw(LOOKS, Tone.BETTER, smallest_effect=0.02)
    plot = tree_of(drawn.plot)
    assert [point.attributes["cx"] for point in plot.all("circle", "look")] == ["3.00%", "32.33%", "61.67%"]
    assert ["crossed" in point.classes for point in plot.all("circle", "look")] == [False, True, True]
    assert places(plot.one("line", "crossing")) == [32.33, 32.33]
    assert places(plot.one("line", "planned")) == [91.0, 91.0]
    assert places(plot.one("line", "fixed")) == [66.67, 66.67]
    assert [label.text for label in tree_of(drawn.days).all("text")] == ["1", "2", "3", "4"]


def test_a_wild_first_band_does_not_flatten_the_others() -> None:
    scale = daily.scale_of_looks(LOOKS, 0.02, None)
    assert scale.low > -0.2
    assert scale.high < 0.2
    area = tree_of(daily.draw(LOOKS, Tone.BETTER).plot).one("polygon").attributes["points"].split()
    assert len(area) == 2 * 3
    assert float(area[0].split(",")[1]) < 0.0, "the first band goes on above the plot"


@pytest.mark.parametrize("planned", [1, 4, 30])
def test_one_look_alone_can_be_drawn(planned: int) -> None:
    drawn = daily.draw(sequence(look(1, 0.01, Interval(-math.inf, math.inf)), planned=planned), Tone.UNCLEAR)
    assert len(tree_of(drawn.plot).all("circle", "look")) == 1
    assert "inf" not in drawn.plot
    assert "nan" not in drawn.plot


def test_chance_leaves_half_of_ten_thousand_users_within_1645_of_a_share() -> None:
    """z of 0.1% is 3.2905; half of 1 / sqrt(10,000) is 0.005."""
    assert plots.chance_range(0.5, 10_000, 0.001) == pytest.approx((0.5 - 0.016453, 0.5 + 0.016453), abs=1e-6)


@pytest.mark.parametrize(("users", "tone"), [(5_100, "not-clear"), (5_200, "worse")])
def test_an_arm_outside_of_chance_is_marked(users: int, tone: str) -> None:
    arm = ArmCount("treatment", 0.5, users)
    scale = plots.scale_of_share(arm, 10_000, 0.001)
    assert tone in tree_of(plots.arm_share(scale, arm, 10_000, 0.001)).one("path", "marker").classes


def test_nobody_at_all_can_be_drawn() -> None:
    arm = ArmCount("treatment", 0.5, 0)
    assert "nan" not in plots.arm_share(plots.scale_of_share(arm, 0, 0.001), arm, 0, 0.001)


@pytest.mark.parametrize(("detectable", "kind"), [(0.04, "filled"), (0.06, "hollow")])
def test_power_that_does_not_reach_is_hollow(detectable: float, kind: str) -> None:
    power = Power(MetricName.REPORT_RATE, "treatment", 0.05, 0.8, 0.5, detectable, 100, 200, 3, 3, 1.0)
    plot = tree_of(plots.detectable(plots.scale_of_power([power]), power))
    assert plot.one("rect").classes == {kind}
