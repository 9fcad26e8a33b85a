"""Parts in, parts out: what a stage makes of its source, in which order, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from policy.growth.calls.ask import LLM
from policy.growth.calls.asker import AskingSettings
from policy.growth.calls.stage import OPEN_AT_ONCE
from policy.growth.parts import dropped_of, part_at, parts_of, read_part
from policy.reasoning.question import Messages
from policy.reasoning.teaching.account import Limits, Spent
from tests.policy.growth.calls.conftest import DONE, NUMBERS, PARTS, made, rows
from tests.policy.growth.calls.saying import (
    DROPPED,
    KEPT,
    Saying,
    asker_of,
    doubling,
    files_of,
    requests_of,
    shuffled,
    twice,
    write_numbers,
)


def test_every_number_of_the_source_is_kept_or_dropped_in_its_order_in_the_part_of_its_own(
    source: Path, tmp_path: Path
) -> None:
    report = made(doubling(source, tmp_path / "doubled"), asker_of(Saying(twice)))
    found = [
        (read_part(part, KEPT)["number"].to_list(), read_part(dropped_of(part), DROPPED)["number"].to_list())
        for part in parts_of(tmp_path / "doubled")
    ]
    assert found == [([1, 2, 4], [3]), ([], []), ([5], [6]), ([], []), ([8, 10], [9]), ([11], [])]
    assert read_part(part_at(tmp_path / "doubled", 4), KEPT)["said"].to_list() == ["16", "20"]
    assert rows(report) == DONE
    assert (report.left, report.stopped) == (0, None)
    assert report.spent == {LLM: Spent(answers=13, prompt_tokens=91, completion_tokens=39)}
    assert not list((tmp_path / "doubled").glob("journal-*"))


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_the_answers_changes_no_byte(
    source: Path, whole: dict[str, bytes], tmp_path: Path, seed: int
) -> None:
    client = Saying(twice, turns=shuffled(seed))
    made(doubling(source, tmp_path / "doubled"), asker_of(client, AskingSettings(parallel=5)))
    assert files_of(tmp_path / "doubled") == whole
    assert client.arrived != client.order, "they did arrive in another order"
    assert 1 < client.most_under_way <= 5


def test_a_run_with_nothing_left_asks_nothing_and_tells_the_same(source: Path, tmp_path: Path) -> None:
    stage, client = doubling(source, tmp_path / "doubled"), Saying(twice)
    first = made(stage, asker_of(client))
    again = Saying(twice)
    assert made(stage, asker_of(again)) == first
    assert again.asked.total() == 0


def test_progress_is_of_the_rows_of_the_source_in_any_run(source: Path, tmp_path: Path) -> None:
    told, stage = list[int](), doubling(source, tmp_path / "doubled")
    made(stage, asker_of(Saying(twice), AskingSettings(1, limits=Limits(tokens=50))), told.append)
    assert sorted(told) == [0, 1, 1, 1, 1], "the first part's four, the second's none; of the third half is paid"
    told.clear()
    made(stage, asker_of(Saying(twice)), told.append)
    assert (told[0], sum(told)) == (4, len(NUMBERS))


@pytest.mark.parametrize(
    ("items", "advances"), [([11, 13, 17], [2, 2, 3]), (list(range(11, 21)), [0, 1, 1, 0, 1, 1, 0, 1, 1, 1])]
)
def test_items_that_are_fewer_or_more_than_rows_share_them(
    tmp_path: Path, items: list[int], advances: list[int]
) -> None:
    """Seven rows in one part, made into three items and into ten."""
    source, told = write_numbers(tmp_path / "numbers", [1] * 7), list[int]()
    stage = replace(doubling(source, tmp_path / "doubled"), items=lambda _: items)
    made(stage, asker_of(Saying(twice), AskingSettings(1)), told.append)
    assert told == advances


def test_other_settings_and_another_source_need_another_folder(source: Path, tmp_path: Path) -> None:
    folder, client = tmp_path / "doubled", Saying(twice)
    made(doubling(source, folder), asker_of(Saying(twice)))
    with pytest.raises(BadInputError, match=r"part-00000\.parquet: plan == 'doubling', must be 'other'"):
        made(doubling(source, folder, plan="other"), asker_of(client))
    other = write_numbers(tmp_path / "other", [1], *PARTS[1:])
    with pytest.raises(BadInputError, match=r"part-00000\.parquet: input == .* made of another input"):
        made(doubling(other, folder), asker_of(client))
    fewer = write_numbers(tmp_path / "fewer", PARTS[0])
    with pytest.raises(BadInputError, match=r"part-00001\.parquet: its input makes 1 parts"):
        made(doubling(fewer, folder), asker_of(client))
    assert client.asked.total() == 0


def test_a_stage_whose_step_before_has_not_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"numbers: holds no part, the step before has not run"):
        made(doubling(tmp_path / "numbers", tmp_path / "doubled"), asker_of(Saying(twice)))
    assert not (tmp_path / "doubled").exists()


def test_a_source_that_grew_by_parts_is_taken_up(source: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    growing, folder = write_numbers(tmp_path / "numbers", *PARTS[:3]), tmp_path / "doubled"
    assert made(doubling(growing, folder), asker_of(Saying(twice))).left == 0
    write_numbers(growing, *PARTS)
    client = Saying(twice)
    made(doubling(growing, folder), asker_of(client))
    assert files_of(folder) == whole
    assert client.asked.total() == requests_of([number for part in PARTS[3:] for number in part])


@pytest.mark.parametrize("parallel", [1, 2, 64])
def test_more_workers_than_items_or_one_make_the_same(
    source: Path, whole: dict[str, bytes], tmp_path: Path, parallel: int
) -> None:
    client = Saying(twice)
    made(doubling(source, tmp_path / "doubled"), asker_of(client, AskingSettings(parallel)))
    assert files_of(tmp_path / "doubled") == whole
    assert client.most_under_way <= parallel


def test_at_most_three_parts_are_held_at_once(tmp_path: Path) -> None:
    source, folder = write_numbers(tmp_path / "numbers", *([n] for n in range(1, 40))), tmp_path / "doubled"
    open_at_once = list[int]()

    def before(_asked: int, _messages: Messages) -> None:
        open_at_once.append(len(list(folder.glob("journal-*"))))

    made(doubling(source, folder), asker_of(Saying(twice, before=before, turns=shuffled(1)), AskingSettings(16)))
    assert max(open_at_once) == OPEN_AT_ONCE
