"""Numbers in, words for people out: as many places as the interval deserves, a sign where it matters, units said."""

import math
import re
from datetime import date

from ab_tests.results import Interval

UNKNOWN = "not known"
ENDLESS = 1e6
"""A relative effect beyond this is an end that the data do not bound."""
MINUS = "\N{MINUS SIGN}"
_HYPHEN_BEFORE_PERCENT = re.compile(r"(?<![\w.\-])-(?=[\d.,]+%)")


def effect(relative: float, interval: Interval) -> str:
    """A relative effect with its interval: +1.8% [+0.4%, +3.2%]."""
    if not math.isfinite(relative):
        return UNKNOWN
    places = places_of(interval)
    return f"{signed_percent(relative, places)} {bracket(interval, places)}"


def bracket(interval: Interval, places: int | None = None) -> str:
    """The ends of an interval of relative effects: [+0.4%, +3.2%]."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return UNKNOWN
    places = places_of(interval) if places is None else places
    return f"[{signed_percent(interval.low, places)}, {signed_percent(interval.high, places)}]"


def places_of(interval: Interval) -> int:
    """Decimal places of a percentage at which half the interval has two significant digits, 0 to 4.

    Up to two more where an end would round to 0: on which side of it the end lies is what matters most.
    """
    half = 50.0 * interval.width
    if not math.isfinite(half) or half <= 0.0:
        return 1
    places = min(max(1 - math.floor(math.log10(half)), 0), 4)
    ends = [end for end in (interval.low, interval.high) if end != 0.0]
    more = (places + extra for extra in (0, 1, 2) if all(round(100.0 * end, places + extra) != 0.0 for end in ends))
    return next(more, places)


def signed_percent(value: float, places: int = 1) -> str:
    """A share of 1 in percent with its sign; what rounds to nothing has none: +1.8%, −0.03%, 0.0%."""
    if math.isnan(value):
        return UNKNOWN
    if abs(value) > ENDLESS:
        return "+∞" if value > 0 else f"{MINUS}∞"
    shown = f"{abs(100.0 * value):,.{places}f}%"
    if not any(digit in shown for digit in "123456789"):
        return shown
    return f"{'+' if value > 0 else MINUS}{shown}"


def percent(value: float, places: int | None = None) -> str:
    """A share of 1 in percent without a sign, by default to three significant digits: 50%, 0.12%, 99.1%."""
    if not math.isfinite(value):
        return UNKNOWN
    if places is not None:
        return f"{100.0 * value:,.{places}f}%"
    return f"{_significant(100.0 * value, 3)}%"


def p_of(p_value: float) -> str:
    """A p-value as a number to stand after "p": 0.012, 0.41, <0.001."""
    if math.isnan(p_value):
        return UNKNOWN
    if p_value < 0.001:
        return "<0.001"
    if p_value > 0.99:
        return ">0.99"
    return f"{p_value:.3f}" if p_value < 0.1 else f"{p_value:.2f}"


def p_said(p_value: float) -> str:
    """A p-value in running text: p 0.012, p < 0.001."""
    shown = p_of(p_value)
    return f"p {shown[0]} {shown[1:]}" if shown[0] in "<>" else f"p {shown}"


def power(value: float) -> str:
    """A test's power in whole percent, never a certainty: 80%, >99%."""
    if not math.isfinite(value):
        return UNKNOWN
    return ">99%" if value > 0.99 else f"{100.0 * value:.0f}%"


def narrowed(narrowing: float) -> str:
    """What CUPED gained: an interval narrower by a share is worth more users, as its width goes with their root."""
    if not math.isfinite(narrowing) or narrowing >= 1.0:
        return UNKNOWN
    if narrowing <= 0.0005:
        return "nothing"
    return f"{percent(narrowing, 1)} narrower, worth {1.0 / (1.0 - narrowing) ** 2:.2f} times the users"


def count(n: int) -> str:
    return f"{n:,}"


def counted(n: int, noun: str) -> str:
    """A number with its noun: 1 day, 1,203 users."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def day(when: date) -> str:
    """A date that no country misreads: 14 Nov 2026."""
    return f"{when.day} {when:%b %Y}"


def day_of(number: int, planned: int) -> str:
    """How far an experiment is: day 9 of 14; day 16, 2 beyond the plan."""
    return f"day {number} of {planned}" if number <= planned else f"day {number}, {number - planned} beyond the plan"


class Unit:
    """How the values of one metric are shown: shares in percent, small rates by the thousand, others as they are."""

    def __init__(self, unit: str, typical: float) -> None:
        """`typical` is the control's mean, by which the factor is chosen once for every value beside it."""
        self.factor, self.suffix, self.name = 1.0, "", unit
        what, _, per = unit.partition(" per ")
        if unit.startswith("share of"):
            self.factor, self.suffix = 100.0, "%"
        elif per and 0.0 < abs(typical) < 0.1:
            self.factor, self.name = 1_000.0, f"{what} per 1,000 {per}s"

    def value(self, value: float) -> str:
        """A mean, to four significant digits: 12.34, 1,203, 4.56%."""
        return f"{_significant(self.factor * value, 4, strip=False)}{self.suffix}" if math.isfinite(value) else UNKNOWN

    def difference(self, effect: float, interval: Interval) -> str:
        """A difference of means with its interval, signed, to the places that the interval deserves."""
        if not math.isfinite(effect):
            return UNKNOWN
        half = self.factor * interval.width / 2.0
        places = min(max(1 - math.floor(math.log10(half)), 0), 6) if math.isfinite(half) and half > 0.0 else 2
        shown = [self._signed(value, places) for value in (effect, interval.low, interval.high)]
        points = " points" if self.suffix else ""
        return f"{shown[0]} [{shown[1]}, {shown[2]}]{points}"

    def _signed(self, value: float, places: int) -> str:
        if not math.isfinite(value):
            return signed_percent(value)
        size = f"{abs(self.factor * value):,.{places}f}"
        sign = "" if not any(digit in size for digit in "123456789") else "+" if value > 0 else MINUS
        return f"{sign}{size}"


def typeset(sentence: str) -> str:
    """A sentence with real minus signs before its percentages."""
    return _HYPHEN_BEFORE_PERCENT.sub(MINUS, sentence)


def _significant(value: float, digits: int, *, strip: bool = True) -> str:
    if value == 0.0:
        return "0"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    shown = f"{value:,.{places}f}"
    return shown.rstrip("0").rstrip(".") if strip and "." in shown else shown
