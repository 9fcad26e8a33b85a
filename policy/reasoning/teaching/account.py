"""Answers in, what they cost out: tokens and money by stage, and a limit that the next request must fit under."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Generic, Protocol, TypeVar

from contracts.errors import BadInputError
from contracts.records import Count, Record

S = TypeVar("S", bound=str)
S_co = TypeVar("S_co", bound=str, covariant=True)
PER = 1_000_000
"""Tokens that a price is for."""


class Paid(Protocol[S_co]):
    """An answer as far as it costs."""

    @property
    def stage(self) -> S_co: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Price:
    """Money for a million tokens, in whatever currency the limit is in."""

    prompt: float = 0.0
    completion: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.prompt < float("inf") and 0.0 <= self.completion < float("inf")):
            raise BadInputError(
                f"prices == {self.prompt:g} and {self.completion:g} a million tokens, must be at least 0"
            )

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / PER


class Spent(Record):
    """What a stage's answers came to."""

    answers: Count
    prompt_tokens: Count
    completion_tokens: Count


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may cost in all, however often it is taken up again: tokens, money, or neither."""

    tokens: int | None = None
    money: float | None = None

    def __post_init__(self) -> None:
        for name, limit in (("tokens", self.tokens), ("money", self.money)):
            if limit is not None and not 0 < limit < float("inf"):
                raise BadInputError(f"budget of {name} == {limit:g}, must be over 0")


class BudgetSpentError(Exception):
    """The next request does not fit under the limit; not an error of the input, so the run ends without one."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request."""

    tokens: int = 0
    money: float = 0.0


class Account(Generic[S]):
    """What was spent and what requests under way are expected to cost; may be shared by threads.

    A request is expected to cost as much as the dearest answer of its stage so far. So the limits are passed by those
    alone that are asked before anything is known, or that are dearer than all before.
    """

    def __init__(self, prices: Mapping[S, Price], limits: Limits, answers: Iterable[Paid[S]] = ()) -> None:
        self._prices = prices
        self._limits = limits
        if limits.money is not None and not any(price.prompt or price.completion for price in prices.values()):
            raise BadInputError(f"budget of money == {limits.money:g}, must come with a price of tokens")
        self._answers = Counter[S]()
        self._prompt = Counter[S]()
        self._completion = Counter[S]()
        self._dearest = dict.fromkeys(prices, Cost())
        self._expected: list[Cost] = []
        self._lock = Lock()
        for answer in answers:
            self.add(answer)

    def begin(self, stage: S) -> Cost:
        """Set aside what a request may cost, until `end`; raises `BudgetSpentError` where it does not fit."""
        with self._lock:
            self._check(stage)
            self._expected.append(self._dearest[stage])
            return self._dearest[stage]

    def end(self, expected: Cost, answer: Paid[S] | None) -> None:
        """A request that was begun is over, with an answer or without."""
        with self._lock:
            self._expected.remove(expected)
            if answer is not None:
                self.add(answer)

    def resume(self, stage: S, spent: Spent) -> None:
        """Count what a stage's answers came to before; one of them is taken to have cost their mean."""
        if spent.answers:
            mean = (-(-tokens // spent.answers) for tokens in (spent.prompt_tokens, spent.completion_tokens))
            with self._lock:
                self._count(stage, spent.answers, spent.prompt_tokens, spent.completion_tokens)
                self._note_dearest(stage, *mean)

    def add(self, answer: Paid[S]) -> None:
        """Count an answer that was paid."""
        self._count(answer.stage, 1, answer.prompt_tokens, answer.completion_tokens)
        self._note_dearest(answer.stage, answer.prompt_tokens, answer.completion_tokens)

    def _check(self, stage: S) -> None:
        expected = [*self._expected, self._dearest[stage]]
        tokens = self.tokens + sum(cost.tokens for cost in expected)
        money = self.money + sum(cost.money for cost in expected)
        limits = self._limits
        if limits.tokens is not None and (tokens > limits.tokens or self.tokens >= limits.tokens):
            raise BudgetSpentError(f"budget of {limits.tokens:,} tokens: {self.tokens:,} are spent")
        if limits.money is not None and (money > limits.money or self.money >= limits.money):
            raise BudgetSpentError(f"budget of {limits.money:,.4f}: {self.money:,.4f} is spent")

    def _count(self, stage: S, answers: int, prompt: int, completion: int) -> None:
        self._answers[stage] += answers
        self._prompt[stage] += prompt
        self._completion[stage] += completion

    def _note_dearest(self, stage: S, prompt: int, completion: int) -> None:
        before, money = self._dearest[stage], self._prices[stage].of(prompt, completion)
        self._dearest[stage] = Cost(max(before.tokens, prompt + completion), max(before.money, money))

    @property
    def limited(self) -> bool:
        return self._limits != Limits()

    @property
    def tokens(self) -> int:
        """Spent so far."""
        return self._prompt.total() + self._completion.total()

    @property
    def money(self) -> float:
        """Spent so far, of the sums of tokens: no error adds up."""
        return sum(price.of(self._prompt[stage], self._completion[stage]) for stage, price in self._prices.items())

    @property
    def spent(self) -> dict[S, Spent]:
        """Answers and tokens of each stage."""
        return {
            stage: Spent(
                answers=self._answers[stage],
                prompt_tokens=self._prompt[stage],
                completion_tokens=self._completion[stage],
            )
            for stage in self._prices
        }
