"""The day's rulings and the deployed VLM in, the next one out: online refinement, as in KuaiMod (arXiv 2504.14904).

rulings of the day -> asked of the deployed VLM -> what it gets wrong, first -+
older cases ------------------------------------> a replay, nothing forgotten +-> sft -> dpo -> rl from its weights
OUT/asked.json       what was asked and got wrong, and what is replayed; written before training, which goes on from it
OUT/sft, dpo, rl     as the recipe makes them
OUT/refined.json     what came of it
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import BadInputError
from contracts.records import Count, Digest, Record
from policy.kept import read_whole, write_whole
from policy.reasoning.measured import sampled
from policy.reasoning.models.checkpoint import read_checkpoint, weights_digest
from policy.reasoning.models.sampling import longer_than_context
from policy.reasoning.recipe import LEAST_HELD, digest_of_rows, make_stages, split
from policy.reasoning.recipe_settings import Recipe
from policy.reasoning.rows import Row
from policy.reasoning.stages import hard_rows
from policy.reasoning.training.rewards import ConsistencyJudge

ASKED, REFINED = "asked.json", "refined.json"
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


class Questions(Record):
    """What a refinement is made from: the parent's weights, all rows, what of the new is got wrong, what is replayed.

    wrong: new rows of which not every sampled answer of the parent's is right.
    """

    parent: Digest
    data: Digest
    asked: Count
    wrong: tuple[str, ...]
    replayed: tuple[str, ...]


class Refined(Record):
    """What came of a refinement: the folder of the next VLM, or None and why there is none."""

    parent: Digest
    data: Digest
    asked: Count
    wrong: tuple[str, ...]
    candidate: str | None
    reason: str = ""


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
    news = {row.row_id for row in new}
    fresh = [row for row in taught if row.row_id in news]
    digest, data = weights_digest(parent), digest_of_rows([*new, *older])
    questions = _begun(out, digest, data)
    if questions is None:
        rest = [row for row in taught if row.row_id not in news]
        questions = _asked(parent, fresh, rest, recipe, replay, data, tick)
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / ASKED, questions)

    def come_to(candidate: str | None, reason: str = "") -> Refined:
        found = Refined(
            parent=digest,
            data=data,
            asked=questions.asked,
            wrong=questions.wrong,
            candidate=candidate,
            reason=reason,
        )
        tick(f"refine: {reason}" if reason else f"refine: {candidate}")
        write_whole(out / REFINED, found)
        return found

    if not questions.wrong:
        return come_to(None, f"of {questions.asked} new rows every answer is right, there is nothing to learn")
    if len(held) < LEAST_HELD:
        return come_to(None, f"{len(held)} rows are held out, at least {LEAST_HELD} say what was learned")
    by_id = {row.row_id: row for row in taught}
    wrong = [by_id[row_id] for row_id in questions.wrong]
    right = [row for row in fresh if row.row_id not in set(questions.wrong)]
    before = [by_id[row_id] for row_id in questions.replayed]
    tick(f"refine: {len(wrong)} of {len(fresh)} new rows are not answered rightly every time, {len(before)} replayed")
    lesson = [*wrong * replay.emphasis, *right, *before]
    made = make_stages(lesson, held, out, recipe, start=parent, judge=judge, tick=tick)
    if weights_digest(made[-1].folder) == digest:
        return come_to(None, f"{len(lesson)} rows gave no stage anything to learn from")
    return come_to(str(out / LAST))


def _begun(out: Path, parent: Digest, data: Digest) -> Questions | None:
    """What was asked before, None where nothing was."""
    if not (out / ASKED).exists():
        return None
    found = read_whole(out / ASKED, Questions)
    for what, then, now in (("parent", found.parent, parent), ("data", found.data, data)):
        if then != now:
            raise BadInputError(f"{out / ASKED}: {what} == {now}, must be {then} as it began; take another folder")
    return found


def _asked(
    parent: Path,
    fresh: Sequence[Row],
    older: Sequence[Row],
    recipe: Recipe,
    replay: Replay,
    data: Digest,
    tick: Tick,
) -> Questions:
    checkpoint = read_checkpoint(parent)
    long = longer_than_context(checkpoint.model, checkpoint.processor, fresh, recipe.answer_tokens)
    if long:
        tick(f"left out: {len(long)} new rows do not fit the context, the first is {min(long)}")
    rows = [row for row in fresh if row.row_id not in long]
    wrong = hard_rows(rows, sampled(checkpoint, rows, recipe, seed=recipe.seed))
    return Questions(
        parent=weights_digest(parent),
        data=data,
        asked=len(rows),
        wrong=tuple(row.row_id for row in wrong),
        replayed=tuple(row.row_id for row in replayed(older, replay.older * len(rows), salt=data)),
    )


def replayed(older: Sequence[Row], most: int, *, salt: str) -> list[Row]:
    """At most so many of the older rows, as many of each answer as may be: by one salt the same, by another others."""

    def drawn(row: Row) -> bytes:
        return hashlib.blake2b(f"{salt}/{row.row_id}".encode(), digest_size=8).digest()

    by_answer: dict[str, list[Row]] = {}
    for row in sorted(older, key=drawn):
        by_answer.setdefault(row.solution, []).append(row)
    turns = [(turn, answer) for answer, rows in by_answer.items() for turn in range(len(rows))]
    return [by_answer[answer][turn] for turn, answer in sorted(turns)[:most]]
