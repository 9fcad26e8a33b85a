"""Who is away, who refuses all and who only this: what many requests say together of an endpoint."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import BadInputError
from policy.growth.calls.ask import Ask, AwayError, Said
from policy.growth.calls.asker import PROBED_EVERY_S, Asker, AskingSettings
from policy.reasoning.endpoint import Completion, Endpoint
from policy.reasoning.question import Messages
from policy.reasoning.teaching.account import BudgetSpentError, Limits
from tests.policy.growth.calls.asking import SO, away, by_text, each, in_turn, kinds, refused, run
from tests.policy.growth.calls.saying import AT, Clock, Saying, asker_of, question


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


def test_a_spent_budget_and_an_endpoint_away_are_no_errors_of_the_input() -> None:
    assert not issubclass(BudgetSpentError, BadInputError)
    assert not issubclass(AwayError, BadInputError)
