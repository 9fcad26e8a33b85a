"""Costs of acting and of not acting in, the probabilities from which on to act out.

A video with probability p of category c is worth an action when what the action spares outweighs what it costs if the
video is good (Elkan, The foundations of cost-sensitive learning, IJCAI 2001, eq. 2):

    p * harm_c >= (1 - p) * cost    <=>    p >= cost / (cost + harm_c)

That is best for calibrated probabilities. Held-out cases may move all lines together, on the log-odds scale, where
they say clearly that this is cheaper: a finite set of them must not bend the lines by chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.releases import CategoryThresholds
from contracts.taxonomy import POSITIVE_INDEX, VIOLATIVE, Category
from policy.cases.priority import SEVERITY

_MEAN_HARM = sum(one.harm for one in SEVERITY.values()) / len(SEVERITY)
HARM: Mapping[Category, float] = MappingProxyType({c: one.harm / _MEAN_HARM for c, one in SEVERITY.items()})
"""What an impression of a category harms where nothing is done, 1 on average over the categories."""
FEWEST_TO_MOVE_A_LINE = 2_000
"""With fewer held-out cases a line moved is chance: a toxicity line other than 0.5 cost 0.5 to 0.9 points on others."""
_SHIFTS = np.linspace(-1.5, 1.5, 31)


@dataclass(frozen=True, slots=True)
class Costs:
    """What an action costs where the video is good, in average harms of a violative video that is let be.

    demote: few see it for a while; it is wrong as often as right at the average category's line. review: a reviewer's
    minutes, and the wait. remove: nobody sees it, and its author must appeal: an error in 13 is the most that is worth
    it for the average category.
    """

    demote: float = 1.0
    review: float = 3.0
    remove: float = 12.0
    harm: Mapping[Category, float] = field(default_factory=lambda: HARM)

    def __post_init__(self) -> None:
        if not 0.0 < self.demote <= self.review <= self.remove:
            given = f"demote == {self.demote}, review == {self.review}, remove == {self.remove}"
            raise BadInputError(f"{given}, must be over 0 and not decrease in this order (Costs)")
        wrong = [c.value for c in VIOLATIVE if self.harm.get(c, 0.0) <= 0.0]
        if wrong:
            raise BadInputError(f"harm of {wrong[0]} is missing or not over 0, each violative category has one (Costs)")


def line_of(cost: float, harm: float, *, shift: float = 0.0) -> float:
    """The probability from which on an action is worth its cost; `shift` moves it on the log-odds scale."""
    return float(1.0 / (1.0 + harm / cost * np.exp(-shift)))


def thresholds_by_cost(
    probabilities_N_16: npt.NDArray[np.floating], labels_N: npt.NDArray[np.int64], costs: Costs
) -> dict[Category, CategoryThresholds]:
    """When each category demotes, is sent to review and removes; N held-out cases may move each kind of line.

    A case is judged by scores that never saw it. With few the lines are those of calibrated probabilities.
    """
    if len(labels_N) < FEWEST_TO_MOVE_A_LINE:
        probabilities_N_16, labels_N = probabilities_N_16[:0], labels_N[:0]
    shifts = {
        name: _shift(probabilities_N_16, labels_N, getattr(costs, name), costs)
        for name in ("demote", "review", "remove")
    }
    found = {}
    for category in VIOLATIVE:
        lines = [line_of(getattr(costs, name), costs.harm[category], shift=shift) for name, shift in shifts.items()]
        demote, review, remove = np.maximum.accumulate(np.round(lines, 4)).tolist()
        found[category] = CategoryThresholds(demote=demote, review=review, remove=remove)
    return found


def cost_of(
    probabilities_N_16: npt.NDArray[np.floating],
    labels_N: npt.NDArray[np.int64],
    cost: float,
    costs: Costs,
    *,
    shift: float = 0.0,
) -> npt.NDArray[np.float64]:
    """What acting on each of N cases by the shifted lines costs: `cost` for a good one, its harm for one let be."""
    lines = np.array([line_of(cost, costs.harm[c], shift=shift) for c in VIOLATIVE])
    acted = (np.delete(probabilities_N_16, POSITIVE_INDEX, axis=1) >= lines).any(axis=1)
    harm = np.zeros(probabilities_N_16.shape[1])
    for category in VIOLATIVE:
        harm[category.position] = costs.harm[category]
    good = labels_N == POSITIVE_INDEX
    return np.where(good, np.where(acted, cost, 0.0), np.where(acted, 0.0, harm[labels_N])).astype(np.float64)


def _shift(
    probabilities_N_16: npt.NDArray[np.floating], labels_N: npt.NDArray[np.int64], cost: float, costs: Costs
) -> float:
    """The cheapest shift, 0 unless it is cheaper by more than a standard error of the paired difference."""
    if not len(labels_N):
        return 0.0
    by_shift = [cost_of(probabilities_N_16, labels_N, cost, costs, shift=float(shift)) for shift in _SHIFTS]
    totals = [one.sum() for one in by_shift]
    # the middle of the cheapest plateau, so that an isolated case does not choose
    smooth = np.convolve(np.pad(totals, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    best, none = int(smooth.argmin()), len(_SHIFTS) // 2
    saved = by_shift[none] - by_shift[best]
    error = float(np.sqrt(np.square(saved - saved.mean()).sum()))
    return float(_SHIFTS[best]) if saved.sum() > error else 0.0
