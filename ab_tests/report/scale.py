"""Values in, places across a plot in percent of its width out, so that a plot fits a phone and a desk alike."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

INSET = 6.0
"""Percent of the width kept free on either side, for arrows and the labels of the outermost ticks."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale: `low` lies at `start` percent of the width or height, `high` at `end` percent."""

    low: float
    high: float
    start: float = INSET
    end: float = 100.0 - INSET

    def place(self, value: float) -> float:
        """Where `value` lies, in percent."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def clipped(self, value: float) -> float:
        """Where `value` lies, no farther out than half the inset."""
        air = (self.high - self.low) * INSET / 2.0 / abs(self.end - self.start)
        return self.place(min(max(value, self.low - air), self.high + air))

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self, about: int = 5) -> tuple[float, ...]:
        """Round values (1, 2 or 5 times a power of ten apart) within the scale, around `about` of them."""
        step = self.step(about)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(i * step for i in range(first, last + 1))

    def step(self, about: int = 5) -> float:
        rough = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(rough))
        return min((n * power for n in (1.0, 2.0, 5.0, 10.0)), key=lambda step: abs(math.log(step / rough)))


def scale_over(values: Iterable[float], *, pad: float = 0.04) -> Scale:
    """A scale that holds every finite value and 0, with some air; -1% to 1% when there is nothing else."""
    finite = [0.0, *(value for value in values if math.isfinite(value))]
    low, high = min(finite), max(finite)
    if low == high:
        return Scale(-0.01, 0.01)
    air = pad * (high - low)
    return Scale(low - air, high + air)
