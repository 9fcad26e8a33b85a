"""Rows and a model's answers in, what they are worth out: tags, form, votes, each with its interval."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.reasoning import Unparsed
from contracts.taxonomy import Category
from policy.reasoning.rows import Row
from policy.reasoning.training.rewards import read_answer
from policy.reasoning.voting import plurality

Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, with the 95% interval of Wilson (JASA 1927)."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        if self.n == 0:
            return 0.0, 1.0
        p, z2 = self.value, Z * Z
        middle = (p + z2 / (2 * self.n)) / (1 + z2 / self.n)
        half = Z * (p * (1 - p) / self.n + z2 / (4 * self.n * self.n)) ** 0.5 / (1 + z2 / self.n)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.4f} [{low:.4f}, {high:.4f}] of {self.n}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """tag: answers with the right tag; binary: right about violative or not; form: answers that parse.

    What does not parse is wrong, and counted by the rule that it breaks. With K answers to a row its tag is the
    plurality's, and `agreement` the mean share of the K that give it.
    """

    tag: Share
    binary: Share
    form: Share
    agreement: float
    unparsed: Mapping[str, int]


def evaluate(rows: Sequence[Row], answers: Sequence[Sequence[str]]) -> Evaluation:
    """What K answers to each row are worth; of a preference, tag and binary are both which response is better."""
    tags, binary, parsed, asked, agreement = 0, 0, 0, 0, 0.0
    unparsed = Counter[str]()
    for row, said in zip(rows, answers, strict=True):
        read = [read_answer(text, row.task, row.solution) for text in said]
        vote = plurality([one if isinstance(one, Unparsed) else one.answer for one in read])
        unparsed.update(vote.unparsed)
        asked, parsed = asked + vote.asked, parsed + vote.asked - sum(vote.unparsed.values())
        agreement += vote.agreement
        if vote.label is not None:
            right = vote.label == row.solution
            good = Category.POSITIVE.value
            both_bad = row.task == "ruling" and good not in {vote.label, row.solution}
            tags, binary = tags + right, binary + (right or both_bad)
    n = len(rows)
    agreed = agreement / n if n else 0.0
    return Evaluation(Share(tags, n), Share(binary, n), Share(parsed, asked), agreed, unparsed)
