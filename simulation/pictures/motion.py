"""How things move: positions over time, in shares of the picture."""

from collections.abc import Callable, Mapping

import numpy as np

from simulation.pictures.shapes import Plane


def path(motion: str, n_frames: int, fps: float, rng: np.random.Generator) -> Plane:
    """Where the middle of a thing is: float32 [n_frames, 2], (x, y)."""
    seconds = np.arange(n_frames, dtype=np.float32) / np.float32(fps)
    x, y = MOTIONS[motion](seconds, rng)
    return np.stack([x, y], axis=1).astype(np.float32)


def _anywhere(rng: np.random.Generator) -> tuple[float, float]:
    return rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)


def _speed(rng: np.random.Generator) -> tuple[float, float]:
    heading, pace = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.35)
    return pace * np.cos(heading), pace * np.sin(heading)


def _still(t: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    x, y = _anywhere(rng)
    return np.full_like(t, x), np.full_like(t, y)


def _drift(t: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Straight on, and in again on the other side."""
    (x, y), (across, down) = _anywhere(rng), _speed(rng)
    return (x + across * t + 0.15) % 1.3 - 0.15, (y + down * t + 0.15) % 1.3 - 0.15


def _bounce(t: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    (x, y), (across, down) = _anywhere(rng), _speed(rng)
    return _reflected(x + 2 * across * t), _reflected(y + 2 * down * t)


def _reflected(at: Plane) -> Plane:
    return 0.08 + 0.84 * abs(at % 2.0 - 1.0)


def _orbit(t: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    turn = 2 * np.pi * (rng.uniform(0.3, 0.7) * t + rng.random())
    radius = rng.uniform(0.15, 0.35)
    return 0.5 + radius * np.cos(turn), 0.5 + radius * np.sin(turn)


def _fall(t: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    x, y = _anywhere(rng)
    return np.full_like(t, x), (y + rng.uniform(0.4, 0.8) * t) % 1.2 - 0.1


def _jitter(t: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    x, y = _anywhere(rng)
    return x + rng.normal(0.0, 0.05, t.size), y + rng.normal(0.0, 0.05, t.size)


def _sway(t: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    x, y = _anywhere(rng)
    return x + 0.08 * np.sin(2 * np.pi * (rng.uniform(0.3, 0.8) * t + rng.random())), np.full_like(t, y)


MOTIONS: Mapping[str, Callable[[Plane, np.random.Generator], tuple[Plane, Plane]]] = {
    "bounce": _bounce,
    "drift": _drift,
    "fall": _fall,
    "jitter": _jitter,
    "orbit": _orbit,
    "still": _still,
    "sway": _sway,
}
