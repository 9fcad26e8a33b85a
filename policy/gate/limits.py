"""How much worse a candidate may be, before the gate refuses it: one place for every line.

The rule: what 20 retrainings of a simulated parent on its own 3,000 cases needed on 2,000 golden cases (seeds 101 to
120), mean plus four standard deviations, rounded up to half a point (`python -m bench gate_margins`). No margin was
narrowed when words came to be learned better: what a text fit of before needed stays where it is more, since a refresh
on new rulings changes more than a retraining does. The benchmark reports on other seeds. Smaller golden sets are
refused more often, as their bounds are wider. Four lines are not by that rule: `named`, since retrainings name alike,
is what two losses among 50 cases need; `worse_names` is a judgement, a fraction of what names that are four times too
certain lose; `slower` leaves room for other work on the machine; `fewer_precedents` is a judgement.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Margins are shares; a gain must lie above minus its margin with 95% confidence, one-sided.

    fewest: with fewer golden cases a group or category is not tested, its figures are told. worse_ece, worse_names: how
    much the expected calibration error and the cross-entropy of names may rise. overturned, changed: shares of the
    upheld rulings and of recent decisions. slower: the ratio of the median batch times. fewer_precedents: share of the
    parent's casebook, and of any category's precedents, that may be gone.
    """

    binary_accuracy: float = 0.02
    false_positives: float = 0.025
    false_removals: float = 0.01
    acted_on: float = 0.04
    group_recall: float = 0.09
    named: float = 0.10
    precedent_agrees: float = 0.055
    fewest: int = 50
    worse_ece: float = 0.015
    worse_names: float = 0.05
    overturned: float = 0.025
    changed: float = 0.105
    slower: float = 1.5
    fewer_precedents: float = 0.5
