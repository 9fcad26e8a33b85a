"""Costs of acting and of not acting in, the probabilities from which on to act out.

A video with probability p of category c is worth an action when what the action spares outweighs what it costs if the
video is good (Elkan, The foundations of cost-sensitive learning, IJCAI 2001, eq. 2):

    p * harm_c >= (1 - p) * cost    <=>    p >= cost / (cost + harm_c)

That is best for calibrated probabilities, and calibrated they are. Lines that held-out cases may move, even by two
standard errors only, made every second retraining act on other videos than its parent did.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from contracts.errors import BadInputError
from contracts.releases import CategoryThresholds
from contracts.taxonomy import VIOLATIVE, Category
from policy.cases.priority import SEVERITY

_MEAN_HARM = sum(one.harm for one in SEVERITY.values()) / len(SEVERITY)
HARM: Mapping[Category, float] = MappingProxyType({c: one.harm / _MEAN_HARM for c, one in SEVERITY.items()})
"""What an impression of a category harms where nothing is done, 1 on average over the categories."""


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
        if not 0.0 < self.demote <= self.review <= self.remove < math.inf:
            given = f"demote == {self.demote}, review == {self.review}, remove == {self.remove}"
            raise BadInputError(f"{given}, must be over 0, finite, and not decrease in this order (Costs)")
        wrong = [c.value for c in VIOLATIVE if not 0.0 < self.harm.get(c, 0.0) < math.inf]
        if wrong:
            raise BadInputError(f"harm of {wrong[0]} is missing or not over 0, each violative category has one (Costs)")


def line_of(cost: float, harm: float) -> float:
    """The probability from which on an action is worth its cost."""
    return cost / (cost + harm)


def thresholds_by_cost(costs: Costs) -> dict[Category, CategoryThresholds]:
    """When each category demotes, is sent to review and removes."""
    return {
        category: CategoryThresholds(
            **{name: round(line_of(getattr(costs, name), harm), 4) for name in CategoryThresholds.model_fields}
        )
        for category, harm in ((category, costs.harm[category]) for category in VIOLATIVE)
    }
