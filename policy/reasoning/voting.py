"""K sampled answers in, one label out: the test-time compute of R1-Reward (arXiv 2505.02835, section 4).

What did not parse is no vote, and still counts among those that were asked for.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from contracts.reasoning import Unparsed

L = TypeVar("L", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Vote(Generic[L]):
    """What K answers make: the label, None where there is none, and the votes of each.

    agreement: share of all K that gave the label, 0 where there is none. unparsed: how often each rule was broken.
    """

    label: L | None
    agreement: float
    votes: Mapping[L, int]
    asked: int
    unparsed: Mapping[str, int]


def plurality(answers: Sequence[L | Unparsed]) -> Vote[L]:
    """The label with most votes; of labels with equally many, the one that was given first.

    Samples are exchangeable, so that the first of tied ones favours no label.
    """
    votes, unparsed = _counted(answers)
    label = max(votes, key=votes.__getitem__, default=None)  # the first of equals: a Counter keeps the order of coming
    return Vote(label, votes[label] / len(answers) if label is not None else 0.0, votes, len(answers), unparsed)


def majority(answers: Sequence[L | Unparsed]) -> Vote[L]:
    """The label that more than half of all answers give, unparsed ones counted; no label where there is none such."""
    found = plurality(answers)
    if 2 * found.agreement > 1.0:
        return found
    return Vote(None, 0.0, found.votes, found.asked, found.unparsed)


def _counted(answers: Sequence[L | Unparsed]) -> tuple[Counter[L], Counter[str]]:
    votes = Counter[L](answer for answer in answers if not isinstance(answer, Unparsed))
    return votes, Counter(answer.reason for answer in answers if isinstance(answer, Unparsed))
