"""A request in, its answer out: from the journal where it was answered before, else asked, paid and kept."""

from threading import Event, Lock
from typing import NamedTuple

from contracts.errors import BadInputError, DependencyError
from contracts.reasoning import MOST_CHARS
from policy.reasoning.endpoint import ChatClient, Completion, Endpoint, RefusedError
from policy.reasoning.question import Messages
from policy.reasoning.teaching.account import Account, BudgetSpentError
from policy.reasoning.teaching.course import Ask
from policy.reasoning.teaching.journal import Answer, Journal, key_of
from policy.reasoning.teaching.pace import Pace
from policy.reasoning.teaching.prompts import COT2TAG, Stage

AWAY_IN_A_ROW = 3
"""So many requests that patience ended for, and none answered between, and the endpoint is away."""
REFUSED_AT_FIRST = 3
"""So many requests refused before any was answered, and it is not the requests that are at fault."""
_OF_THE_REQUEST = frozenset({400, 413, 422})
"""Statuses of one request, such as one that is too long for the model; any other is said of all."""


class HaltedError(Exception):
    """The run ends: what was not asked yet is left for later."""


class Halt:
    """Whether a run ends, and why: shared by its threads, and what they sleep by."""

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self.spent: BudgetSpentError | None = None
        self.away: DependencyError | None = None

    def now(self, *, spent: BudgetSpentError | None = None) -> None:
        """Let all threads end after the answer that they wait for."""
        with self._lock:
            self.spent = self.spent or spent
        self._event.set()

    def check(self) -> None:
        """Raise `HaltedError` where the run ends."""
        if self._event.is_set():
            raise HaltedError

    def sleep(self, seconds: float) -> None:
        """Sleep, unless the run ends: then raise `HaltedError` at once."""
        if self._event.wait(seconds):
            raise HaltedError

    @property
    def halted(self) -> bool:
        return self._event.is_set()


class Seat(NamedTuple):
    """Who answers a stage: the endpoint, what asks it, and at which pace."""

    endpoint: Endpoint
    client: ChatClient
    pace: Pace


class Desk:
    """Asks for a run's threads; what many requests say together of an endpoint is counted here."""

    def __init__(
        self, seats: dict[Stage, Seat], journal: Journal, account: Account[Stage], halt: Halt, *, temperature: float
    ) -> None:
        self._seats = seats
        self._journal = journal
        self._account = account
        self._halt = halt
        self._temperature = temperature
        self._lock = Lock()
        self._away = 0
        self._refused = 0

    def asker(self, case_id: str) -> Ask:
        """What asks for one case."""
        return lambda stage, attempt, messages: self.ask(case_id, stage, attempt, messages())

    def known(self, case_id: str) -> Ask:
        """What looks up one case, whose media need not be decoded; raises `HaltedError` for what is not known."""

        def look_up(stage: Stage, attempt: int, _: object) -> Answer:
            if (answer := self._journal.find_at(case_id, stage, attempt)) is None:
                raise HaltedError
            return answer

        return look_up

    def ask(self, case_id: str, stage: Stage, attempt: int, messages: Messages) -> Answer:
        """The answer to a request, paid at most once.

        Raises `RefusedError` for what the endpoint refuses of this request alone, `BadInputError` for what it says of
        all, `DependencyError` where patience ended, `HaltedError` where the run ends.
        """
        at = self._seats[stage].endpoint
        # a first reading is the likeliest one, a second is another
        temperature = 0.0 if stage == COT2TAG and attempt == 1 else self._temperature
        key = key_of(case_id, stage, attempt, at.model, messages, temperature=temperature, most_tokens=at.most_tokens)
        if (known := self._journal.find(key)) is not None:
            return known
        self._halt.check()
        try:
            expected = self._account.begin(stage)
        except BudgetSpentError as spent:
            self._halt.now(spent=spent)
            raise HaltedError from spent
        answer: Answer | None = None
        try:
            completion, unusable = self._request(self._seats[stage], messages, temperature)
            answer = Answer(
                key=key,
                case_id=case_id,
                stage=stage,
                attempt=attempt,
                text=completion.text,
                unusable=unusable,
                prompt_tokens=completion.prompt_tokens,
                completion_tokens=completion.completion_tokens,
            )
            self._journal.add(answer)
        finally:
            self._account.end(expected, answer)
        if self._account.limited and unusable is None and not answer.prompt_tokens + answer.completion_tokens:
            raise BadInputError(f"{at.base}: does not say how many tokens it used, so that no budget can be kept")
        return answer

    def _request(self, seat: Seat, messages: Messages, temperature: float) -> tuple[Completion, str | None]:
        """A completion that can be kept, and by which rule it cannot be read, if so."""
        seat.pace.wait()
        self._halt.check()
        try:
            [completion] = seat.client.complete(messages, 1, temperature=temperature)
        except RefusedError as error:
            if error.status is not None:
                self._refuse(error)
                raise
            self._answered()
            return Completion(""), error.what
        except DependencyError as error:
            self._stay_away(error)
            raise
        self._answered()
        return _kept(completion)

    def _answered(self) -> None:
        with self._lock:
            self._away = 0
            self._refused = -1

    def _stay_away(self, error: DependencyError) -> None:
        with self._lock:
            self._away += 1
            self._halt.away = self._halt.away or error
            gone = self._away >= AWAY_IN_A_ROW
        if gone:
            self._halt.now()

    def _refuse(self, error: RefusedError) -> None:
        with self._lock:
            if self._refused >= 0 and not self._journal.answers:
                self._refused += 1
            of_all = error.status not in _OF_THE_REQUEST or self._refused >= REFUSED_AT_FIRST
        if of_all:
            raise BadInputError(str(error)) from error


def _kept(completion: Completion) -> tuple[Completion, str | None]:
    """What of a completion can be written down, and the rule that it breaks before it is read."""
    for counted in completion[1:]:
        if not 0 <= counted < 2**31:
            return Completion(""), f"counts {counted} tokens"
    if len(completion.text) > MOST_CHARS:
        return completion._replace(text=""), f"{len(completion.text)} characters, must be at most {MOST_CHARS}"
    try:
        completion.text.encode()
    except UnicodeEncodeError:
        return completion._replace(text=""), "holds half a character, a surrogate without its other half"
    return completion, None
