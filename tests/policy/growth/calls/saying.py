"""Endpoints of plain functions for the real asker, a stage of numbers for the real engine, and a clock that is set."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import polars as pl

from policy.growth.calls.ask import LLM, Ask
from policy.growth.calls.asker import Asker, AskingSettings
from policy.growth.calls.client import Client
from policy.growth.calls.stage import Outcome, Stage
from policy.growth.parts import Schema, read_part, write_part
from policy.reasoning.endpoint import Completion, Endpoint
from policy.reasoning.question import Messages

AT = Endpoint("http://127.0.0.1:1/v1", "m")
Says = Callable[[Endpoint, Messages], Completion]
"""What an endpoint says, or raises."""


class Killed(BaseException):
    """As a signal that nothing catches."""


@dataclass
class Clock:
    """Time that passes by sleeping alone."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Saying(Client):
    """Answers by `says`, each after as many turns of the loop as `turns` gives it; `before` sees each question first,
    with how many were asked by then, and may raise.
    """

    def __init__(
        self,
        says: Says,
        *,
        turns: Callable[[str], int] = lambda _text: 1,
        before: Callable[[int, Messages], None] = lambda _n, _messages: None,
    ) -> None:
        super().__init__(None)
        self.asked = Counter[tuple[str, str]]()
        self.order = list[str]()
        self.arrived = list[str]()
        self.patience = list[float]()
        self.under_way = 0
        self.most_under_way = 0
        self._says = says
        self._turns = turns
        self._before = before
        self._waiting = dict[int, asyncio.Event]()

    async def complete(self, at: Endpoint, messages: Messages, *, temperature: float) -> Completion:
        self._before(self.asked.total(), messages)
        text = text_of(messages)
        self.asked[at.base, text] += 1
        self.order.append(text)
        if (waiting := self._waiting.get(self.asked.total())) is not None:
            waiting.set()
        self.patience.append(at.patience_s)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            for _ in range(self._turns(text)):
                await asyncio.sleep(0)
            self.arrived.append(text)
            return self._says(at, messages)
        finally:
            self.under_way -= 1

    async def was_asked(self, times: int) -> None:
        """Wait until so many requests were sent."""
        if self.asked.total() < times:
            await self._waiting.setdefault(times, asyncio.Event()).wait()

    @property
    def again(self) -> int:
        """Requests that were sent before."""
        return self.asked.total() - len(self.asked)


def shuffled(seed: int) -> Callable[[str], int]:
    rng = Random(seed)
    return lambda _text: rng.randrange(8)


def question(text: str) -> Messages:
    return [{"role": "user", "content": text}]


def text_of(messages: Messages) -> str:
    content = messages[-1]["content"]
    return content if isinstance(content, str) else str(content[-1]["text"])


def asker_of(client: Client, settings: AskingSettings | None = None, *, clock: Clock | None = None) -> Asker:
    """The real asker over a client, with one seat."""
    return Asker({LLM: AT}, client, settings or AskingSettings(parallel=4), clock=clock or Clock())


# A stage of numbers: what is asked about a number n hangs on n alone, and so does what becomes of it.
#   n % 5 == 0   needs a second request      n % 3 == 0   is dropped      n % 7 == 0   leaves no row at all

NUMBERS: Schema = {"number": pl.Int64}
KEPT: Schema = {"number": pl.Int64, "said": pl.String}
DROPPED: Schema = {"number": pl.Int64, "reason": pl.String}
NOTHING = pl.DataFrame(schema={"reason": pl.String})
TOKENS = (7, 3)


def twice(_at: Endpoint, messages: Messages) -> Completion:
    """The endpoint of numbers: at the first request of those that need two it says `again`."""
    number, attempt = map(int, text_of(messages).split("/"))
    return Completion("again" if number % 5 == 0 and attempt == 1 else str(2 * number), *TOKENS)


def write_numbers(folder: Path, *parts: Sequence[int]) -> Path:
    """The source of the stage, a part for each list; the folder."""
    for i, numbers in enumerate(parts):
        write_part(folder, i, pl.DataFrame({"number": numbers}, schema=NUMBERS), NOTHING, input=str(i), plan="numbers")
    return folder


def doubling(source: Path, folder: Path, *, plan: str = "doubling") -> Stage[int]:
    async def follow(number: int, ask: Ask) -> Outcome:
        for attempt in (1, 2):
            said = await ask(f"n{number}", attempt, question(f"{number}/{attempt}"))
            if said.text != "again":
                break
        if number % 7 == 0:
            return Outcome([], [])
        return Outcome([], [(number, "three")]) if number % 3 == 0 else Outcome([(number, said.text)], [])

    def items(part: Path) -> list[int]:
        return read_part(part, NUMBERS)["number"].to_list()

    return Stage("doubling", source, folder, KEPT, DROPPED, plan, items, follow)


def requests_of(numbers: Sequence[int]) -> int:
    """How many requests the numbers need: two those that five divides."""
    return sum(2 if number % 5 == 0 else 1 for number in numbers)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
