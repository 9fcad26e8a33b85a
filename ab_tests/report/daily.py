"""The looks at one metric day by day in, a plot of them out: effects within their band, and the last look alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan

from markupsafe import Markup

from ab_tests.report.plots import ends_of, places_of_ticks
from ab_tests.report.reading import Tone
from ab_tests.report.scale import Scale, scale_over
from ab_tests.report.svg import at, cap, drawing, element, level, tone_class, upright
from ab_tests.report.words import signed_percent
from ab_tests.results import Look
from ab_tests.results import Sequence as Looks


@dataclass(frozen=True, slots=True)
class DailyPlot:
    """A plot of looks in three drawings, so that a page can lay labels beside and below it."""

    values: Markup
    plot: Markup
    days: Markup


def draw(
    sequence: Looks, tone: Tone, *, smallest_effect: float | None = None, margin: float | None = None, about: int = 5
) -> DailyPlot:
    """The cumulative effect of every look within its band, and the last look's fixed interval to its right."""
    across, upwards = scale_of_days(sequence), scale_of_looks(sequence, smallest_effect, margin)
    looks, last = sequence.looks, sequence.looks[-1]
    first = sequence.first_crossing
    crossing = across.place(first.number) if first else None
    parts = [*_lines(upwards, smallest_effect, margin, about), _band(looks, across, upwards, tone)]
    if last.number != sequence.planned_looks:
        parts.append(upright(across.place(sequence.planned_looks), "planned"))
    if crossing is not None:
        parts.append(upright(crossing, f"crossing {tone_class(tone)}"))
    parts += [
        element(
            "circle",
            cx=at(across.place(look.number)),
            cy=at(upwards.clipped(look.relative)),
            r=4 if look.crossed else 3,
            class_=f"look {tone_class(tone)}{' crossed' if look.crossed else ''}",
        )
        for look in looks
    ]
    parts += _fixed(across.place(last.number) + 5.0, last, upwards, tone)
    ticks = upwards.ticks(about)
    places = places_of_ticks(upwards.step(about))
    values = (
        element("text", signed_percent(tick, places), x="100%", y=at(upwards.place(tick)), class_="tick value")
        for tick in ticks
    )
    days = (
        element("text", str(number), x=at(across.place(number)), y="70%", class_="tick")
        for number in _numbers(round(across.high))
    )
    return DailyPlot(drawing(*values, class_="values"), drawing(*parts, class_="daily"), drawing(*days, class_="days"))


def scale_of_days(sequence: Looks) -> Scale:
    """Days of the plan from left to right, with room at the right for the fixed interval."""
    last = max(sequence.planned_looks, sequence.looks[-1].number, 2)
    return Scale(1.0, float(last), 3.0, 91.0)


def scale_of_looks(sequence: Looks, smallest_effect: float | None, margin: float | None) -> Scale:
    """Effects from bottom to top: the last band and what it is held against; earlier bands as far as is readable."""
    last = sequence.looks[-1]
    marks = [smallest_effect, -smallest_effect] if smallest_effect else []
    core = [
        value
        for value in (*ends_of(last.band), *ends_of(last.fixed_interval), 0.0, *marks, *([margin] if margin else ()))
        if isfinite(value)
    ]
    low, high = min(core), max(core)
    room = 0.7 * (high - low)
    wild = [v for look in sequence.looks for v in (look.relative, *ends_of(look.band)) if isfinite(v)]
    found = scale_over([max(min(wild, default=0.0), low - room), low, high, min(max(wild, default=0.0), high + room)])
    return Scale(found.low, found.high, 97.0, 3.0)


def _lines(scale: Scale, smallest_effect: float | None, margin: float | None, about: int) -> list[Markup]:
    parts = []
    if smallest_effect is not None:
        top, bottom = scale.clipped(smallest_effect), scale.clipped(-smallest_effect)
        parts += [
            element("rect", x="0%", width="100%", y=at(top), height=at(bottom - top), class_="zone"),
            level(top, "zone-edge"),
            level(bottom, "zone-edge"),
        ]
    if margin is not None:
        place = scale.clipped(margin)
        top, bottom = (0.0, place) if margin > 0.0 else (place, 100.0)
        parts += [
            element("rect", x="0%", width="100%", y=at(top), height=at(bottom - top), class_="beyond"),
            level(place, "margin"),
        ]
    return parts + [level(scale.place(tick), "zero" if tick == 0.0 else "grid") for tick in scale.ticks(about)]


def _band(looks: Sequence[Look], across: Scale, upwards: Scale, tone: Tone) -> Markup:
    """The band as an area and the effects as a line, in a box that is stretched over the plot."""
    xs = [across.place(look.number) for look in looks]
    highs = [(x, _far(upwards, look.band.high)) for x, look in zip(xs, looks, strict=True)]
    lows = [(x, _far(upwards, look.band.low)) for x, look in zip(xs, looks, strict=True)]
    middle = [(x, upwards.clipped(look.relative)) for x, look in zip(xs, looks, strict=True)]
    if len(looks) == 1:  # a day alone has no area: a bar around it
        highs, lows = ([(x + dx, y) for x, y in ends for dx in (-1.0, 1.0)] for ends in (highs, lows))
    kind = tone_class(tone)
    return element(
        "svg",
        element("polygon", points=_points([*highs, *reversed(lows)]), class_=f"area {kind}"),
        element("polyline", points=_points(highs), class_=f"rim {kind}"),
        element("polyline", points=_points(lows), class_=f"rim {kind}"),
        element("polyline", points=_points(middle), class_=f"path {kind}"),
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
        width="100%",
        height="100%",
    )


def _fixed(x: float, last: Look, upwards: Scale, tone: Tone) -> list[Markup]:
    high, low = upwards.clipped(last.fixed_interval.high), upwards.clipped(last.fixed_interval.low)
    line = element("line", x1=at(x), x2=at(x), y1=at(high), y2=at(low), class_=f"fixed {tone_class(tone)}")
    places = (high, low, upwards.clipped(last.relative))
    return [line, *(cap(x, y, tone, upright=False) for y in places)]


def _far(scale: Scale, value: float) -> float:
    """A place at most one height outside the plot, so that a line towards infinity stays drawable."""
    if isnan(value):
        value = 0.0
    return min(max(scale.place(value), -100.0), 200.0) if isfinite(value) else (-100.0 if value > 0 else 200.0)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _numbers(last: int) -> list[int]:
    """Days to label: each of a week, every second of a fortnight, then the ends of weeks or months."""
    step = 1 if last <= 7 else 2 if last <= 14 else 7 if last <= 60 else 30
    return list(range(step, last + 1, step))
