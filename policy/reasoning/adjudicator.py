"""A question in, an opinion by vote out: K reasonings, the tag of more than half of all that were asked, or none."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from contracts.errors import BadInputError
from contracts.reasoning import Reasoning, Unparsed, parse, render_states
from contracts.taxonomy import Category
from policy.reasoning.endpoint import Completion
from policy.reasoning.question import Budget, Messages, Question, messages_of
from policy.reasoning.voting import majority


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an adjudicator thinks: a category, or None where it abstains; votes by category; the share that agrees.

    `asked` reasonings were asked for; `unparsed` tells how often each rule of their form was broken. `reasoning` is
    that of the first of the majority.
    """

    category: Category | None
    agreement: float
    votes: Mapping[Category, int]
    asked: int
    unparsed: Mapping[str, int]
    reasoning: str = ""

    @property
    def confidence(self) -> float:
        """The smoothed share (votes + 1) / (asked + 2) of the majority (Laplace); 0 where it abstains."""
        return 0.0 if self.category is None else (self.votes[self.category] + 1) / (self.asked + 2)


NO_OPINION = Opinion(None, 0.0, Counter(), 0, Counter())


class Adjudicator(Protocol):
    """Gives its opinion of a case; raises `DependencyError` where it cannot be reached."""

    def opinion(self, question: Question) -> Opinion: ...


def count_votes(answers: list[str]) -> Opinion:
    """The opinion that K answers make together."""
    parsed = [parse(answer) for answer in answers]
    vote = majority([one if isinstance(one, Unparsed) else one.category for one in parsed])
    told = (render_states(one) for one in parsed if isinstance(one, Reasoning) and one.category is vote.label)
    return Opinion(vote.label, vote.agreement, vote.votes, vote.asked, vote.unparsed, next(told, ""))


@dataclass(frozen=True, slots=True)
class VotingAdjudicator:
    """Asks `complete` for `votes` answers to each question, cut to `budget`, and counts them."""

    complete: Callable[[Messages, int], list[Completion]]
    votes: int = 5
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        if not 1 <= self.votes <= 99:
            raise BadInputError(f"votes == {self.votes}, must be in [1, 99]")

    def opinion(self, question: Question) -> Opinion:
        return count_votes([one.text for one in self.complete(messages_of(question, self.budget), self.votes)])
