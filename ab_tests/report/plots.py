"""Estimates, shares and power in, drawings of them out, each one row of a table with a common axis."""

from collections.abc import Sequence
from math import isfinite, isnan, sqrt
from statistics import NormalDist

from markupsafe import Markup

from ab_tests.report.reading import Row, Tone
from ab_tests.report.scale import Scale, scale_over
from ab_tests.report.svg import arrow, at, cap, drawing, element, marker, tone_class, upright
from ab_tests.report.words import percent, signed_percent
from ab_tests.results import ArmCount, Estimate, Interval, Power


def scale_of_rows(rows: Sequence[Row], smallest_effect: float | None) -> Scale:
    """A scale for `rows`: intervals, margins and the smallest effect that matters; bands as far as twice that."""
    ends = [end for row in rows if row.estimate for end in ends_of(row.estimate.relative_interval)]
    marks = [row.margin for row in rows if row.margin is not None]
    zone = [smallest_effect, -smallest_effect] if smallest_effect else []
    core = [*ends, *marks, *zone]
    reach = max((abs(value) for value in core if isfinite(value)), default=0.0)
    bands = [end for row in rows if row.band for end in ends_of(row.band)]
    return scale_over([*core, *(min(max(end, -1.5 * reach), 1.5 * reach) for end in bands)])


def scale_of_estimates(estimates: Sequence[Estimate]) -> Scale:
    return scale_over([end for estimate in estimates for end in ends_of(estimate.relative_interval)])


def axis(scale: Scale, *, signed: bool = True) -> Markup:
    """The labels of a scale's ticks, each above its grid line."""
    places = places_of_ticks(scale.step(4))
    labels = (
        element(
            "text",
            signed_percent(tick, places) if signed else percent(tick, places),
            x=at(scale.place(tick)),
            y="70%",
            class_="tick",
        )
        for tick in scale.ticks(4)
    )
    return drawing(*labels, class_="axis")


def effect(
    scale: Scale,
    found: Estimate | None,
    tone: Tone,
    *,
    band: Interval | None = None,
    margin: float | None = None,
    smallest_effect: float | None = None,
) -> Markup:
    """One row of a forest plot: interval and estimate, over the band, the margin and the zone of what is too small."""
    parts = []
    if smallest_effect is not None:
        parts += _zone(scale, smallest_effect)
    if margin is not None:
        parts += _beyond(scale, margin)
    parts += [upright(scale.place(tick), "zero" if tick == 0.0 else "grid") for tick in scale.ticks(4)]
    if found is not None and isfinite(found.relative):
        if band is not None:
            parts += _span(scale, band, "band", tone)
        parts += _span(scale, found.relative_interval, "interval", tone)
        parts.append(marker(scale.clipped(found.relative), 50.0, tone))
    return drawing(*parts, class_="effect")


def _span(scale: Scale, interval: Interval, class_: str, tone: Tone) -> list[Markup]:
    if isnan(interval.low) or isnan(interval.high):
        return []
    low, high = scale.clipped(interval.low), scale.clipped(interval.high)
    line = element("line", x1=at(low), x2=at(high), y1="50%", y2="50%", class_=f"{class_} {tone_class(tone)}")
    ends = ((interval.low, low, True), (interval.high, high, False))
    open_ends = [arrow(place, 50.0, left=left, tone=tone) for end, place, left in ends if not scale.holds(end)]
    closed = [cap(place, 50.0, tone, upright=True) for end, place, _ in ends if scale.holds(end)]
    return [line, *open_ends, *(closed if class_ == "interval" else ())]


def _zone(scale: Scale, smallest_effect: float) -> list[Markup]:
    low, high = scale.clipped(-smallest_effect), scale.clipped(smallest_effect)
    return [
        element("rect", x=at(low), width=at(high - low), y="0%", height="100%", class_="zone"),
        upright(low, "zone-edge"),
        upright(high, "zone-edge"),
    ]


def _beyond(scale: Scale, margin: float) -> list[Markup]:
    place = scale.clipped(margin)
    start, end = (place, 100.0) if margin > 0.0 else (0.0, place)
    return [
        element("rect", x=at(start), width=at(end - start), y="0%", height="100%", class_="beyond"),
        upright(place, "margin"),
    ]


def arm_share(scale: Scale, arm: ArmCount, users: int, threshold: float) -> Markup:
    """An arm's share of the users, over the range in which it lies but for one sound experiment in 1 / threshold."""
    low, high = chance_range(arm.share, users, threshold)
    observed = arm.users / users if users else arm.share
    tone = Tone.UNCLEAR if low <= observed <= high else Tone.WORSE
    left, right = scale.clipped(low), scale.clipped(high)
    return drawing(
        element("rect", x=at(left), width=at(right - left), y="20%", height="60%", rx=3, class_="chance"),
        upright(scale.clipped(arm.share), "zero"),
        marker(scale.clipped(observed), 50.0, tone),
        class_="effect",
    )


def chance_range(share: float, users: int, threshold: float) -> tuple[float, float]:
    """Where the share of an arm lies by chance alone, with probability 1 - `threshold` (normal approximation)."""
    if users == 0:
        return share, share
    reach = NormalDist().inv_cdf(1.0 - threshold / 2.0) * sqrt(share * (1.0 - share) / users)
    return share - reach, share + reach


def scale_of_share(arm: ArmCount, users: int, threshold: float) -> Scale:
    """A scale around the planned share, wide enough for chance and for what was seen."""
    _, high = chance_range(arm.share, users, threshold)
    observed = arm.users / users if users else arm.share
    reach = 1.3 * max(high - arm.share, abs(observed - arm.share), 1e-6)
    return Scale(arm.share - reach, arm.share + reach)


def bar(share: float) -> Markup:
    """A share of 1 as a filled part of a bar."""
    filled = min(max(share, 0.0), 1.0) if isfinite(share) else 0.0
    return drawing(
        element("rect", x="0%", width="100%", y="35%", height="30%", rx=3, class_="empty"),
        element("rect", x="0%", width=at(100.0 * filled), y="35%", height="30%", rx=3, class_="filled"),
        class_="effect",
    )


def scale_of_power(power: Sequence[Power]) -> Scale:
    """From 0 to what is detectable, at most three times what matters."""
    shown = [min(one.detectable, 3.0 * one.smallest_effect) for one in power if isfinite(one.detectable)]
    return Scale(0.0, 1.05 * max([*shown, *(one.smallest_effect for one in power)], default=1.0), 0.0)


def detectable(scale: Scale, power: Power) -> Markup:
    """What could be seen as a bar, against the line of what matters: hollow when it reaches beyond."""
    kind = "filled" if power.detectable <= power.smallest_effect else "hollow"
    parts = [upright(scale.place(tick), "grid") for tick in scale.ticks(4)]
    parts.append(
        element("rect", x="0%", width=at(scale.clipped(power.detectable)), y="35%", height="30%", rx=3, class_=kind)
    )
    return drawing(*parts, upright(scale.place(power.smallest_effect), "needed"), class_="effect")


def places_of_ticks(step: float) -> int:
    """Decimals of a percentage at which ticks `step` apart differ."""
    return max((places for places in range(4) if round(100.0 * step, places) != round(100.0 * step, 6)), default=-1) + 1


def ends_of(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high
