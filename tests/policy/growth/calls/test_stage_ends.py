"""A stage that ends, however it does, goes on: the same bytes, no answer paid twice, every row accounted for."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import BadInputError, DependencyError
from policy.growth.calls.ask import LLM
from policy.growth.calls.asker import Asker, AskingSettings
from policy.growth.calls.client import NoAnswerError
from policy.growth.calls.stage import OPEN_AT_ONCE, Stage, run_stage
from policy.growth.parts import part_at, parts_of, write_part
from policy.reasoning.endpoint import Completion, Endpoint, RefusedError
from policy.reasoning.question import Messages
from policy.reasoning.teaching.account import Limits, Spent
from tests.policy.growth.calls.conftest import DONE, REQUESTS, made, rows
from tests.policy.growth.calls.saying import (
    AT,
    NOTHING,
    TOKENS,
    Killed,
    Saying,
    Says,
    asker_of,
    doubling,
    files_of,
    requests_of,
    shuffled,
    text_of,
    twice,
    write_numbers,
)

PARALLEL = 3


def all_but(text: str) -> Says:
    """The endpoint of numbers, which never answers one request."""

    def says(at: Endpoint, messages: Messages) -> Completion:
        if text_of(messages) == text:
            raise NoAnswerError("away", None)
        return twice(at, messages)

    return says


def stopping(way: str, at: int) -> Callable[[int, Messages], None]:
    """End a run when so many questions were asked: as a kill does, as one who cancels, or as an endpoint does."""

    def before(asked: int, _messages: Messages) -> None:
        if asked < at:
            return
        if way == "killed":
            raise Killed
        if way == "away":
            raise NoAnswerError("away", None)
        if way == "refused":
            raise RefusedError(AT.base, "answers 401", 401)
        if way == "broken":
            raise KeyError("a fault of ours")

    return before


WAYS = {
    "killed": BaseExceptionGroup,
    "away": DependencyError,
    "refused": RefusedError,
    "broken": KeyError,
}


def stop(stage: Stage[Any], client: Saying, way: str, at: int) -> None:
    """Run until so many requests were answered, or for a budget of so many, and see it end as it must."""
    if way == "budget":
        asker = asker_of(client, AskingSettings(PARALLEL, limits=Limits(tokens=max(1, at * sum(TOKENS)))))
        report = made(stage, asker)
        assert (report.stopped is None) == (report.left == 0) == (at >= REQUESTS)
        return
    asker = asker_of(client, AskingSettings(PARALLEL))
    if way == "cancelled":
        asyncio.run(_cancelled(stage, asker, client, at))
    elif at >= REQUESTS:
        made(stage, asker)
    else:
        with pytest.raises(WAYS[way]):
            made(stage, asker)


async def _cancelled(stage: Stage[Any], asker: Asker, client: Saying, at: int) -> None:
    running = asyncio.create_task(run_stage(stage, asker))
    await client.was_asked(at)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert client.under_way == 0


EVERY, SOME = range(REQUESTS + 1), (0, 1, 7, REQUESTS - 1)


@pytest.mark.parametrize(
    ("way", "ends"),
    [("killed", EVERY), ("cancelled", EVERY), ("budget", EVERY), ("away", EVERY), ("refused", SOME), ("broken", SOME)],
)
def test_a_run_that_ends_after_any_answer_goes_on_to_the_same_bytes(
    source: Path, whole: dict[str, bytes], tmp_path: Path, way: str, ends: Sequence[int]
) -> None:
    for at in ends:
        stage = doubling(source, tmp_path / str(at))
        ended = Saying(twice, turns=shuffled(at), before=stopping(way, at))
        stop(stage, ended, way, at)
        told = [path.name for path in parts_of(stage.folder)]
        assert told == sorted(told), "parts are there in their order"
        client = Saying(twice, turns=shuffled(at + 1))
        client.asked.update(ended.asked)
        report = made(stage, asker_of(client, AskingSettings(PARALLEL)))
        assert files_of(stage.folder) == whole, at
        assert rows(report) == DONE
        assert report.spent[LLM].answers == REQUESTS
        assert client.again <= PARALLEL
        if way not in {"killed", "cancelled"}:
            assert client.again == 0, "what was under way was waited for"


@settings(max_examples=25)
@given(
    parts=st.lists(st.lists(st.integers(1, 30), max_size=4), min_size=1, max_size=6),
    parallel=st.integers(1, 5),
    ends=st.lists(st.tuples(st.sampled_from(["killed", "away", "refused"]), st.integers(0, 10)), max_size=3),
    seed=st.integers(0, 99),
)
def test_any_source_ended_at_any_answers_again_and_again_comes_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[list[int]],
    parallel: int,
    ends: list[tuple[str, int]],
    seed: int,
) -> None:
    home, seen = tmp_path_factory.mktemp("any"), Saying(twice)
    parts = [[row * 100 + number for row, number in enumerate(part)] for part in parts]
    source = write_numbers(home / "numbers", *parts)
    made(doubling(source, home / "whole"), asker_of(Saying(twice), AskingSettings(parallel=1)))
    stage = doubling(source, home / "ended")
    paid = 0
    for way, at in [*ends, ("killed", 1_000)]:
        client = Saying(twice, turns=shuffled(seed), before=stopping(way, at))
        try:
            made(stage, asker_of(client, AskingSettings(parallel)))
        except (BaseExceptionGroup, DependencyError, RefusedError):
            paid += way == "killed"
        seen.asked.update(client.asked)
    assert files_of(stage.folder) == files_of(home / "whole")
    assert seen.asked.total() <= requests_of([n for part in parts for n in part]) + parallel * paid


def test_no_part_is_there_before_an_earlier_one(tmp_path: Path) -> None:
    """One answer of the first part does not come: the others are made, wait in their journals, and are taken up."""
    source, folder = write_numbers(tmp_path / "numbers", [1, 2], [4], [8], [11]), tmp_path / "doubled"

    class Slow(Saying):
        async def complete(self, at: Endpoint, messages: Messages, *, temperature: float) -> Completion:
            if text_of(messages) == "2/1" and slow:
                await asyncio.Event().wait()
            return await super().complete(at, messages, temperature=temperature)

    slow, client = True, Slow(twice)

    async def ended() -> None:
        running = asyncio.create_task(run_stage(doubling(source, folder), asker_of(client)))
        await client.was_asked(2)
        for _ in range(20):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(ended())
    assert parts_of(folder) == []
    journals = sorted(path.name for path in folder.iterdir())
    assert journals == [f"journal-0000{i}.jsonl" for i in range(OPEN_AT_ONCE)], "so many parts are open, and no more"
    slow = False
    assert made(doubling(source, folder), asker_of(client)).left == 0
    assert sorted(client.order) == ["1/1", "11/1", "2/1", "4/1", "8/1"], "each was answered once"


def test_what_lies_in_the_journals_of_later_parts_is_in_the_budget(tmp_path: Path) -> None:
    """Three parts of two, ended after five answers of 10 tokens: under 55 nothing more fits."""
    source, folder = write_numbers(tmp_path / "numbers", [1, 2], [4, 8], [11, 13]), tmp_path / "doubled"

    client = Saying(all_but("1/1"), turns=lambda text: 50 if text == "1/1" else 0)
    with pytest.raises(DependencyError, match="away; 3 of 3 parts of doubling are left, what was answered is kept"):
        made(doubling(source, folder), asker_of(client, AskingSettings(6)))
    again = Saying(twice)
    report = made(doubling(source, folder), asker_of(again, AskingSettings(6, limits=Limits(tokens=55))))
    assert report.stopped == "budget of 55 tokens: 50 are spent"
    assert (report.left, again.asked.total()) == (3, 0)
    assert report.spent[LLM] == Spent(answers=5, prompt_tokens=35, completion_tokens=15)


def test_what_done_parts_cost_is_in_the_budget_of_the_next_run(source: Path, tmp_path: Path) -> None:
    stage, spent = doubling(source, tmp_path / "doubled"), list[int]()
    for tokens in (1, 40, 75, 115, 10_000):
        report = made(stage, asker_of(Saying(twice), AskingSettings(2, limits=Limits(tokens=tokens))))
        spent.append(report.spent[LLM].prompt_tokens + report.spent[LLM].completion_tokens)
        assert report.cost == 0.0
    assert spent == [20, 40, 70, 110, 130], "the first two begin at once, before it is known what one costs"


def test_a_journal_beside_a_part_that_is_done_goes(source: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    stage = doubling(source, tmp_path / "doubled")
    made(stage, asker_of(Saying(twice)))
    (stage.folder / "journal-00002.jsonl").write_bytes(b'{"of":"what was killed before it went"}\n["half')
    made(stage, asker_of(Saying(twice)))
    assert files_of(stage.folder) == whole


def test_a_journal_of_other_work_is_refused_before_anything_is_asked(source: Path, tmp_path: Path) -> None:
    folder, client = tmp_path / "doubled", Saying(twice)
    folder.mkdir()
    (folder / "journal-00004.jsonl").write_bytes(b'{"of":"other work"}\n')
    with pytest.raises(BadInputError, match=r"journal-00004\.jsonl: is of other work, must be of "):
        made(doubling(source, folder), asker_of(client))
    assert client.asked.total() == 0


def test_a_part_that_cannot_be_written_ends_the_run_and_its_answers_wait(tmp_path: Path) -> None:
    source, folder = write_numbers(tmp_path / "numbers", [1], [2], [4], [8], [11]), tmp_path / "doubled"
    client, in_the_way = Saying(twice), part_at(tmp_path / "doubled", 1)

    def advance(_rows: int) -> None:
        in_the_way.mkdir(exist_ok=True)  # no file takes the place of a folder

    with pytest.raises(IsADirectoryError):
        made(doubling(source, folder), asker_of(client), advance)
    in_the_way.rmdir()
    assert [path.name for path in parts_of(folder)] == ["part-00000.parquet"], "and none of the later ones"
    assert made(doubling(source, folder), asker_of(client)).left == 0
    assert client.again == 0


def test_after_an_end_no_further_item_is_begun(tmp_path: Path) -> None:
    source, client = write_numbers(tmp_path / "numbers", [1, 2, 4, 8, 11, 13]), Saying(all_but("4/1"))
    with pytest.raises(DependencyError):
        made(doubling(source, tmp_path / "doubled"), asker_of(client, AskingSettings(1)))
    assert client.order == ["1/1", "2/1", "4/1"]


def test_items_that_cannot_be_read_end_the_run_and_leave_no_journal(source: Path, tmp_path: Path) -> None:
    broken = write_numbers(tmp_path / "numbers", [1, 2], [4])
    write_part(broken, 2, pl.DataFrame({"other": [1]}), NOTHING, input="2", plan="numbers")
    with pytest.raises(BadInputError, match=r"part-00002\.parquet: columns == other Int64, must be number Int64"):
        made(doubling(broken, tmp_path / "doubled"), asker_of(Saying(twice)))
    found = sorted(path.name for path in (tmp_path / "doubled").iterdir())
    assert "journal-00002.jsonl" not in found
