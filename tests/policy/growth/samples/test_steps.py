"""Matched pictures through strike, questions and referees by the real engine, with models that are not perfect."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.errors import DependencyError
from policy.growth.calls.ask import LLM
from policy.growth.calls.asker import Asker, AskingSettings
from policy.growth.calls.client import NoAnswerError
from policy.growth.calls.stage import Stage, StageReport, run_stage
from policy.growth.parts import dropped_of, parts_of, totals
from policy.growth.samples import questions, referee, strike
from policy.growth.samples.export import CONVERSATIONS, export
from policy.growth.samples.questions import QuestionSettings, question_stage
from policy.growth.samples.referee import SEATS, Agreement, agreement, referee_stage
from policy.growth.samples.strike import ShowingSettings, strike_stage
from policy.reasoning.endpoint import Completion, Endpoint
from policy.reasoning.question import Messages
from tests.policy.growth.calls.saying import Killed, Saying, files_of, shuffled, text_of
from tests.policy.growth.samples.home import ID, TYPES, write_matches

AT: Mapping[str, Endpoint] = {seat: Endpoint(f"http://127.0.0.1:1/{seat}/v1", "m") for seat in (LLM, *SEATS)}
SHOWING, PARALLEL = ShowingSettings(tries=2), 3
STEPS = ("struck", "questions", "judged")
MATCHED: tuple[dict[int, list[str]], ...] = (
    {1: ["Bars", "Pies", "Signs"], 2: ["Streets"], 3: []},
    {4: list(ID)},
    {},
    {5: ["Menus", "Signs"], 6: ["Signs", "Menus", "Streets"], 7: list(ID), 8: ["Pies", "Bars"]},
)
FEW: tuple[dict[int, list[str]], ...] = ({1: ["Bars", "Pies", "Signs"], 3: []}, {8: ["Pies", "Bars"]})


def drawn(*told: str) -> int:
    """A number in [0, 100) that hangs on what is told alone."""
    return int.from_bytes(hashlib.sha256("\0".join(told).encode()).digest()[:4], "big") % 100


def imperfect(at: Endpoint, messages: Messages) -> Completion:
    """Now and then says nothing of use, strikes a third, forgets some, lets half pass; each model by itself."""
    task, text = messages[0]["content"], text_of(messages)
    picture = str(messages[1]["content"][0])
    lines = [line for line in text.split("\n") if line[:1].isdigit()]
    if drawn(at.base, picture, text) < 12:
        return Completion("I would rather describe the picture.", 40, 5)
    if task.startswith(strike.TASK):
        struck = [number for number, line in enumerate(lines, 1) if drawn(picture, line[3:]) < 33]
        return Completion(json.dumps({"strike": struck}), 40, 5)
    if task.startswith(questions.TASK):
        wrote = [n for n, line in enumerate(lines, 1) if drawn(picture, line[3:], text) >= 30]
        samples = [{"type": n, "question": f"What of {lines[n - 1][3:]}?", "answer": "That."} for n in wrote]
        return Completion(json.dumps({"samples": samples}), 40, 30)
    assert task.startswith(referee.TASK)
    return Completion(json.dumps({"scores": [int(drawn(at.base, picture, n) < 55) for n in lines]}), 60, 5)


def through(home: Path, client: Saying) -> list[StageReport]:
    """All three steps, each by an asker of its own."""

    async def step(stage: Stage[Any], *seats: str) -> StageReport:
        asker = Asker({seat: AT[seat] for seat in seats}, client, AskingSettings(PARALLEL))
        return await asyncio.wait_for(run_stage(stage, asker), 20)

    async def run() -> list[StageReport]:
        referees = {seat: AT[seat] for seat in SEATS}
        return [
            await step(strike_stage(home, TYPES, AT[LLM], SHOWING), LLM),
            await step(question_stage(home, TYPES, AT[LLM], QuestionSettings(SHOWING, types=2)), LLM),
            await step(referee_stage(home, TYPES, referees, SHOWING), *SEATS),
        ]

    return asyncio.run(run())


def written(home: Path) -> dict[str, dict[str, bytes]]:
    return {step: files_of(home / step) for step in STEPS}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_matches(tmp_path_factory.mktemp("steps"), *MATCHED)


@pytest.fixture(scope="module")
def client(home: Path) -> Saying:
    """Who answered an uninterrupted run in that home: the same request twice where a first answer was of no use."""
    client = Saying(imperfect)
    through(home, client)
    return client


def table(folder: Path, *, dropped: bool = False) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(dropped_of(part) if dropped else part) for part in parts_of(folder)])


def test_each_row_that_comes_into_a_step_is_kept_or_dropped_with_a_reason(home: Path, client: Saying) -> None:
    assert client.again > 0
    matched, struck, asked, judged = (totals(home / step) for step in ("matches", *STEPS))
    assert matched.kept == struck.n_in == 8
    left = table(home / "struck")["node_ids"].list.len().sum()
    assert left == asked.n_in
    assert asked.kept == judged.n_in
    done = export(home, home / "out")
    assert done.samples == judged.kept == len(json.loads((home / "out" / CONVERSATIONS).read_bytes()))
    for step in (struck, asked, judged):
        assert step.dropped, "the models are bad enough for every step to drop some"
        assert step.kept


def test_each_picture_and_type_is_in_one_place_after_each_step(home: Path, client: Saying) -> None:
    assert client.asked
    struck = table(home / "struck")
    matches = pl.concat(map(pl.read_parquet, parts_of(home / "matches")))
    near = {picture: set(ids) for picture, ids, _ in matches.rows()}
    for picture, kept, gone in struck.rows():
        assert set(kept) | set(gone) == near[picture]
        assert not set(kept) & set(gone)
    pairs = [(picture, node) for picture, kept, _ in struck.rows() for node in kept]
    kept, dropped = table(home / "questions"), table(home / "questions", dropped=True)
    both = [*kept.select("picture_id", "node_id").rows(), *dropped.select("picture_id", "node_id").rows()]
    assert sorted(both) == sorted(pairs)
    assert kept["sample_id"].n_unique() == kept.height
    judged = [*table(home / "judged").rows(), *table(home / "judged", dropped=True).rows()]
    assert sorted(row[:5] for row in judged) == sorted(kept.rows())


def test_what_is_kept_has_two_votes_and_what_is_not_has_fewer(home: Path, client: Saying) -> None:
    assert client.asked
    for scores in table(home / "judged")["scores"].to_list():
        assert sum(score == 1 for score in scores) >= 2
    rows = table(home / "judged", dropped=True).select("scores", "reason", "detail").rows()
    for scores, reason, detail in rows:
        given = [score for score in scores if score is not None]
        assert reason == f"{sum(given)} of {len(given)} votes"
        assert sum(given) < 2
        assert detail.count("referee-") == 3 - len(given)
    assert agreement(home).n == sum(
        None not in scores for dropped in (False, True) for scores in table(home / "judged", dropped=dropped)["scores"]
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_order_in_which_answers_come_changes_no_byte(home: Path, client: Saying, tmp_path: Path, seed: int) -> None:
    again = Saying(imperfect, turns=shuffled(seed))
    through(write_matches(tmp_path, *MATCHED), again)
    assert written(tmp_path) == written(home)
    assert again.asked == client.asked
    assert again.arrived != client.arrived


def test_a_kill_after_any_answer_changes_no_byte_and_costs_no_more_than_was_under_way(tmp_path: Path) -> None:
    home, client = write_matches(tmp_path / "whole", *FEW), Saying(imperfect)
    through(home, client)
    for at in range(client.asked.total()):
        killed = shutil.copytree(home, tmp_path / str(at), ignore=shutil.ignore_patterns(*STEPS))

        def before(asked: int, _messages: Messages, at: int = at) -> None:
            if asked == at:
                raise Killed

        ended = Saying(imperfect, turns=shuffled(at), before=before)
        with pytest.raises(BaseExceptionGroup):
            through(killed, ended)
        after = Saying(imperfect, turns=shuffled(at + 1))
        after.asked.update(ended.asked)
        through(killed, after)
        assert written(killed) == written(home), at
        assert after.again - client.again <= PARALLEL


def away_for(seats: tuple[str, ...]) -> Saying:
    def says(at: Endpoint, messages: Messages) -> Completion:
        if any(at == AT[seat] for seat in seats):
            raise NoAnswerError(f"{at.base}: does not answer in 180 s: answers 503", 503)
        return imperfect(at, messages)

    return Saying(says)


@pytest.mark.parametrize("seat", SEATS)
def test_two_referees_decide_where_the_third_is_away(home: Path, client: Saying, tmp_path: Path, seat: str) -> None:
    assert client.asked
    client = away_for((seat,))
    report = through(write_matches(tmp_path, *MATCHED), client)[-1]
    assert report.left == 0
    assert written(tmp_path)["questions"] == written(home)["questions"]
    assert totals(tmp_path / "judged").n_in == totals(home / "judged").n_in
    at = SEATS.index(seat)
    rows = {row[0]: row[5] for dropped in (False, True) for row in table(home / "judged", dropped=dropped).rows()}
    for dropped in (False, True):
        for row in table(tmp_path / "judged", dropped=dropped).rows():
            assert row[5] == [None if i == at else score for i, score in enumerate(rows[row[0]])]
            assert not dropped or f"{seat}: is away" in row[7]
    assert agreement(tmp_path) == Agreement(0, None)
    assert sum(times for (base, _), times in client.asked.items() if base == AT[seat].base) == 3, "and it is left alone"


def test_one_referee_alone_does_not_decide_and_what_it_said_is_kept(home: Path, client: Saying, tmp_path: Path) -> None:
    write_matches(tmp_path, *MATCHED)
    down = away_for(SEATS[1:])
    with pytest.raises(DependencyError, match=r"answers 503; 4 of 4 parts of referee are left, what was answered is"):
        through(tmp_path, down)
    assert parts_of(tmp_path / "judged") == []
    up, gone = Saying(imperfect), {AT[seat].base for seat in SEATS[1:]}
    up.asked.update({asked: times for asked, times in down.asked.items() if asked[0] not in gone})
    through(tmp_path, up)
    assert written(tmp_path) == written(home)
    assert up.asked == client.asked
