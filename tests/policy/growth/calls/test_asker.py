"""What is asked, by how many at once, at what cost, and what many requests say together of an endpoint."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from contracts.errors import BadInputError
from policy.growth.calls.ask import LLM, Ask, AwayError, Said
from policy.growth.calls.asker import PROBED_EVERY_S, Asker, AskingSettings
from policy.growth.calls.client import NoAnswerError
from policy.reasoning.endpoint import Completion, Endpoint, RefusedError
from policy.reasoning.question import Messages
from policy.reasoning.teaching.account import BudgetSpentError, Limits, Price
from tests.policy.growth.calls.saying import AT, Clock, Saying, Says, asker_of, question, text_of

T = TypeVar("T")
SO = Completion("so", 7, 3)


def says_so(_at: Endpoint, _messages: Messages) -> Completion:
    return SO


def by_text(told: Mapping[str, Completion | Exception], usual: Completion = SO) -> Says:
    def says(_at: Endpoint, messages: Messages) -> Completion:
        found = told.get(text_of(messages), usual)
        if isinstance(found, Exception):
            raise found
        return found

    return says


def away(status: int | None = None) -> NoAnswerError:
    return NoAnswerError(f"{AT.base}: does not answer in 180 s", status)


def refused(status: int | None, what: str = "answers it so") -> RefusedError:
    return RefusedError(AT.base, what, status)


def run(asker: Asker, path: Path, does: Callable[[Ask], Awaitable[T]]) -> T:
    path.mkdir(exist_ok=True)

    async def kept() -> T:
        async with asker.kept(path / "journal.jsonl", "work") as (ask, _):
            return await does(ask)

    return asyncio.run(kept())


def each(*texts: str) -> Callable[[Ask], Awaitable[list[Said | BaseException]]]:
    """Ask all at once; what each came to."""

    async def does(ask: Ask) -> list[Said | BaseException]:
        return await asyncio.gather(*(ask(text, 1, question(text)) for text in texts), return_exceptions=True)

    return does


def in_turn(*texts: str) -> Callable[[Ask], Awaitable[list[Said | Exception]]]:
    """Ask one after the other; what each came to."""

    async def does(ask: Ask) -> list[Said | Exception]:
        found = list[Said | Exception]()
        for text in texts:
            try:
                found.append(await ask(text, 1, question(text)))
            except Exception as error:  # noqa: BLE001  whatever it raises is what is looked at
                found.append(error)
        return found

    return does


def kinds(found: Sequence[object]) -> list[str]:
    return ["said" if isinstance(one, Said) else type(one).__name__ for one in found]


def test_a_request_is_paid_once_by_this_asker_and_by_every_later_one(tmp_path: Path) -> None:
    client = Saying(says_so)
    first, later = asker_of(client), asker_of(client)
    assert run(first, tmp_path, in_turn("a", "b", "a")) == [Said("so", None, 7, 3)] * 3
    assert run(later, tmp_path, in_turn("b", "c")) == [Said("so", None, 7, 3)] * 2
    assert client.order == ["a", "b", "c"]
    assert (first.calls, later.calls) == (2, 1)
    assert first.account.tokens == 20
    assert later.account.tokens == 30, "what was paid before counts too"


def test_an_attempt_and_a_seat_make_another_request(tmp_path: Path) -> None:
    client = Saying(lambda at, _: Completion(at.model, 1, 1))
    seats = {"referee-1": Endpoint("http://127.0.0.1:1/v1", "m"), "referee-2": Endpoint("http://127.0.0.1:1/v1", "n")}
    asker = Asker(seats, client, AskingSettings())

    async def does(ask: Ask) -> list[str]:
        asked = [("referee-1", 1), ("referee-1", 2), ("referee-2", 1), ("referee-1", 1)]
        return [(await ask("a", attempt, question("q"), seat=seat)).text for seat, attempt in asked]

    assert run(asker, tmp_path, does) == ["m", "m", "n", "m"]
    assert client.asked.total() == 3
    assert asker.account.spent["referee-1"].answers == 2
    assert asker.account.spent["referee-2"].answers == 1


@pytest.mark.parametrize("parallel", [1, 3, 8])
def test_no_more_requests_are_under_way_than_may_be_and_they_begin_in_the_order_they_came(
    tmp_path: Path, parallel: int
) -> None:
    client = Saying(says_so, turns=lambda _: 3)
    texts = [f"{n:02d}" for n in range(20)]
    found = run(asker_of(client, AskingSettings(parallel=parallel)), tmp_path, each(*texts))
    assert kinds(found) == ["said"] * 20
    assert client.most_under_way == parallel
    assert client.order == texts


def test_an_endpoint_that_three_in_a_row_did_not_reach_is_asked_by_one_each_half_minute(
    tmp_path: Path,
) -> None:
    clock, down = Clock(now=1_000.0), True

    def says(_at: Endpoint, _messages: Messages) -> Completion:
        if down:
            raise away()
        return SO

    client = Saying(says)
    asker = asker_of(client, clock=clock)
    assert kinds(run(asker, tmp_path, in_turn(*"abcde"))) == ["AwayError"] * 5
    assert client.order == ["a", "b", "c"]
    clock.now += PROBED_EVERY_S - 1
    assert kinds(run(asker, tmp_path, in_turn(*"fg"))) == ["AwayError"] * 2
    clock.now += 1
    assert kinds(run(asker, tmp_path, each(*"hijkl"))) == ["AwayError"] * 5
    assert client.order == ["a", "b", "c", "h"], "one alone, while it is under way too"
    assert client.patience == [AT.patience_s] * 3 + [0.0], "which tries once"
    clock.now += PROBED_EVERY_S
    down = False
    assert kinds(run(asker, tmp_path, in_turn(*"mno"))) == ["said"] * 3
    assert client.patience[-3:] == [0.0, AT.patience_s, AT.patience_s]


def test_a_probe_that_takes_longer_than_half_a_minute_stays_the_only_one(tmp_path: Path) -> None:
    clock = Clock(now=1_000.0)
    answers = asyncio.Event()

    class Waiting(Saying):
        async def complete(self, at: Endpoint, messages: Messages, *, temperature: float) -> Completion:
            if at.patience_s == 0.0:
                await answers.wait()
            return await super().complete(at, messages, temperature=temperature)

    client = Waiting(by_text({text: away() for text in "abc"}))
    asker = asker_of(client, clock=clock)
    assert kinds(run(asker, tmp_path, in_turn(*"abc"))) == ["AwayError"] * 3

    async def does(ask: Ask) -> list[Any]:
        clock.now += PROBED_EVERY_S
        probe = asyncio.create_task(ask("probe", 1, question("probe")))
        found = list[Any]()
        for _ in range(5):
            clock.now += PROBED_EVERY_S
            found.append((await each("more")(ask))[0])
        answers.set()
        return [*found, await probe, await ask("back", 1, question("back"))]

    assert kinds(run(asker, tmp_path, does)) == ["AwayError"] * 5 + ["said"] * 2


def test_a_probe_that_is_cancelled_or_not_paid_for_leaves_the_next_one_free(tmp_path: Path) -> None:
    clock = Clock(now=1_000.0)
    client = Saying(by_text({text: away() for text in "abc"}), turns=lambda _: 5)
    asker = asker_of(client, AskingSettings(limits=Limits(tokens=1_000)), clock=clock)

    async def does(ask: Ask) -> list[Any]:
        found = list[Any](await in_turn(*"abc")(ask))
        clock.now += PROBED_EVERY_S
        probe = asyncio.create_task(ask("probe", 1, question("probe")))
        await asyncio.sleep(0)
        probe.cancel()
        found += await asyncio.gather(probe, return_exceptions=True)
        found += await in_turn("soon")(ask)
        clock.now += PROBED_EVERY_S
        return [*found, *await in_turn("back", "again")(ask)]

    told = kinds(run(asker, tmp_path, does))
    assert told == ["AwayError"] * 3 + ["CancelledError", "AwayError", "said", "said"]


def test_an_answer_between_or_a_refusal_says_that_it_is_there(tmp_path: Path) -> None:
    told: dict[str, Completion | Exception] = {text: away() for text in "abdehi"}
    client = Saying(by_text(told | {"g": refused(400)}))
    found = run(asker_of(client), tmp_path, in_turn(*"abcdeghi"))
    assert kinds(found) == ["AwayError"] * 2 + ["said"] + ["AwayError"] * 2 + ["said"] + ["AwayError"] * 2
    assert client.order == list("abcdeghi"), "never three in a row, so all were asked"


def test_one_seat_that_is_away_is_not_another(tmp_path: Path) -> None:
    seats = {seat: Endpoint(f"http://127.0.0.1:1/{seat}", "m") for seat in ("referee-1", "referee-2")}

    def says(at: Endpoint, _messages: Messages) -> Completion:
        if at.base.endswith("1"):
            raise away()
        return SO

    async def does(ask: Ask) -> list[Any]:
        asked = [ask(f"{n}", 1, question(f"{n}"), seat=seat) for n in range(4) for seat in seats]
        return await asyncio.gather(*asked, return_exceptions=True)

    client = Saying(says)
    asker = Asker(seats, client, AskingSettings(parallel=1), clock=Clock(now=1_000.0))
    assert kinds(run(asker, tmp_path, does)) == ["AwayError", "said"] * 4
    assert client.asked.total() == 3 + 4


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_request_that_is_refused_is_an_answer_that_cannot_be_used(tmp_path: Path, status: int) -> None:
    client = Saying(by_text({"long": refused(status, f"answers {status} Too long")}))
    expected = [Said("", f"answers {status} Too long", 0, 0), Said("so", None, 7, 3)]
    assert run(asker_of(client), tmp_path, in_turn("long", "short")) == expected
    assert run(asker_of(client), tmp_path, in_turn("long", "short")) == expected
    assert client.order == ["long", "short"], "it is kept like any other"


def test_one_that_refuses_its_first_three_requests_refuses_all(tmp_path: Path) -> None:
    told = {text: refused(400) for text in "abcdefg"}
    client = Saying(by_text(told))
    assert kinds(run(asker_of(client), tmp_path, in_turn(*"abc"))) == ["said", "said", "RefusedError"]
    assert kinds(run(asker_of(client), tmp_path, in_turn(*"abcd"))) == ["said"] * 4, "the next run comes further"
    answered = asker_of(Saying(by_text(told)))
    assert kinds(run(answered, tmp_path, in_turn("x", *"cdefg"))) == ["said"] * 6


@pytest.mark.parametrize("status", [301, 401, 403, 404, 418, 501])
def test_what_is_said_of_all_requests_ends_the_run(tmp_path: Path, status: int) -> None:
    client = Saying(by_text({"b": refused(status)}))
    assert kinds(run(asker_of(client), tmp_path, in_turn("a", "b"))) == ["said", "RefusedError"]
    run(asker_of(client), tmp_path, in_turn("b"))
    assert client.order == ["a", "b", "b"], "and is no answer"


def test_one_that_fails_at_a_request_while_it_answers_others_is_not_away(tmp_path: Path) -> None:
    told = {"x": away(500), "y": away(503), "z": away(None)}
    client = Saying(by_text(told), turns=lambda text: 1 if text == "other" else 9)
    found = run(asker_of(client), tmp_path, each("x", "y", "z", "other"))
    assert found[0] == Said("", "answers 500 again and again", 0, 0)
    assert kinds(found) == ["said", "AwayError", "AwayError", "said"]
    alone = asker_of(Saying(by_text(told)))
    assert kinds(run(alone, tmp_path / "other", each("x"))) == ["AwayError"]


@pytest.mark.parametrize(
    ("completion", "said"),
    [
        (Completion("so", -1, 3), Said("", "counts -1 tokens")),
        (Completion("so", 7, 2**31), Said("", "counts 2147483648 tokens")),
        (Completion("so", 10**300, 3), Said("", f"counts 1{'0' * 36}... tokens")),
        (Completion("so", 7, 2**31 - 1), Said("so", None, 7, 2**31 - 1)),
        (Completion("so \ud83d", 7, 3), Said("", "has half of a character without its other half", 7, 3)),
        (Completion("so 😀\0\x1b", 7, 3), Said("so 😀\0\x1b", None, 7, 3)),
        (Completion("", 7, 3), Said("", None, 7, 3)),
    ],
)
def test_what_cannot_be_kept_is_told_by_its_rule_and_paid(tmp_path: Path, completion: Completion, said: Said) -> None:
    asker = asker_of(Saying(lambda _at, _messages: completion))
    assert run(asker, tmp_path, in_turn("a")) == [said]
    assert run(asker_of(Saying(says_so)), tmp_path, in_turn("a")) == [said], "and is read back"
    assert asker.account.spent[LLM].answers == 1
    assert asker.account.tokens == said.prompt_tokens + said.completion_tokens


def test_a_budget_ends_before_the_request_that_might_pass_it(tmp_path: Path) -> None:
    """Each costs 10 tokens: four fit under 45, and three more under 75."""
    client = Saying(says_so)
    asker = asker_of(client, AskingSettings(parallel=2, limits=Limits(tokens=45)))
    found = run(asker, tmp_path, in_turn(*"abcdef"))
    assert kinds(found) == ["said"] * 4 + ["BudgetSpentError"] * 2
    assert str(found[4]) == "budget of 45 tokens: 40 are spent"
    assert kinds(run(asker_of(client, AskingSettings(limits=Limits(tokens=45))), tmp_path, in_turn(*"abcdef"))) == (
        ["said"] * 4 + ["BudgetSpentError"] * 2
    )
    assert client.order == ["a", "b", "c", "d"]
    more = asker_of(client, AskingSettings(parallel=4, limits=Limits(tokens=75)))
    assert kinds(run(more, tmp_path, each(*"abcdefgh"))) == ["said"] * 7 + ["BudgetSpentError"]
    assert more.account.tokens == 70


def test_money_is_counted_by_the_price_of_each_seat(tmp_path: Path) -> None:
    settings = AskingSettings(prices={LLM: Price(1.0, 10.0)}, limits=Limits(money=0.0001))
    asker = asker_of(Saying(says_so), settings)
    found = run(asker, tmp_path, in_turn(*"abc"))
    assert kinds(found) == ["said", "said", "BudgetSpentError"]  # 7 + 30 = 37 millionths each
    assert asker.account.money == pytest.approx(0.000074)


def test_a_budget_needs_an_endpoint_that_counts(tmp_path: Path) -> None:
    client = Saying(lambda _at, _messages: Completion("so"))
    limited = asker_of(client, AskingSettings(limits=Limits(tokens=45)))
    (found,) = run(limited, tmp_path, in_turn("a"))
    assert isinstance(found, BadInputError)
    assert re.search("does not say how many tokens it used, so that no budget can be kept", str(found))
    assert kinds(run(asker_of(client), tmp_path, in_turn("a", "b"))) == ["said"] * 2
    assert client.order == ["a", "b"], "it was paid, so it is kept"


def test_an_answer_that_cannot_be_kept_is_not_taken_for_one(tmp_path: Path) -> None:
    asker = asker_of(Saying(says_so), AskingSettings(limits=Limits(tokens=45)))
    journal = tmp_path / "journal.jsonl"

    async def does() -> Said:
        async with asker.kept(journal, "work") as (ask, _):
            pass
        return await ask("late", 1, question("late"))

    with pytest.raises(ValueError, match="closed file"):
        asyncio.run(does())
    assert journal.read_bytes() == b'{"of":"work"}\n'
    assert asker.account.tokens == 0


def test_what_waits_in_journals_is_counted_once_before_anything_is_asked(tmp_path: Path) -> None:
    run(asker_of(Saying(says_so)), tmp_path, in_turn(*"abc"))
    asker = asker_of(Saying(says_so), AskingSettings(limits=Limits(tokens=45)))
    asker.count(tmp_path / "journal.jsonl", "work")
    asker.count(tmp_path / "none.jsonl", "work")
    assert asker.account.tokens == 30
    assert not (tmp_path / "none.jsonl").exists()
    assert kinds(run(asker, tmp_path, in_turn(*"abcde"))) == ["said"] * 4 + ["BudgetSpentError"]
    with pytest.raises(BadInputError, match="is of work, must be of other"):
        asker.count(tmp_path / "journal.jsonl", "other")


def test_each_endpoint_has_a_pace_of_its_own(tmp_path: Path) -> None:
    """At 6,000 a minute five requests of one endpoint take four hundredths of a second."""
    begun = time.monotonic()
    run(asker_of(Saying(says_so), AskingSettings(parallel=5, per_minute=6_000)), tmp_path, each(*"abcde"))
    assert time.monotonic() - begun >= 0.039


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"parallel": 0}, r"parallel == 0, must be in \[1, 1024\]"),
        ({"parallel": 1_025}, "parallel == 1025"),
        ({"temperature": 2.1}, r"temperature == 2.1, must be in \[0, 2\]"),
        ({"temperature": float("nan")}, "temperature == nan"),
    ],
)
def test_settings_out_of_their_ranges_are_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(BadInputError, match=rule):
        AskingSettings(**settings)


def test_a_spent_budget_and_an_endpoint_away_are_no_errors_of_the_input() -> None:
    assert not issubclass(BudgetSpentError, BadInputError)
    assert not issubclass(AwayError, BadInputError)
