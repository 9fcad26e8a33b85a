"""The recipe in short: every stage on the tiny VLM, what is made once is not made again, and its endpoint answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from policy.reasoning.adjudicator import VotingAdjudicator
from policy.reasoning.endpoint import ChatClient, Endpoint
from policy.reasoning.measured import Reward
from policy.reasoning.models.checkpoint import read_record, weights_digest
from policy.reasoning.recipe import balanced, make_stages, run_recipe, split
from policy.reasoning.recipe_settings import TINY, Recipe, read_recipe
from policy.reasoning.rows import Row, question_of
from policy.reasoning.stages import among_others, hard_rows
from policy.reasoning.training.consistency import WordsJudge
from policy.reasoning.training.dpo import DpoSettings
from policy.reasoning.training.settings import ReinforceSettings
from policy.reasoning.training.sft import SftSettings
from streams.painted import usual_videos
from tests.policy.reasoning.models.conftest import BUDGET, SHAPE, built, rows

__all__ = ["built", "rows"]
SHORT = Recipe(
    sft=SftSettings(steps=4, batch=8, learning_rate=3e-3, save_every=10),
    dpo=DpoSettings(steps=2, batch=4, learning_rate=1e-4),
    rl=ReinforceSettings(learning_rate=1e-4, rollout_batch=16, train_batch=8, micro_batch=8, answers=2),
    rl_steps=2,
    budget=BUDGET,
    samples=2,
    sampled_rows=8,
    answer_tokens=12,
)


@contextmanager
def served(checkpoint: Path) -> Iterator[dict[str, str]]:
    """`precedent judge` in a process of its own; yields its ready line."""
    command = [sys.executable, "-m", "cli", "judge", "--checkpoint", str(checkpoint), "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(next(line for line in process.stdout if line.startswith("{")))
        finally:
            process.terminate()


def test_every_stage_is_made_once_from_the_one_before_and_the_last_one_serves(
    rows: list[Row], built: Path, tmp_path: Path
) -> None:
    ticks: list[str] = []
    made = run_recipe(rows, tmp_path / "vlm", SHORT, start=built, judge=WordsJudge(), tick=ticks.append)
    assert [one.stage for one in made] == ["sft", "dpo", "rl"]
    parents = [built, tmp_path / "vlm" / "sft", tmp_path / "vlm" / "dpo"]
    _, held = split(balanced(rows), SHORT.held_out)
    for one, parent in zip(made, parents, strict=True):
        record = read_record(one.folder)
        assert record is not None
        assert (record.stage, record.parent) == (one.stage, weights_digest(parent))
        assert (record.frames, record.chars) == (BUDGET.frames, BUDGET.chars)
        assert record.figures["held_out"] == one.evaluation.tag.n == len(held) > 0
        assert one.seconds is not None
    assert weights_digest(made[0].folder) != weights_digest(made[1].folder)
    page = (tmp_path / "vlm" / "recipe.html").read_text()
    assert "<h2>sft</h2>" in page
    assert "<h2>rl</h2>" in page
    again = run_recipe(rows, tmp_path / "vlm", SHORT, start=built, judge=WordsJudge())
    assert [(one.evaluation, one.seconds) for one in again] == [(one.evaluation, None) for one in made]

    [case, *_] = [shown.evidence for shown in usual_videos(1, 9, SHAPE)]
    with served(made[-1].folder) as ready:
        assert (ready["part"], ready["frames"], ready["chars"]) == ("judge", BUDGET.frames, BUDGET.chars)
        client = ChatClient(Endpoint(ready["address"], str(made[-1].folder.resolve()), most_tokens=12))
        opinion = VotingAdjudicator(client.complete, 2, BUDGET).opinion(question_of(case.case, case.frames))
        assert opinion.asked == 2
        assert sum(opinion.votes.values()) + sum(opinion.unparsed.values()) == 2


def test_too_little_to_learn_from_or_too_much_to_read_is_refused(rows: list[Row], built: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"8 rows of .* the recipe needs at least 40 of at least 2"):
        run_recipe(rows[:8], tmp_path / "vlm", TINY)
    with pytest.raises(BadInputError, match="held_out == 0"):
        split(rows, 0.0)
    assert not (tmp_path / "vlm").exists()
    with pytest.raises(BadInputError, match=r"rows do not fit the context, the longest is .* lower the budget's"):
        run_recipe(rows, tmp_path / "vlm", replace(SHORT, answer_tokens=2_000), start=built)


def test_the_held_out_rows_are_the_same_whoever_asks(rows: list[Row]) -> None:
    taught, held = split(rows, 0.3)
    again, _ = split(list(reversed(rows)), 0.3)
    assert {row.row_id for row in again} == {row.row_id for row in taught}
    assert len(taught) + len(held) == len(rows)
    assert held


def test_what_fills_no_rollout_is_left_out_of_rl_and_said(rows: list[Row], built: Path, tmp_path: Path) -> None:
    told: list[str] = []
    few = [replace(row, completion="") for row in rows[:6]]
    [made] = make_stages(few, rows[6:9], tmp_path / "vlm", SHORT, start=built, stages=["rl"], tick=told.append)
    assert "rl: left out, 6 rows do not fill a rollout of 16 answers" in told
    assert weights_digest(made.folder) == weights_digest(built)


def test_hard_rows_are_those_that_are_not_answered_rightly_every_time(rows: list[Row]) -> None:
    first, second, third, *_ = rows
    wrong = next(row.completion for row in rows if row.solution != first.solution)
    answers = [[first.completion, wrong], [second.completion] * 2, [third.completion, "so it is"]]
    assert hard_rows([first, second, third], answers) == [first, third]


def test_beside_hard_rows_each_answer_is_as_frequent_as_among_all(rows: list[Row]) -> None:
    def made(answer: str, n: int) -> list[Row]:
        return [replace(rows[0], row_id=f"{answer}-{at}", solution=answer) for at in range(n)]

    good, abuse, plagiarism = made("positive", 40), made("abuse_and_hate", 20), made("plagiarism", 20)
    hard = [*good[:6], abuse[0]]  # 6 of 40 good ones: as often, 3 of each 20 others
    found = [row.row_id for row in among_others(hard, [*good, *abuse, *plagiarism])]
    assert found == [
        *(row.row_id for row in hard),
        *("abuse_and_hate-1", "abuse_and_hate-2"),
        *("plagiarism-0", "plagiarism-1", "plagiarism-2"),
    ]
    assert among_others([], good) == []


def test_rewards_are_compared_row_by_row() -> None:
    gain, half = Reward((2.0, 1.5, 1.0, 1.5)).gain(Reward((1.0, 1.5, 1.0, 1.5)))
    assert gain == 0.25
    assert half == pytest.approx(1.96 * 0.5 / 2)


def test_good_rows_are_no_more_than_the_others(rows: list[Row]) -> None:
    kept = balanced(rows)
    good = [row for row in kept if row.solution == "positive"]
    others = [row for row in rows if row.solution != "positive"]
    assert len(good) == min(len(others), len(rows) - len(others))
    assert good == [row for row in rows if row.solution == "positive"][: len(good)]
    assert [row for row in kept if row not in good] == others


def test_a_recipe_is_read_from_toml_and_what_is_wrong_in_it_is_named(tmp_path: Path) -> None:
    read = read_recipe(Path(__file__).parents[3] / "deploy" / "vllm" / "qwen-7b.toml")
    assert (read.rl.learning_rate, read.rl.kl, read.rl.rollout_batch, read.rl.train_batch) == (3e-7, 1e-3, 256, 128)
    assert (read.budget.frames, read.sft.batch, read.rl.parts.pre_clip) == (8, 4, True)
    file = tmp_path / "recipe.toml"
    file.write_text('[rl]\nalgorithm = "reinforce_plus_plus"\nkl = 0')
    assert read_recipe(file).rl.parts.pre_clip is False
    for text, said in {
        "[sft]\nsteps = 0": r"\[sft\]: .*steps, batch and save_every must be at least 1",
        "[sft]\nstep = 1": r"\[sft\] has 'step', must be one of steps, batch",
        "[dpo]\nbatch = true": r"\[dpo\] batch == True, must be of type int",
        "rl = 3": r"rl == 3, must be a table",
        '[rl]\nalgorithm = "grpo"': r"\[rl\] algorithm == 'grpo', must be one of stable_reinforce",
        "[rl]\nrollout_batch = 10\ntrain_batch = 5\nmicro_batch = 5": r"\[rl\]: .*filter",
        "samples": "must be a recipe in TOML",
    }.items():
        file.write_text(text)
        with pytest.raises(BadInputError, match=said):
            read_recipe(file)
