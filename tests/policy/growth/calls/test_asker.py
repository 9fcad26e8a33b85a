"""What is asked, by how many at once, and at what cost."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import BadInputError
from policy.growth.calls.ask import LLM, Ask, Said
from policy.growth.calls.asker import Asker, AskingSettings
from policy.reasoning.endpoint import Completion, Endpoint
from policy.reasoning.teaching.account import Limits, Price
from tests.policy.growth.calls.asking import each, in_turn, kinds, run, says_so
from tests.policy.growth.calls.saying import Saying, asker_of, question


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
