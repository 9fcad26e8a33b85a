"""A checkpoint and held-out rows in, what it is worth out: of its likeliest answers, and of sampled ones."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from policy.reasoning.evaluation import Evaluation, evaluate
from policy.reasoning.models.checkpoint import Checkpoint, Stage
from policy.reasoning.models.sampling import sample
from policy.reasoning.recipe_settings import Recipe
from policy.reasoning.rows import Row
from policy.reasoning.training.rewards import AnswerReward, ConsistencyJudge


class Reward(NamedTuple):
    """The mean reward of the answers that were sampled to each held-out row."""

    rows: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.rows)

    def gain(self, before: "Reward") -> tuple[float, float]:
        """What it is over another stage's on the same rows, and half of the 95% interval of that, paired by row."""
        gains = [after - then for after, then in zip(self.rows, before.rows, strict=True)]  # of two rows at least
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


def evaluated(checkpoint: Checkpoint, held: Sequence[Row], recipe: Recipe) -> Evaluation:
    """Of the likeliest answer to each row."""
    return evaluate(held, sample(checkpoint.model, checkpoint.processor, held, most_tokens=recipe.answer_tokens))


def rewarded(checkpoint: Checkpoint, held: Sequence[Row], judge: ConsistencyJudge | None, recipe: Recipe) -> Reward:
    """Of answers sampled to the same rows with the same seed for every stage."""
    answers = sampled(checkpoint, held, recipe, seed=recipe.seed)
    reward = AnswerReward(judge)
    rows = [
        statistics.fmean(reward(said, [row.solution] * len(said), [row.task] * len(said)))
        for row, said in zip(held, answers, strict=True)
    ]
    return Reward(tuple(rows))


def sampled(checkpoint: Checkpoint, rows: Sequence[Row], recipe: Recipe, *, seed: int | None = None) -> list[list[str]]:
    """`recipe.samples` answers to each row."""
    return sample(
        checkpoint.model,
        checkpoint.processor,
        rows,
        k=recipe.samples,
        temperature=recipe.temperature,
        most_tokens=recipe.answer_tokens,
        seed=seed,
    )
