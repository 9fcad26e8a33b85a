"""A question in, an opinion by vote out: K answers, the majority of all that were asked, or none.

Voting over samples is the test-time compute of R1-Reward (arXiv 2505.02835). An answer that is not exactly of the form
that was asked for is no vote, and still counts among those asked.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import BadInputError
from contracts.taxonomy import CATEGORIES, Category
from policy.reasoning.question import Question

_FORM = re.compile(r"\s*<think>(?P<reasoning>.*)</think>\s*<answer>\s*(?P<category>[a-z_]+)\s*</answer>\s*", re.DOTALL)
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_NAMED = {category.value: category for category in CATEGORIES}
MOST_REASONING = 20_000


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an adjudicator thinks: a category, or None where it abstains; confidence in [0, 1]; votes by category.

    `asked` answers were asked for, of which `unusable` were no votes. `reasoning` is that of one of the majority.
    """

    category: Category | None
    confidence: float
    votes: Mapping[Category, int]
    asked: int
    unusable: int
    reasoning: str = ""


class Adjudicator(Protocol):
    """Gives its opinion of a case; raises `DependencyError` where it cannot be reached."""

    def opinion(self, question: Question) -> Opinion: ...


def parse_answer(text: str) -> tuple[Category, str] | None:
    """Category and reasoning of an answer `<think>…</think><answer>category</answer>`; None for any other text.

    Each tag must stand exactly once: an answer that repeats tags, perhaps an uploader's, says nothing.
    """
    found = _FORM.fullmatch(text)
    if found is None or any(text.count(tag) != 1 for tag in _TAGS):
        return None
    category = _NAMED.get(found["category"])
    return None if category is None else (category, found["reasoning"].strip()[:MOST_REASONING])


def count_votes(answers: list[str]) -> Opinion:
    """The opinion of K answers: a category that more than half of all K name, else it abstains.

    Confidence is the smoothed share (votes + 1) / (K + 2) of the majority (Laplace); 0 where it abstains.
    """
    parsed = [vote for answer in answers if (vote := parse_answer(answer)) is not None]
    votes = Counter(category for category, _ in parsed)
    asked, unusable = len(answers), len(answers) - len(parsed)
    best, most = votes.most_common(1)[0] if votes else (None, 0)
    if best is None or 2 * most <= asked:
        return Opinion(None, 0.0, votes, asked, unusable)
    reasoning = next(reasoning for category, reasoning in parsed if category is best)
    return Opinion(best, (most + 1) / (asked + 2), votes, asked, unusable, reasoning)


@dataclass(frozen=True, slots=True)
class VotingAdjudicator:
    """Asks `ask` for `votes` answers to each question, and counts them."""

    ask: Callable[[Question, int], list[str]]
    votes: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.votes <= 99:
            raise BadInputError(f"votes == {self.votes}, must be in [1, 99]")

    def opinion(self, question: Question) -> Opinion:
        return count_votes(self.ask(question, self.votes))
