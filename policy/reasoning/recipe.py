"""Reasoned cases in, a VLM release out: SFT, DPO on its own wrong answers, RL, each measured on held-out cases.

cases -> rows -> held out by a hash of the case
              -> sft -> sampled answers -> pairs -> dpo -> rl
OUT/built, sft, dpo, rl   checkpoints, each with its record; one that is there is not made again
OUT/runs/STAGE            what training goes on from, and its curve
OUT/recipe.html           figures and curves, to be looked at
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.errors import BadInputError
from contracts.records import Digest
from contracts.taxonomy import Category
from policy.reasoning.measured import Made, table_of
from policy.reasoning.models.checkpoint import Stage, read_checkpoint
from policy.reasoning.models.sampling import longer_than_context
from policy.reasoning.models.tiny import TinySizes, build_tiny
from policy.reasoning.recipe_settings import TINY, Recipe
from policy.reasoning.rows import Row, texts_of
from policy.reasoning.stages import make_stage, stages_of
from policy.reasoning.training.curves import write_page
from policy.reasoning.training.folder import CURVE
from policy.reasoning.training.rewards import ConsistencyJudge

LEAST_ROWS = 40
LEAST_HELD = 2
"""Rows that are held out: of fewer no figure has an interval."""
Tick = Callable[[str], None]


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
    if len(held) < LEAST_HELD:
        raise BadInputError(f"{len(held)} rows are held out, at least {LEAST_HELD} say what was learned")
    if hard is not None:
        fitting = {row.row_id for row in taught}
        hard = [row for row in hard if row.row_id in fitting]
    data = digest_of_rows(taught)
    made = list[Made]()
    parent = start
    every = stages_of(recipe, taught, hard, judge, out, tick)
    for stage in stages:
        made.append(make_stage(stage, parent, every[stage], held, judge, out, recipe, data, tick))
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


def digest_of_rows(rows: Sequence[Row]) -> Digest:
    """`sha256:` over what the rows ask and hold as right, pictures included."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update("\0".join((row.row_id, row.solution, row.completion, *texts_of([row]))).encode())
        for picture in row.pictures:
            digest.update(picture.tobytes())
    return f"sha256:{digest.hexdigest()}"
