"""A seed -> videos of the planted sub-types, and good ones beside them: what is shown, what is said, what is true.

A planted video always shows its sub-type: the pictures of a growth run are what its types are matched to. What it says
tells the sub-type in some of the videos, only the category in others, or nothing. Authors, times, feedback, language
and chatter are drawn as for any video.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded
from simulation.filming import chance_of, choose_scene
from simulation.latents import Latents, Leaning, draw_latents
from simulation.pictures.scenes import Scene
from simulation.pictures.shapes import Pixels
from simulation.pictures.stills import paint_stills
from simulation.subtypes.table import SubType, planted
from simulation.uploads import Truth, to_truth, to_upload
from simulation.words.grammar import phrasebook

WORDS: Mapping[Leaning, float] = {Leaning.VIOLATIVE: 0.70, Leaning.SHARED: 0.22, Leaning.BENIGN: 0.08}
"""What a planted video's words lean to."""
SHARE_TOLD = 0.6
"""Of the planted videos with violative words, those whose words are chosen among their sub-type's phrases as well."""
_DRAWN_FOR_EACH = 4
"""About 45% of the videos drawn are violative: so many are enough for any number of either kind."""
_APART = 9_000_000
"""Between these videos' seeds and those of the usual ones and of the trends: no two videos have an id in common."""


@dataclass(frozen=True, slots=True)
class SubTypeVideo:
    """A video of a planted sub-type, or a good one that is of none, and the seed it was drawn with.

    told: its words may say which sub-type it is of.
    """

    subtype: SubType | None
    latents: Latents
    seed: int
    told: bool


class SubTypeTruth(Truth):
    """What it is: `subtype` is the label of its sub-type, `group~category~name`, or nothing."""

    subtype: str | None = None


def draw_subtypes(n: int, seed: int, *, good: float = 0.0) -> list[SubTypeVideo]:
    """N videos in order of upload, a share of them good and of no sub-type; each sub-type comes equally often.

    The same n, seed and share give the same videos. Raises `BadInputError` for a share outside [0, 1].
    """
    if not 0.0 <= good <= 1.0:
        raise BadInputError(f"good == {good}, must be in [0, 1] (share of videos of no sub-type)")
    seed += _APART
    rng = np.random.default_rng([seed, 2])
    n_good = round(good * n)
    types = list(planted().values())
    chosen = [types[at % len(types)] for at in rng.permutation(n - n_good).tolist()]
    told = rng.random(n - n_good) < SHARE_TOLD
    leanings = rng.choice(len(WORDS), n - n_good, p=list(WORDS.values()))
    drawn = list(draw_latents(_DRAWN_FOR_EACH * n + 64, seed))
    bad = [
        SubTypeVideo(subtype, _planted(latents, subtype, list(WORDS)[leaning]), seed, bool(tells))
        for subtype, latents, leaning, tells in zip(
            chosen, _some(drawn, n - n_good, rng, violative=True), leanings, told, strict=True
        )
    ]
    others = [SubTypeVideo(None, latents, seed, False) for latents in _some(drawn, n_good, rng, violative=False)]
    return sorted([*bad, *others], key=lambda video: video.latents.number)


def upload_of(video: SubTypeVideo) -> VideoUploaded:
    """The event, without media: what the uploader and the viewers show."""
    return to_upload(video.latents, video.seed, None, book=_book(video))


def truth_of(video: SubTypeVideo) -> SubTypeTruth:
    """What it is, by the same contract as of any simulated video, and its sub-type."""
    truth = to_truth(video.latents, video.seed, scene=scene_of(video, chance_of(video.latents, video.seed)))
    return SubTypeTruth(**dict(truth), subtype=None if video.subtype is None else video.subtype.label)


def scene_of(video: SubTypeVideo, rng: np.random.Generator) -> Scene:
    """What is filmed."""
    return choose_scene(video.latents, rng) if video.subtype is None else video.subtype.scene


def stills_of(video: SubTypeVideo, n: int, longest_px: int) -> Pixels:
    """N moments of its clip, painted without a codec between, the longer side `longest_px`: uint8 [n, H, W, 3]."""
    rng = chance_of(video.latents, video.seed)
    return paint_stills(scene_of(video, rng), n, longest_px, rng)


def _planted(latents: Latents, subtype: SubType, words: Leaning) -> Latents:
    return replace(latents, category=subtype.category, about=subtype.category, words=words, picture=Leaning.VIOLATIVE)


def _some(drawn: Sequence[Latents], n: int, rng: np.random.Generator, *, violative: bool) -> list[Latents]:
    """N of the drawn videos that are violative, or that are not: their authors and feedback are of such videos."""
    alike = [one for one in drawn if (one.category is not Category.POSITIVE) is violative]
    return [alike[at] for at in np.sort(rng.permutation(len(alike))[:n]).tolist()]


def _book(video: SubTypeVideo) -> Mapping[str, Any]:
    language = "zh" if video.latents.chinese else "en"
    return phrasebook(language) if video.subtype is None or not video.told else _told_book(language, video.subtype.key)


@cache
def _told_book(language: str, key: str) -> Mapping[str, Any]:
    """The phrasebook in which the phrases of the sub-type stand beside those of its category."""
    book, subtype = phrasebook(language), planted()[key]
    usual = book["violative"][subtype.category.value]
    ours = {**usual, "phrases": [*usual["phrases"], *subtype.phrases[language]]}
    return {**book, "violative": {**book["violative"], subtype.category.value: ours}}
