"""Information at each look in, the z-values that stop out: alpha spent as Lan and DeMets do, O'Brien-Fleming's way.

    spent(t) = 4 (1 - Phi(z_{1 - alpha/4} / sqrt t))        two-sided, half of alpha on each side

The looks' z-values are taken as a Brownian motion seen at the looks' information (Scharfstein, Tsiatis, Robins 1997),
and the chance of a first crossing at each look comes from the recursion of Armitage, McPherson and Rowe (1969).
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_FARTHEST = 8.0
"""A z-value that chance passes once in 10^15 looks; earlier looks may spend less than that."""
_GRID = 129


def spent(fraction: float, alpha: float) -> float:
    """How much of a two-sided `alpha` may be spent when `fraction` of the plan is over (Lan and DeMets 1983)."""
    normal = NormalDist()
    if fraction <= 0.0:
        return 0.0
    z = normal.inv_cdf(1.0 - alpha / 4.0) / min(fraction, 1.0) ** 0.5
    return 4.0 * normal.cdf(-z)


def critical_values(information: Sequence[float], fractions: Sequence[float], *, alpha: float) -> tuple[float, ...]:
    """The z-value of each look beyond which a difference is called, both sides alike.

    `information` (1 / se^2 of each look's estimate, rising) gives how looks depend on each other; `fractions` of the
    plan, rising to 1, say when alpha is spent: of calendar time, so that the end is known (Lan and DeMets 1989).
    """
    rising = np.maximum.accumulate(np.asarray(information, np.float64))
    time = rising / rising[-1]
    levels = [spent(fraction, alpha) for fraction in fractions]
    return _boundary(time.tolist(), np.diff([0.0, *levels]).tolist())


def _boundary(time: list[float], spend: list[float]) -> tuple[float, ...]:
    """Look after look: the density of those that did not cross, then the value that lets the look spend its share."""
    found: list[float] = []
    points, mass, reached = np.zeros(1), np.ones(1), 0.0
    owed = 0.0
    for now, share in zip(time, spend, strict=True):
        step = now - reached
        if step <= 0.0:
            # Nothing was learned, as of active days, which all but stand from the start: the share buys a test of its
            # own whatever the dependence (Bonferroni), unless the value that stands asks for less.
            alone = min(-NormalDist().inv_cdf((share + owed) / 2.0), _FARTHEST)
            standing = found[-1] if found else _FARTHEST
            found.append(min(alone, standing))
            owed = 0.0 if alone < standing else share + owed
            continue
        critical = _critical(points, mass, step, now, share + owed)
        found.append(critical)
        points, mass = _advanced(points, mass, step, critical * now**0.5)
        reached, owed = now, 0.0
    return tuple(found)


def _critical(points: Vector, mass: Vector, step: float, now: float, share: float) -> float:
    """The z-value beyond which a motion that stands at `points` with `mass` is with probability `share`."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    def too_often(z: float) -> float:
        edge = z * now**0.5
        return float(mass @ (ndtr((points - edge) / step**0.5) + ndtr((-points - edge) / step**0.5))) - share

    return _FARTHEST if too_often(_FARTHEST) >= 0.0 else float(brentq(too_often, 0.0, _FARTHEST, xtol=1e-9))


def _advanced(points: Vector, mass: Vector, step: float, edge: float) -> tuple[Vector, Vector]:
    """Where the motion stands after `step` more, when it is still within ± `edge` (Simpson's rule)."""
    reach = min(edge, float(np.abs(points).max()) + 8.0 * step**0.5)
    grid = np.linspace(-reach, reach, _GRID)
    weights = np.ones(_GRID)
    weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
    weights *= (grid[1] - grid[0]) / 3.0
    gaps = (grid[:, None] - points[None, :]) / step**0.5
    density = np.exp(-0.5 * gaps * gaps) @ mass / (2.0 * np.pi * step) ** 0.5
    return grid, density * weights
