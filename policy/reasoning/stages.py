"""What each stage of a recipe does with its parent, and the checkpoint that it leaves: made once, then measured."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError
from contracts.reasoning import Unparsed
from contracts.records import Digest
from policy.reasoning.evaluation import Evaluation
from policy.reasoning.measured import Made, evaluated, rewarded, sampled
from policy.reasoning.models.checkpoint import (
    Checkpoint,
    CheckpointRecord,
    Stage,
    read_checkpoint,
    weights_digest,
    write_checkpoint,
)
from policy.reasoning.recipe_settings import Recipe
from policy.reasoning.rows import Row
from policy.reasoning.training.dpo import choose_pairs, run_dpo
from policy.reasoning.training.rewards import ConsistencyJudge, read_answer
from policy.reasoning.training.rl import run_reinforce
from policy.reasoning.training.sft import run_sft

Tick = Callable[[str], None]
Train = Callable[[Checkpoint], Any]
"""A parent in, the trained model out."""


def stages_of(
    recipe: Recipe,
    taught: Sequence[Row],
    hard: Sequence[Row] | None,
    judge: ConsistencyJudge | None,
    out: Path,
    tick: Tick,
) -> dict[Stage, Train]:
    """What each stage does; `hard` is what RL learns from, None what the model does not always get right."""
    runs = out / "runs"
    reasoned = [row for row in taught if row.completion]
    once = list({row.row_id: row for row in taught}.values())

    def sft(parent: Checkpoint) -> Any:
        if not reasoned:
            tick("sft: nothing to learn, no row has a reasoning")
            return parent.model
        return run_sft(parent, reasoned, runs / "sft", recipe.sft, tick=tick)

    def dpo(parent: Checkpoint) -> Any:
        some = [row for row in once if row.completion][: recipe.sampled_rows]
        chosen = choose_pairs(some, sampled(parent, some, recipe))
        tick(f"dpo: of {len(some)} rows {', '.join(f'{n} {what}' for what, n in chosen.counts.items())}")
        if not chosen.pairs:
            tick("dpo: nothing to learn, every sampled answer is right")
            return parent.model
        return run_dpo(parent, chosen.pairs, runs / "dpo", recipe.dpo, tick=tick)

    def rl(parent: Checkpoint) -> Any:
        chosen = hard
        if chosen is None:
            some = once[: 2 * recipe.sampled_rows]
            hardest = hard_rows(some, sampled(parent, some, recipe))
            chosen = among_others(hardest, once)
            tick(f"rl: {len(hardest)} of {len(some)} rows are not answered rightly every time")
            tick(
                f"rl: {len(chosen) - len(hardest)} others beside them, so that each answer is as frequent as among all"
            )
        if len(chosen) * recipe.rl.answers < recipe.rl.rollout_batch:
            tick(f"rl: {len(chosen)} hard rows do not fill a rollout, all rows are taken")
            chosen = once
        if len(chosen) * recipe.rl.answers < recipe.rl.rollout_batch:
            tick(f"rl: left out, {len(chosen)} rows do not fill a rollout of {recipe.rl.rollout_batch} answers")
            return parent.model
        return run_reinforce(
            parent,
            chosen,
            runs / "rl",
            recipe.rl,
            steps=recipe.rl_steps,
            answer_tokens=recipe.answer_tokens,
            judge=judge,
            tick=tick,
        )

    return {"sft": sft, "dpo": dpo, "rl": rl}


def make_stage(
    stage: Stage,
    parent: Path,
    train: Train,
    held: Sequence[Row],
    judge: ConsistencyJudge | None,
    out: Path,
    recipe: Recipe,
    data: Digest,
    tick: Tick,
) -> Made:
    """Make a stage's checkpoint in OUT, unless it is there, and measure it on the held-out rows."""
    folder, seconds = out / stage, None
    named = {str(stage), "seed", "held_out"}
    settings = {name: str(value) for name, value in asdict(recipe).items() if name in named}
    if not folder.exists():
        began = time.perf_counter()
        start = read_checkpoint(parent)
        model = train(start)
        seconds = time.perf_counter() - began
        checkpoint = Checkpoint(model, start.processor, None)
        found, reward = evaluated(checkpoint, held, recipe), rewarded(checkpoint, held, judge, recipe)
        record = CheckpointRecord(
            stage=stage,
            model_type=model.config.model_type,
            parent=weights_digest(parent),
            data=data,
            settings=settings,
            figures=_figures(found) | {"reward": reward.mean},
            frames=recipe.budget.frames,
            chars=recipe.budget.chars,
        )
        write_checkpoint(folder, model, start.processor, record)
    else:
        checkpoint = read_checkpoint(folder)
        _refuse_another(folder, checkpoint.record, weights_digest(parent), data, settings)
        found, reward = evaluated(checkpoint, held, recipe), rewarded(checkpoint, held, judge, recipe)
    made = Made(stage, folder, found, reward, seconds)
    tick(f"{stage}: tag {found.tag}, reward {reward.mean:.3f}" + ("" if seconds is None else f", {seconds:.0f} s"))
    return made


def _refuse_another(
    folder: Path, record: CheckpointRecord | None, parent: Digest, data: Digest, settings: Mapping[str, str]
) -> None:
    """Raise `BadInputError` where a checkpoint that is there was not made as this one would be."""
    if record is None:
        raise BadInputError(f"{folder}: has no record, must be a checkpoint of this recipe; take another folder")
    for what, then, now in (
        ("parent", record.parent, parent),
        ("data", record.data, data),
        ("settings", dict(record.settings), settings),
    ):
        if then != now:
            raise BadInputError(f"{folder}: {what} == {now}, it was made with {then}; take another folder")


def hard_rows(rows: Sequence[Row], answers: Sequence[Sequence[str]]) -> list[Row]:
    """The rows that are not answered rightly every time: what RL is for (R1-Reward, arXiv 2505.02835, 4.2)."""

    def right(row: Row, text: str) -> bool:
        read = read_answer(text, row.task, row.solution)
        return not isinstance(read, Unparsed) and read.answer == row.solution

    return [row for row, said in zip(rows, answers, strict=True) if not all(right(row, text) for text in said)]


def among_others(hard: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """The hard rows with so many of the others that each answer is as frequent as among all `rows`.

    Of hard rows alone a policy learns which answer is hard, and gives it oftener: where 53 of 71 were good videos, the
    tag accuracy fell. What R1-Reward learns from, pairs in both orders, has each answer equally often already.
    """
    share, have = Counter(row.solution for row in rows), Counter(row.solution for row in hard)
    size = max((times * len(rows) / share[answer] for answer, times in have.items()), default=0.0)
    missing = Counter({answer: round(size * share[answer] / len(rows)) - have[answer] for answer in share})
    taken, chosen = {row.row_id for row in hard}, list(hard)
    for row in rows:
        if row.row_id not in taken and missing[row.solution] > 0:
            missing[row.solution] -= 1
            chosen.append(row)
    return chosen


def _figures(found: Evaluation) -> dict[str, float]:
    return {
        "held_out": float(found.tag.n),
        "tag_accuracy": found.tag.value,
        "binary_accuracy": found.binary.value,
        "form": found.form.value,
    }
