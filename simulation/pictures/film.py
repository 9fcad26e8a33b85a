"""The clip being painted: its frames, its light, and how a shape is stamped on them."""

import colorsys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulation.pictures.shapes import Mask, Pixels

Colour = npt.NDArray[np.float32]
GRAIN = 12
LOWEST, HIGHEST = 16.0, 239.0
"""Colours keep clear of 0 and 255 by more than the grain, so that adding it never wraps."""


@dataclass(frozen=True, slots=True)
class Light:
    """What differs between cameras: brightness, contrast, colour cast. Applied to colours, not to pixels."""

    gain: float
    contrast: float
    cast: Colour

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Light":
        return cls(rng.uniform(0.75, 1.2), rng.uniform(0.75, 1.15), rng.uniform(0.88, 1.12, 3).astype(np.float32))

    def colour(self, hue: float, saturation: float, value: float) -> Colour:
        rgb = np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), np.float32)
        lit = ((rgb - 0.5) * self.contrast + 0.5) * self.gain * self.cast
        return np.clip(255.0 * lit, LOWEST, HIGHEST)


@dataclass(frozen=True, slots=True)
class Stencil:
    """A shape in one colour: bool [high, 3 * wide] and uint8 [3 * wide], the three channels side by side.

    One flat copy is several times faster than indexing [high, wide, 3] by a mask.
    """

    mask: Mask
    colours: Pixels

    @classmethod
    def of(cls, mask: Mask, colour: Colour) -> "Stencil":
        return cls(mask.repeat(3, axis=1), np.tile(colour.astype(np.uint8), mask.shape[1]))


@dataclass(frozen=True, slots=True)
class Film:
    """The clip being painted."""

    frames: Pixels
    fps: float
    light: Light
    rng: np.random.Generator

    @property
    def rows(self) -> Pixels:
        """The same memory as uint8 [T, H, 3 * W]."""
        return self.frames.reshape(*self.frames.shape[:2], -1)

    @property
    def width(self) -> int:
        return self.frames.shape[2]

    @property
    def height(self) -> int:
        return self.frames.shape[1]

    @property
    def side(self) -> int:
        return min(self.width, self.height)

    def colour(self, hue: tuple[float, float], light: tuple[float, float] = (0.5, 1.0)) -> Colour:
        at = hue[0] + self.rng.uniform(-0.5, 0.5) * hue[1]
        return self.light.colour(at, self.rng.uniform(0.45, 0.95), self.rng.uniform(*light))

    def stamp(self, frame: int, stencil: Stencil, x: float, y: float) -> None:
        """Paint a stencil with its middle at (x, y) pixels, cut at the picture's edges."""
        high, wide = len(stencil.mask), len(stencil.colours) // 3
        left, top = round(x - wide / 2), round(y - high / 2)
        x0, x1, y0, y1 = max(left, 0), min(left + wide, self.width), max(top, 0), min(top + high, self.height)
        if x0 >= x1 or y0 >= y1:
            return
        across = slice(3 * (x0 - left), 3 * (x1 - left))
        here = self.rows[frame, y0:y1, 3 * x0 : 3 * x1]
        np.copyto(here, stencil.colours[across], where=stencil.mask[y0 - top : y1 - top, across])

    def patch(self, x: float, y: float, wide: float, high: float) -> Pixels:
        """The part of all frames in a rectangle given in shares of the picture, as a view."""
        x0, y0 = int(x * self.width), int(y * self.height)
        x1, y1 = x0 + max(2, int(wide * self.width)), y0 + max(2, int(high * self.height))
        return self.frames[:, y0:y1, x0:x1]
