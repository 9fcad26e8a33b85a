"""Endpoints in seats, a pace, prices and a limit in; `Ask` out, which pays for each request at most once.

What many requests say together of an endpoint is known here: one that none of three requests in a row could reach is
away, and asked again by one request now and then, so that who can do without it does not wait for each. One that
refuses its first three requests refuses all; one that fails at a request while it answers others is not away.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from contracts.errors import BadInputError, DependencyError, printable
from policy.growth.calls.ask import LLM, Ask, AwayError, Said
from policy.growth.calls.client import Client, NoAnswerError
from policy.growth.calls.journal import Journal
from policy.reasoning.endpoint import Endpoint, RefusedError
from policy.reasoning.question import Messages
from policy.reasoning.teaching.account import Account, Limits, Price
from policy.reasoning.teaching.pace import Pace

AWAY_IN_A_ROW = 3
PROBED_EVERY_S = 30.0
REFUSED_AT_FIRST = 3
"""So many requests refused before any was answered, and it is not the requests that are at fault."""
_OF_THE_REQUEST = frozenset({400, 413, 422})
"""Statuses of one request, such as one that is too long for the model; any other is said of all."""
_FAILS = 500
"""The status of one request too, where others are answered while it is tried: a picture that its server fails at."""


@dataclass(frozen=True, slots=True)
class AskingSettings:
    """How endpoints are asked: `parallel` requests under way in all, `per_minute` of one endpoint, at a temperature.

    prices: of tokens, by seat. limits: of all that a folder's stage cost, before and now.
    """

    parallel: int = 32
    per_minute: float | None = None
    temperature: float = 0.7
    prices: Mapping[str, Price] = field(default_factory=dict)
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not 1 <= self.parallel <= 1_024:
            raise BadInputError(f"parallel == {self.parallel}, must be in [1, 1024]")
        if not 0.0 <= self.temperature <= 2.0:
            raise BadInputError(f"temperature == {self.temperature:g}, must be in [0, 2]")


class Paid(NamedTuple):
    """What one answer cost, in tokens."""

    stage: str
    prompt_tokens: int
    completion_tokens: int


class Kept(NamedTuple):
    """What asks for one piece of work, and all that was answered for it, by request."""

    ask: Ask
    answers: Mapping[str, Said]


class Asker:
    """Asks the endpoints of a run."""

    def __init__(
        self,
        seats: Mapping[str, Endpoint],
        client: Client,
        settings: AskingSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seats = seats
        self.parallel = settings.parallel
        self._client = client
        self._settings = settings
        prices = {seat: settings.prices.get(seat, Price()) for seat in seats}
        self.account: Account[str] = Account(prices, settings.limits)
        self._paces = {at.base: Pace(settings.per_minute, sleep=lambda _: None) for at in seats.values()}
        self._room = asyncio.Semaphore(settings.parallel)
        self._lines = {seat: _Line(clock) for seat in seats}
        self._counted = set[Path]()
        self.calls = 0
        """Requests that were sent and answered."""

    def count(self, path: Path, digest: str) -> None:
        """Count what was answered for work that is taken up later: it is spent, whatever is asked before."""
        if path.exists():
            with Journal(path, digest) as journal:
                self._count(journal)

    def _count(self, journal: Journal) -> None:
        if journal.path not in self._counted:
            self._counted.add(journal.path)
            for key, said in journal.answers.items():
                self.account.add(Paid(seat_of(key), said.prompt_tokens, said.completion_tokens))

    @asynccontextmanager
    async def kept(self, path: Path, digest: str) -> AsyncIterator["Kept"]:
        """Ask for the work `digest`, whose answers are kept at `path` as they come."""
        with Journal(path, digest) as journal:
            self._count(journal)

            async def ask(item_id: str, attempt: int, messages: Messages, *, seat: str = LLM) -> Said:
                key = f"{seat}/{item_id}/{attempt}"
                if (known := journal.answers.get(key)) is not None:
                    return known
                return await self._pay(key, seat, messages, journal)

            yield Kept(ask, journal.answers)

    async def _pay(self, key: str, seat: str, messages: Messages, journal: Journal) -> Said:
        at, line = self.seats[seat], self._lines[seat]
        async with self._room:
            with line.asked() as probes:
                if (pause := self._paces[at.base].wait()) > 0.0:
                    await asyncio.sleep(pause)
                expected = self.account.begin(seat)
                paid: Paid | None = None
                try:
                    said = await self._said(replace(at, patience_s=0.0) if probes else at, line, messages)
                    journal.add(key, said)
                    paid = Paid(seat, said.prompt_tokens, said.completion_tokens)
                    self.calls += 1
                finally:
                    self.account.end(expected, paid)
        if self.account.limited and said.unusable is None and not said.prompt_tokens + said.completion_tokens:
            raise BadInputError(f"{at.base}: does not say how many tokens it used, so that no budget can be kept")
        return said

    async def _said(self, at: Endpoint, line: "_Line", messages: Messages) -> Said:
        before = line.answered
        try:
            completion = await self._client.complete(at, messages, temperature=self._settings.temperature)
        except RefusedError as error:
            line.is_there()
            if error.status is not None and (error.status not in _OF_THE_REQUEST or line.refuses()):
                raise
            return Said("", error.what)
        except DependencyError as error:
            if isinstance(error, NoAnswerError) and error.status == _FAILS and line.answered > before:
                return Said("", f"answers {_FAILS} again and again")
            line.failed(str(error))
            raise AwayError(str(error)) from error
        line.answers()
        for counted in completion[1:]:
            if not 0 <= counted < 2**31:
                return Said("", f"counts {printable(str(counted), at_most=40)} tokens")
        try:
            completion.text.encode()
        except UnicodeEncodeError:
            return Said("", "has half of a character without its other half", *completion[1:])
        return Said(completion.text, None, *completion[1:])


def seat_of(key: str) -> str:
    """Who was asked, by the key of a request in a journal."""
    return key.partition("/")[0]


class _Line:
    """Whether an endpoint can be asked: not after three requests in a row that it did not answer, but for a probe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_a_row = 0
        self._probing = False
        self._probed = 0.0
        self._refused = 0
        self.answered = 0
        self._reason = ""

    @contextmanager
    def asked(self) -> Iterator[bool]:
        """Ask within it. Where the endpoint is away one request at a time may, once every half minute: it yields
        whether this is it, which tries once and waits no longer. Raises `AwayError` for the others.
        """
        probes = self._in_a_row >= AWAY_IN_A_ROW
        if probes:
            if self._probing or self._clock() - self._probed < PROBED_EVERY_S:
                raise AwayError(self._reason)
            self._probing = True
        try:
            yield probes
        finally:
            if probes:
                self._probing = False
                self._probed = self._clock()

    def is_there(self) -> None:
        self._in_a_row = 0

    def answers(self) -> None:
        self.is_there()
        self.answered += 1

    def refuses(self) -> bool:
        """Note that a request was refused; whether it is said of all."""
        self._refused += not self.answered
        return not self.answered and self._refused >= REFUSED_AT_FIRST

    def failed(self, reason: str) -> None:
        self._in_a_row += 1
        self._reason = reason
        self._probed = self._clock()


@asynccontextmanager
async def asking(seats: Mapping[str, Endpoint], settings: AskingSettings) -> AsyncIterator[Asker]:
    """An asker with a session of its own, closed at the end."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=settings.parallel)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Asker(seats, Client(session), settings)
