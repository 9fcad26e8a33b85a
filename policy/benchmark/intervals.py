"""Who was right on which case, over several splits, in; a share or a paired gain with its interval out."""

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
