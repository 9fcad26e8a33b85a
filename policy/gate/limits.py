"""How much worse a candidate may be, before the gate refuses it: one place for every line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Margins are shares; a gain must lie above minus its margin with 95% confidence, one-sided.

    fewest: with fewer golden cases a group or category is not tested, its figures are told. worse_ece: how much the
    expected calibration error may rise. overturned, changed: shares of the upheld rulings and of recent decisions.
    slower: the ratio of the median batch times. fewer_precedents: share of the parent's casebook that may be gone.
    """

    binary_accuracy: float = 0.02
    false_positives: float = 0.03
    false_removals: float = 0.02
    acted_on: float = 0.20
    group_recall: float = 0.06
    named: float = 0.20
    precedent_agrees: float = 0.05
    fewest: int = 50
    worse_ece: float = 0.03
    overturned: float = 0.05
    changed: float = 0.10
    slower: float = 2.0
    fewer_precedents: float = 0.5
