"""A round's questions: answers in the order of the types, and an end to asking where one cannot be asked."""

import asyncio

import pytest

from policy.growth.calls.ask import LLM, AwayError, Said
from policy.growth.grow.asking import NOTHING, ask_round, item_of
from policy.growth.grow.settings import GrowthSettings
from policy.growth.taxonomy.hierarchy import taxonomy_of
from policy.reasoning.question import Messages

MANY = taxonomy_of([("R", f"T {n}") for n in range(20)])
ASKED = MANY.at_level(2)


def test_answers_are_in_the_order_of_the_types_whichever_came_first() -> None:
    async def ask(item_id: str, attempt: int, _messages: Messages, *, seat: str = LLM) -> Said:
        for _ in range(20 - [item_of(node, 3) for node in ASKED].index(item_id)):
            await asyncio.sleep(0)
        return Said(f"Of {item_id} {attempt} {seat}")

    done = list[int]()
    answered = asyncio.run(ask_round(ASKED, MANY, 3, ask, GrowthSettings(), parallel=20, advance=done.append))
    assert [one.node for one in answered] == list(ASKED)
    assert [one.tries[0].parsed.lines[0].name for one in answered] == [f"Of {n.node_id}.r3 1 llm" for n in ASKED]
    assert sum(done) == 20


def test_of_its_tries_the_first_usable_one_is_the_last() -> None:
    said = [Said("", "was cut at 9 tokens"), Said("\n"), Said("A > B"), Said("Signs"), Said("Never asked for")]

    async def ask(_item: str, attempt: int, _messages: Messages, *, seat: str = LLM) -> Said:
        del seat
        return said[attempt - 1]

    settings = GrowthSettings(tries=9)
    (one,) = asyncio.run(ask_round(ASKED[:1], MANY, 1, ask, settings, parallel=2, advance=lambda _: None))
    assert [(tried.attempt, tried.unusable) for tried in one.tries] == [
        (1, "was cut at 9 tokens"),
        (2, NOTHING),
        (3, None),
        (4, None),
    ]
    assert one.tries[-1].parsed.lines[0].name == "Signs"


def test_where_one_is_away_nobody_else_is_asked_and_what_is_under_way_is_waited_for() -> None:
    begun, ended = list[str](), list[str]()

    async def ask(item_id: str, _attempt: int, _messages: Messages, *, seat: str = LLM) -> Said:
        del seat
        begun.append(item_id)
        if len(begun) == 5:
            raise AwayError("gone")
        await asyncio.sleep(0.01)
        ended.append(item_id)
        return Said("NONE")

    with pytest.raises(AwayError, match="gone"):
        asyncio.run(ask_round(ASKED, MANY, 1, ask, GrowthSettings(), parallel=4, advance=lambda _: None))
    assert len(begun) <= 8
    assert len(ended) == len(begun) - 1


def test_a_full_disk_ends_it_as_itself() -> None:
    async def ask(_item: str, _attempt: int, _messages: Messages, *, seat: str = LLM) -> Said:
        raise OSError(f"the disk is full ({seat})")

    with pytest.raises(OSError, match="the disk is full"):
        asyncio.run(ask_round(ASKED, MANY, 1, ask, GrowthSettings(), parallel=4, advance=lambda _: None))
