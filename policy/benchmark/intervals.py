"""Who was right on which case, over several splits, in; a share or a paired gain with its interval out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its 95% interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def points(self) -> str:
        """As percentage points with their sign, for a gain."""
        return f"{100 * self.estimate:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


def over_cases(values_S_N: npt.NDArray[Any], *, seed: int = 0) -> Interval:
    """Mean over S splits of N cases; cases are resampled (percentile bootstrap), with all their splits together.

    The splits judge the same cases again, so more of them make the estimate steadier but the cases no more.
    """
    per_case = np.asarray(values_S_N, np.float64).mean(axis=0)
    drawn = np.random.default_rng(seed).multinomial(len(per_case), np.full(len(per_case), 1 / len(per_case)), RESAMPLES)
    low, high = np.quantile(drawn @ per_case / len(per_case), [0.025, 0.975])
    return Interval(float(per_case.mean()), float(low), float(high))


def paired_gain(right_S_N: npt.NDArray[np.bool_], other_right_S_N: npt.NDArray[np.bool_]) -> Interval:
    """How much more often one model is right than another on the same cases of the same splits."""
    return over_cases(right_S_N.astype(np.float64) - other_right_S_N)


def over_clusters(hits_C: Sequence[float], asked_C: Sequence[int]) -> Interval:
    """A share over C clusters, such as the ids of pairs or the cases of attacks; NaN where nothing was asked.

    hits_C: what was counted in each cluster, in [0, asked]; asked_C: how much was asked in it. The interval is Wilson's
    (1927) at the number of independent askings that the clusters are worth (Kish 1965): where all of them
    agree, (sum asked)^2 / sum asked^2, so that 0 of many askings about three cases is no proof of zero.
    """
    hits, asked = np.asarray(hits_C, np.float64), np.asarray(asked_C, np.float64)
    total = float(asked.sum())
    if total == 0.0:
        return Interval(math.nan, math.nan, math.nan)
    share = float(hits.sum()) / total
    worth = total**2 / float((asked**2).sum())
    clusters = int((asked > 0).sum())
    if clusters > 1 and 0.0 < share < 1.0:
        variance = float(((hits - share * asked) ** 2).sum()) * clusters / (clusters - 1) / total**2
        worth = min(share * (1.0 - share) / variance, total) if variance > 0.0 else total
    z2 = 1.959964**2
    middle = (share + z2 / (2 * worth)) / (1 + z2 / worth)
    half = math.sqrt(z2) / (1 + z2 / worth) * math.sqrt(share * (1 - share) / worth + z2 / (4 * worth**2))
    return Interval(share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)))


def mean_of(shares: Sequence[Interval]) -> Interval:
    """The plain mean of independent shares, its interval by the distances of theirs (MOVER, Zou and Donner 2008)."""
    mean = sum(one.estimate for one in shares) / len(shares)
    below = math.sqrt(sum((one.estimate - one.low) ** 2 for one in shares)) / len(shares)
    above = math.sqrt(sum((one.high - one.estimate) ** 2 for one in shares)) / len(shares)
    return Interval(mean, mean - below, mean + above)
