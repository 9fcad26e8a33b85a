"""Preference pairs and a teacher's judgements in, a reward model out: cold start, then RL on the hard ones.

R1-Reward (arXiv 2505.02835, section 4.2). Both orders of a pair are rows; what is held out is so by the pair, in both.
Reasoned moderation cases make pairs of their own (`policy.reasoning.pairs`), written here as files.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from contracts.errors import BadInputError
from contracts.preferences import PreferencePair, PreferenceRow
from policy.casebook import Evidence
from policy.reasoning.measured import Made
from policy.reasoning.models.tiny import TinySizes, build_tiny
from policy.reasoning.pair_pictures import files_of, pictures_of
from policy.reasoning.pairs import moderation_pairs
from policy.reasoning.pairwise import messages_of_pair
from policy.reasoning.question import Budget
from policy.reasoning.recipe import make_stages, split
from policy.reasoning.recipe_settings import Recipe
from policy.reasoning.rows import Picture, Row, texts_of
from policy.reasoning.teaching.judgements import Asked, Judgement, questions_of
from policy.reasoning.training.rewards import ConsistencyJudge
from policy.releases import new_folder

PAIRS, FRAMES = "pairs.jsonl", "frames"
MOST_PX = 448
"""Of the longer side of a picture that is trained on: 16 x 16 patches of 28 pixels, as Qwen2.5-VL counts tokens."""
Tick = Callable[[str], None]


def write_pairs(evidence: Sequence[Evidence], out: Path, budget: Budget, *, seed: int = 0) -> int:
    """Write OUT/pairs.jsonl, a right and a wrong reasoning on each case, and its frames below OUT/frames.

    Returns how many; raises `BadInputError` where OUT is there already, or the cases are of one category.
    """
    from PIL import Image

    if out.exists():
        raise BadInputError(f"{out}: is there already, must be a new folder")
    made = moderation_pairs(evidence, budget, seed=seed)
    with new_folder(out) as draft, (draft / PAIRS).open("w", encoding="utf-8") as lines:
        for one in made:
            video = None
            if one.pictures:
                video = f"{FRAMES}/{one.pair.id}"
                (draft / video).mkdir(parents=True)
                for number, picture in enumerate(one.pictures):
                    Image.fromarray(picture).save(draft / video / f"{number}.png")
            lines.write(one.pair.model_copy(update={"video": video}).model_dump_json() + "\n")
    return len(made)


def judge_rows(pairs: Sequence[PreferenceRow], judgements: Mapping[str, Judgement], images: Path | None) -> list[Row]:
    """A row for each question that the teacher was asked: its text where it was right, the better place alone else."""
    return [
        _row(asked, judgements[asked.row_id], images) for asked in questions_of(pairs) if asked.row_id in judgements
    ]


def make_reward_model(
    pairs: Sequence[PreferenceRow],
    judgements: Mapping[str, Judgement],
    out: Path,
    recipe: Recipe,
    *,
    images: Path | None = None,
    start: Path | None = None,
    judge: ConsistencyJudge | None = None,
    tick: Tick = lambda _: None,
) -> list[Made]:
    """Make what is not there yet: SFT on what the teacher judged rightly, RL on what was hard for it.

    Where nothing was hard, RL is on what the cold start gets wrong. Pairs of one id, which share a prompt, are held out
    together. Raises `BadInputError` where the teacher was right of nothing that is learned from.
    """
    rows = judge_rows(pairs, judgements, images)
    prompts = {asked.row_id: asked.pair.pair.id for asked in questions_of(pairs)}
    taught, held = split(rows, recipe.held_out, by=lambda row: prompts[row.row_id])
    if not any(row.completion for row in taught):
        raise BadInputError(f"{len(taught)} rows to learn from, the teacher judged none of them rightly")
    if start is None:
        start = out / "built"
        if not start.exists():
            out.mkdir(parents=True, exist_ok=True)
            build_tiny(start, texts_of(taught), sizes=TinySizes(), seed=recipe.seed)
    hard = [row for row in taught if judgements[row.row_id].hard]
    tick(f"cold start on {sum(bool(row.completion) for row in taught)} rows, {len(hard)} were hard for the teacher")
    return make_stages(
        taught, held, out, recipe, start=start, judge=judge, hard=hard or None, stages=("sft", "rl"), tick=tick
    )


def _row(asked: Asked, judgement: Judgement, images: Path | None) -> Row:
    pair = asked.pair.pair
    return Row(
        asked.row_id,
        "preference",
        messages_of_pair(pair.prompt, asked.first, asked.second, pictures_of(pair, images)),
        [] if images is None else _pictures(pair, images),
        judgement.completion,
        str(asked.right),
    )


def _pictures(pair: PreferencePair, images: Path) -> list[Picture]:
    from PIL import Image

    found = []
    for file in files_of(pair, images):
        try:
            with Image.open(file) as picture:
                small = picture.convert("RGB")
        except (OSError, Image.DecompressionBombError) as error:
            raise BadInputError(f"{file}: cannot be decoded: {error}") from error
        small.thumbnail((MOST_PX, MOST_PX))
        found.append(np.asarray(small, np.uint8))
    return found
