"""Reasoned cases in, a VLM release out: SFT, DPO on its own wrong answers, RL, each measured on held-out cases.

cases -> rows -> held out by a hash of the case
              -> sft -> sampled answers -> pairs -> dpo -> rl
OUT/built, sft, dpo, rl   checkpoints, each with its record; one that is there is not made again
OUT/runs/STAGE            what training goes on from, and its curve
OUT/recipe.html           figures and curves, to be looked at
"""

import hashlib
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from contracts.errors import BadInputError
from contracts.reasoning import Unparsed
from contracts.records import Digest
from contracts.taxonomy import Category
from policy.reasoning.evaluation import Evaluation, evaluate
from policy.reasoning.models.checkpoint import (
    Checkpoint,
    CheckpointRecord,
    Stage,
    read_checkpoint,
    weights_digest,
    write_checkpoint,
)
from policy.reasoning.models.sampling import longer_than_context, sample
from policy.reasoning.models.tiny import TinySizes, build_tiny
from policy.reasoning.recipe_settings import TINY, Recipe
from policy.reasoning.rows import Row, texts_of
from policy.reasoning.training.curves import write_page
from policy.reasoning.training.dpo import choose_pairs, run_dpo
from policy.reasoning.training.folder import CURVE
from policy.reasoning.training.rewards import AnswerReward, ConsistencyJudge, read_answer
from policy.reasoning.training.rl import run_reinforce
from policy.reasoning.training.sft import run_sft

LEAST_ROWS = 40
Tick = Callable[[str], None]


class Reward(NamedTuple):
    """The mean reward of the answers that were sampled to each held-out row."""

    rows: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.rows)

    def gain(self, before: "Reward") -> tuple[float, float]:
        """What it is over another stage's on the same rows, and half of the 95% interval of that, paired by row."""
        gains = [after - then for after, then in zip(self.rows, before.rows, strict=True)]
        return statistics.fmean(gains), 1.96 * statistics.stdev(gains) / math.sqrt(len(gains))


class Made(NamedTuple):
    """A stage's checkpoint, what it is worth on held-out rows, and its seconds; None where it was there.

    evaluation: of the likeliest answer to each row. reward: of `samples` answers to each, by R1-Reward's formula.
    """

    stage: Stage
    folder: Path
    evaluation: Evaluation
    reward: Reward
    seconds: float | None


def balanced(rows: Sequence[Row]) -> list[Row]:
    """At most as many positive rows as violative ones, the first of them: most videos are good, most tags are not."""
    left = sum(row.solution != Category.POSITIVE.value for row in rows)
    kept = list[Row]()
    for row in rows:
        good = row.solution == Category.POSITIVE.value
        if not good or left > 0:
            kept.append(row)
        left -= good
    return kept


def split(
    rows: Sequence[Row], held_out: float, *, by: Callable[[Row], str] = lambda row: row.row_id
) -> tuple[list[Row], list[Row]]:
    """Rows to learn from and rows that are held out, by a hash of their ids: the same whoever asks.

    Rows that `by` names alike stay together.
    """
    if not 0.0 < held_out < 1.0:
        raise BadInputError(f"held_out == {held_out}, must be in (0, 1)")
    kept, out = list[Row](), list[Row]()
    for row in rows:
        drawn = int.from_bytes(hashlib.blake2b(by(row).encode(), digest_size=8).digest(), "big") / 2**64
        (out if drawn < held_out else kept).append(row)
    return kept, out


def run_recipe(
    rows: Sequence[Row],
    out: Path,
    recipe: Recipe = TINY,
    *,
    start: Path | None = None,
    judge: ConsistencyJudge | None = None,
    tick: Tick = lambda _: None,
) -> list[Made]:
    """Make what is not there yet of the stages, from `start` or from a tiny VLM built for these rows.

    Raises `BadInputError` for fewer than 40 rows, or rows of one category alone.
    """
    if len(rows) < LEAST_ROWS or len({row.solution for row in rows}) < 2:
        given = f"{len(rows)} rows of {len({row.solution for row in rows})} categories"
        raise BadInputError(f"{given}, the recipe needs at least {LEAST_ROWS} of at least 2")
    taught, held = split(balanced(rows), recipe.held_out)
    if start is None:
        out.mkdir(parents=True, exist_ok=True)
        start = out / "built"
        if not start.exists():
            build_tiny(start, texts_of(taught), sizes=TinySizes(), seed=recipe.seed)
    return make_stages(taught, held, out, recipe, start=start, judge=judge, tick=tick)


def make_stages(
    taught: Sequence[Row],
    held: Sequence[Row],
    out: Path,
    recipe: Recipe,
    *,
    start: Path,
    judge: ConsistencyJudge | None = None,
    hard: Sequence[Row] | None = None,
    stages: Sequence[Stage] = ("sft", "dpo", "rl"),
    tick: Tick = lambda _: None,
) -> list[Made]:
    """Make what is not there yet of the stages from `start` on, each measured on the rows `held`, and the page.

    A row counts as often as it is among `taught`; answers are sampled to the first of them. One without a completion
    is learned from by RL alone. `hard`: what RL learns from; None has the model answer, and takes what it gets wrong.
    """
    out.mkdir(parents=True, exist_ok=True)
    taught, held = _fitting(list(taught), list(held), start, recipe, tick)
    data = digest_of_rows(taught)
    made = list[Made]()
    parent = start
    every = _stages(recipe, taught, hard, judge, out, tick)
    for stage in stages:
        made.append(_make(stage, parent, every[stage], held, judge, out, recipe, data, tick))
        parent = made[-1].folder
    runs = {str(one.stage): out / "runs" / one.stage for one in made}
    runs = {stage: run for stage, run in runs.items() if (run / CURVE).is_file()}
    write_page(out / "recipe.html", runs, table_of(made), title="From reasoned cases to a VLM release")
    return made


def _fitting(
    taught: list[Row], held: list[Row], start: Path, recipe: Recipe, tick: Tick
) -> tuple[list[Row], list[Row]]:
    """The rows that fit the model's context with an answer; raises `BadInputError` where a tenth of them does not."""
    model, processor, _ = read_checkpoint(start)
    long = longer_than_context(model, processor, [*taught, *held], recipe.answer_tokens)
    if not long:
        return taught, held
    row_id, tokens = max(long.items(), key=lambda one: one[1])
    told = f"{len(long)} rows do not fit the context, the longest is {row_id} with {tokens} tokens"
    if 10 * len(long) > len(taught) + len(held):
        raise BadInputError(f"{told}: lower the budget's frames or chars, or answer_tokens")
    tick(f"left out: {told}")
    return [row for row in taught if row.row_id not in long], [row for row in held if row.row_id not in long]


def hard_rows(rows: Sequence[Row], answers: Sequence[Sequence[str]]) -> list[Row]:
    """The rows that are not answered rightly every time: what RL is for (R1-Reward, arXiv 2505.02835, 4.2)."""

    def right(row: Row, text: str) -> bool:
        read = read_answer(text, row.task, row.solution)
        return not isinstance(read, Unparsed) and read.answer == row.solution

    return [row for row, said in zip(rows, answers, strict=True) if not all(right(row, text) for text in said)]


def digest_of_rows(rows: Sequence[Row]) -> Digest:
    """`sha256:` over what the rows ask and hold as right, pictures included."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update("\0".join((row.row_id, row.solution, row.completion, *texts_of([row]))).encode())
        for picture in row.pictures:
            digest.update(picture.tobytes())
    return f"sha256:{digest.hexdigest()}"


def table_of(made: Sequence[Made]) -> list[tuple[str, ...]]:
    """The figures of each stage, with a heading."""
    rows: list[tuple[str, ...]] = [("stage", "tag accuracy", "form", "reward of samples", "seconds")]
    before: Reward | None = None
    for one in made:
        took = "was there" if one.seconds is None else f"{one.seconds:.1f}"
        found = one.evaluation
        reward = f"{one.reward.mean:.3f}"
        if before is not None:
            reward += " ({:+.3f} ± {:.3f})".format(*one.reward.gain(before))
        before = one.reward
        rows.append((one.stage, str(found.tag), str(found.form), reward, took))
    return rows


def _stages(
    recipe: Recipe,
    taught: Sequence[Row],
    hard: Sequence[Row] | None,
    judge: ConsistencyJudge | None,
    out: Path,
    tick: Tick,
) -> dict[Stage, Callable[[Checkpoint], Any]]:
    runs = out / "runs"
    reasoned = [row for row in taught if row.completion]
    once = list({row.row_id: row for row in taught}.values())

    def sampled(parent: Checkpoint, some: Sequence[Row]) -> list[list[str]]:
        return _sampled(parent, some, recipe)

    def sft(parent: Checkpoint) -> Any:
        if not reasoned:
            tick("sft: nothing to learn, no row has a reasoning")
            return parent.model
        return run_sft(parent, reasoned, runs / "sft", recipe.sft, tick=tick)

    def dpo(parent: Checkpoint) -> Any:
        some = [row for row in once if row.completion][: recipe.sampled_rows]
        chosen = choose_pairs(some, sampled(parent, some))
        tick(f"dpo: of {len(some)} rows {', '.join(f'{n} {what}' for what, n in chosen.counts.items())}")
        if not chosen.pairs:
            tick("dpo: nothing to learn, every sampled answer is right")
            return parent.model
        return run_dpo(parent, chosen.pairs, runs / "dpo", recipe.dpo, tick=tick)

    def rl(parent: Checkpoint) -> Any:
        chosen = hard
        if chosen is None:
            some = once[: 2 * recipe.sampled_rows]
            chosen = hard_rows(some, sampled(parent, some))
            tick(f"rl: {len(chosen)} of {len(some)} rows are not answered rightly every time")
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


def _make(
    stage: Stage,
    parent: Path,
    train: Callable[[Checkpoint], Any],
    held: Sequence[Row],
    judge: ConsistencyJudge | None,
    out: Path,
    recipe: Recipe,
    data: Digest,
    tick: Tick,
) -> Made:
    folder, seconds = out / stage, None
    if not folder.exists():
        began = time.perf_counter()
        start = read_checkpoint(parent)
        model = train(start)
        seconds = time.perf_counter() - began
        checkpoint = Checkpoint(model, start.processor, None)
        found, reward = _evaluated(checkpoint, held, recipe), _rewarded(checkpoint, held, judge, recipe)
        settings = {name: str(value) for name, value in asdict(recipe).items() if name in {stage, "seed", "held_out"}}
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
        found, reward = _evaluated(checkpoint, held, recipe), _rewarded(checkpoint, held, judge, recipe)
    made = Made(stage, folder, found, reward, seconds)
    tick(f"{stage}: tag {found.tag}, reward {reward.mean:.3f}" + ("" if seconds is None else f", {seconds:.0f} s"))
    return made


def _evaluated(checkpoint: Checkpoint, held: Sequence[Row], recipe: Recipe) -> Evaluation:
    return evaluate(held, sample(checkpoint.model, checkpoint.processor, held, most_tokens=recipe.answer_tokens))


def _rewarded(checkpoint: Checkpoint, held: Sequence[Row], judge: ConsistencyJudge | None, recipe: Recipe) -> Reward:
    """Of answers sampled to the same rows with the same seed for every stage."""
    import torch

    torch.manual_seed(recipe.seed)
    answers = _sampled(checkpoint, held, recipe)
    reward = AnswerReward(judge)
    rows = [
        statistics.fmean(reward(said, [row.solution] * len(said), [row.task] * len(said)))
        for row, said in zip(held, answers, strict=True)
    ]
    return Reward(tuple(rows))


def _sampled(checkpoint: Checkpoint, rows: Sequence[Row], recipe: Recipe) -> list[list[str]]:
    return sample(
        checkpoint.model,
        checkpoint.processor,
        rows,
        k=recipe.samples,
        temperature=recipe.temperature,
        most_tokens=recipe.answer_tokens,
    )


def _figures(found: Evaluation) -> dict[str, float]:
    return {
        "held_out": float(found.tag.n),
        "tag_accuracy": found.tag.value,
        "binary_accuracy": found.binary.value,
        "form": found.form.value,
    }
