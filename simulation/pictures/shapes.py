"""What a scene is painted from: shapes as masks, backdrops as textures."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.floating[Any]]

_Shape = Callable[[Plane, Plane, Plane, Plane], Mask]

# u to the right, v downwards, both in [-1, 1]; r and phi their polar form
SHAPES: Mapping[str, _Shape] = {
    "disc": lambda u, v, r, phi: r < 0.9,
    "ring": lambda u, v, r, phi: (r < 0.95) & (r > 0.58),
    "square": lambda u, v, r, phi: np.maximum(abs(u), abs(v)) < 0.72,
    "bar": lambda u, v, r, phi: (abs(u) < 0.95) & (abs(v) < 0.26),
    "cross": lambda u, v, r, phi: (np.minimum(abs(u), abs(v)) < 0.26) & (np.maximum(abs(u), abs(v)) < 0.9),
    "triangle": lambda u, v, r, phi: (v < 0.7) & (abs(u) < 0.55 * (v + 0.85)),
    "star": lambda u, v, r, phi: r < 0.38 + 0.55 * abs(np.cos(2.5 * phi)) ** 3,
    "burst": lambda u, v, r, phi: r < 0.72 + 0.24 * np.sign(np.cos(8 * phi)),
    "heart": lambda u, v, r, phi: (1.3 * u**2 + (1.25 * v + 0.9 * np.sqrt(abs(u)) - 0.45) ** 2) < 0.85,
    "arrow": lambda u, v, r, phi: ((abs(v) < 0.2) & (abs(u) < 0.9)) | ((u > 0.1) & (abs(v) < 0.9 - u)),
    "crescent": lambda u, v, r, phi: (r < 0.9) & ((u - 0.45) ** 2 + v**2 > 0.5),
    "leaf": lambda u, v, r, phi: abs(v) < 0.5 * (1 - u**2),
}


def shape_mask(name: str, size: int, angle: float, scale: float = 1.0) -> Mask:
    """A shape turned by `angle` radians: bool [size, size]."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (2.0 / size) - 1.0
    x, y = axis[None, :] / scale, axis[:, None] / scale
    u = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    v = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))
    return SHAPES[name](u, v, np.hypot(u, v), np.arctan2(v, u))


def mixed(weights: Plane, first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> Pixels:
    """Two colours mixed by weights in [0, 1]: uint8 [H, W, 3]."""
    return (first + weights[:, :, None] * (second - first)).astype(np.uint8)


def backdrop(name: str, width: int, height: int, rng: np.random.Generator) -> Plane:
    """A texture as weights in [0, 1]: float32 [height, width]."""
    x = np.arange(width, dtype=np.float32)[None, :] / max(width, height)
    y = np.arange(height, dtype=np.float32)[:, None] / max(width, height)
    return np.asarray(BACKDROPS[name](x, y, rng), np.float32)


def _slope(x: Plane, y: Plane, angle: float) -> Plane:
    return np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y


def _ripple(along: Plane, waves: float, rng: np.random.Generator) -> Plane:
    return np.asarray(0.5 + 0.5 * np.sin(np.float32(2 * np.pi * waves) * along + np.float32(rng.uniform(0, 6.3))))


def _gradient(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    slope = _slope(x, y, rng.uniform(0, np.pi))
    return (slope - slope.min()) / np.ptp(slope)


def _grating(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    return _ripple(_slope(x, y, rng.uniform(0, np.pi)), rng.uniform(3.0, 6.0), rng)


def _waves(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    return _ripple(y + 0.08 * _ripple(x, rng.uniform(1.0, 2.5), rng), rng.uniform(4.0, 7.0), rng)


def _checker(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    cells, angle = rng.uniform(5.0, 9.0), rng.uniform(0, np.pi)
    return (np.floor(cells * _slope(x, y, angle)) + np.floor(cells * _slope(x, y, angle + np.pi / 2))) % 2


def _horizon(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    line = rng.uniform(0.35, 0.65) * y.max() + 0.06 * _ripple(x, rng.uniform(1.0, 3.0), rng)
    return np.asarray(y > line, np.float32)


def _rings(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    middle_x, middle_y = rng.uniform(0.2, 0.8, 2).astype(np.float32)
    return _ripple(np.hypot(x - middle_x, y - middle_y), rng.uniform(4.0, 7.0), rng)


def _clouds(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Smooth noise: a coarse random grid, interpolated."""
    down, across = (int(n) for n in rng.integers(4, 7, 2))
    grid = rng.random((down, across), dtype=np.float32)
    return np.asarray(_between(y.size, down) @ grid @ _between(x.size, across).T)


def _between(n: int, knots: int) -> Plane:
    at = np.linspace(0.0, knots - 1.0, n, dtype=np.float32)[:, None]
    return np.asarray(np.maximum(0.0, 1.0 - abs(at - np.arange(knots))), np.float32)


BACKDROPS: Mapping[str, Callable[[Plane, Plane, np.random.Generator], Plane]] = {
    "checker": _checker,
    "clouds": _clouds,
    "gradient": _gradient,
    "grating": _grating,
    "horizon": _horizon,
    "rings": _rings,
    "waves": _waves,
}
