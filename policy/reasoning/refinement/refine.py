"""The day's rulings and the deployed VLM in, the next one out: online refinement, as in KuaiMod (arXiv 2504.14904).

rulings of the day -> asked of the deployed VLM -> what it gets wrong, first -+
older cases ------------------------------------> a replay, nothing forgotten +-> sft -> dpo -> rl from its weights
OUT/refined.json     what was asked, wrong and replayed; written before training, so that it goes on as it began
OUT/sft, dpo, rl     as the recipe makes them
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import BadInputError
from contracts.records import Count, Digest, Record
from policy.kept import read_whole, write_whole
from policy.reasoning.models.checkpoint import read_checkpoint, weights_digest
from policy.reasoning.models.sampling import longer_than_context, sample
from policy.reasoning.recipe import digest_of_rows, make_stages, split
from policy.reasoning.recipe_settings import Recipe
from policy.reasoning.rows import Row
from policy.reasoning.stages import hard_rows
from policy.reasoning.training.rewards import ConsistencyJudge

REFINED = "refined.json"
LAST = "rl"
"""The stage whose checkpoint is the candidate."""
Tick = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Replay:
    """older: cases that are replayed beside each new one. emphasis: how often one that was got wrong is shown."""

    older: int = 4
    emphasis: int = 3

    def __post_init__(self) -> None:
        if self.older < 1 or self.emphasis < 1:
            raise BadInputError(f"{self}: older and emphasis must be at least 1, or the old is forgotten")


class Refined(Record):
    """What a refinement was made from: the parent's weights, the rows, and which of the new its answers got wrong.

    candidate: the folder of the next VLM; None where the parent got nothing wrong, so that there is nothing to learn.
    """

    parent: Digest
    data: Digest
    asked: Count
    wrong: tuple[str, ...]
    replayed: Count
    candidate: str | None


def refine(
    parent: Path,
    new: Sequence[Row],
    older: Sequence[Row],
    out: Path,
    recipe: Recipe,
    replay: Replay | None = None,
    *,
    judge: ConsistencyJudge | None = None,
    tick: Tick = lambda _: None,
) -> Refined:
    """Ask the parent about the new rows, and train it on from there where any of its samples is wrong.

    Rows that their hash holds out teach nothing. One that has no reasoning by states is learned from by RL alone.
    Said again it goes on where it stopped; raises `BadInputError` where that was with other rows or another parent.
    """
    replay = replay or Replay()
    taught, held = split([*new, *older], recipe.held_out)
    if not held:
        raise BadInputError(f"{len(taught)} rows, none of them held out: nothing would say what was learned")
    news = {row.row_id for row in new}
    fresh = [row for row in taught if row.row_id in news]
    digest, data = weights_digest(parent), digest_of_rows([*new, *older])
    refined = _begun(out, digest, data)
    if refined is None:
        refined = _asked(parent, fresh, out, recipe, digest, data, tick)
    wrong = [row for row in fresh if row.row_id in set(refined.wrong)]
    if refined.candidate is None:
        tick(f"refine: of {len(fresh)} new rows every answer is right, there is nothing to learn")
        return refined
    right = [row for row in fresh if row.row_id not in set(refined.wrong)]
    before = _replayed([row for row in taught if row.row_id not in news], replay.older * len(fresh))
    tick(f"refine: {len(wrong)} of {len(fresh)} new rows are not answered rightly every time, {len(before)} replayed")
    make_stages([*wrong * replay.emphasis, *right, *before], held, out, recipe, start=parent, judge=judge, tick=tick)
    refined = refined.model_copy(update={"replayed": len(before)})
    write_whole(out / REFINED, refined)
    return refined


def _begun(out: Path, parent: Digest, data: Digest) -> Refined | None:
    """What was asked before, None where nothing was."""
    if not (out / REFINED).exists():
        return None
    found = read_whole(out / REFINED, Refined)
    for what, then, now in (("parent", found.parent, parent), ("data", found.data, data)):
        if then != now:
            raise BadInputError(f"{out / REFINED}: {what} == {now}, must be {then} as it began; take another folder")
    return found


def _asked(
    parent: Path, fresh: Sequence[Row], out: Path, recipe: Recipe, digest: Digest, data: Digest, tick: Tick
) -> Refined:
    checkpoint = read_checkpoint(parent)
    long = longer_than_context(checkpoint.model, checkpoint.processor, fresh, recipe.answer_tokens)
    if long:
        tick(f"left out: {len(long)} new rows do not fit the context, the first is {min(long)}")
    rows = [row for row in fresh if row.row_id not in long]
    answers = sample(
        checkpoint.model,
        checkpoint.processor,
        rows,
        k=recipe.samples,
        temperature=recipe.temperature,
        most_tokens=recipe.answer_tokens,
        seed=recipe.seed,
    )
    wrong = hard_rows(rows, answers)
    out.mkdir(parents=True, exist_ok=True)
    refined = Refined(
        parent=digest,
        data=data,
        asked=len(rows),
        wrong=tuple(row.row_id for row in wrong),
        replayed=0,
        candidate=str(out / LAST) if wrong else None,
    )
    write_whole(out / REFINED, refined)
    return refined


def _replayed(older: Sequence[Row], most: int) -> list[Row]:
    """At most so many of the older rows, as many of each answer as may be, by a hash of their ids: always the same."""
    by_answer: dict[str, list[Row]] = {}
    for row in sorted(older, key=lambda row: hashlib.blake2b(row.row_id.encode(), digest_size=8).digest()):
        by_answer.setdefault(row.solution, []).append(row)
    turns = [(turn, answer) for answer, rows in by_answer.items() for turn in range(len(rows))]
    return [by_answer[answer][turn] for turn, answer in sorted(turns)[:most]]
