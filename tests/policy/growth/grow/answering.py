"""An endpoint of plain functions: what it says to each question, in whatever order its answers arrive."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from contracts.errors import DependencyError
from policy.growth.calls.ask import LLM
from policy.growth.calls.asker import Asker, AskingSettings
from policy.growth.calls.client import Client
from policy.reasoning.endpoint import Completion, Endpoint
from policy.reasoning.question import Messages
from policy.reasoning.teaching.account import Limits

Says = Callable[[tuple[str, ...], list[str]], str]
"""The answer about a path and the children that it has."""


class Killed(BaseException):
    """As a signal that nothing catches."""


class Answering(Client):
    """Answers by `says`; in an order drawn by `shuffled`, is away or killed at its n-th question."""

    def __init__(
        self, says: Says, *, shuffled: int | None = None, away_at: int | None = None, killed_at: int | None = None
    ) -> None:
        super().__init__(None)
        self.asked = Counter[tuple[str, ...]]()
        self._says = says
        self._order = None if shuffled is None else Random(shuffled)
        self._away_at = away_at
        self._killed_at = killed_at

    async def complete(self, at: Endpoint, messages: Messages, *, temperature: float) -> Completion:
        question = json.loads(messages[1]["content"])
        path = tuple(question["path"].split("~"))
        if self._away_at is not None and self.asked.total() >= self._away_at:
            raise DependencyError(f"{at.base}: does not answer in 3 s: OSError")
        if self._order is not None:
            for _ in range(self._order.randrange(6)):
                await asyncio.sleep(0)
        if self.asked.total() + 1 == self._killed_at:
            raise Killed
        self.asked[path] += 1
        return Completion(self._says(path, question["children"]), 10, 5)


def asker_of(client: Client, *, parallel: int = 4, budget_tokens: int | None = None) -> Asker:
    """The real asker, journal and account over it."""
    settings = AskingSettings(parallel=parallel, limits=Limits(budget_tokens))
    return Asker({LLM: Endpoint("http://127.0.0.1:1/v1", "m")}, client, settings)


def lines(*names: str) -> str:
    return "\n".join(names)


def scripted(answers: dict[str, Sequence[str]]) -> Says:
    """Says of each path one answer after another, and then that nothing is missing."""
    left = {path: list(told) for path, told in answers.items()}

    def says(path: tuple[str, ...], _children: list[str]) -> str:
        told = left.get("~".join(path))
        return told.pop(0) if told else "NONE"

    return says
