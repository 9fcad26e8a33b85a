"""A trend and a seed -> its videos and its look-alikes: what is said, what is shown, what is true.

Everything that is not the trend's own (authors, times, feedback, language, chatter) is drawn as for any video.
"""

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from contracts.taxonomy import Category
from contracts.videos import VideoUploaded
from simulation.filming import chance_of, choose_scene
from simulation.latents import Latents, Leaning, Pair, draw_latents
from simulation.pictures.scenes import Scene
from simulation.pictures.trend_scenes import TREND_SCENES
from simulation.trends.settings import PAIRS_OF_LOOK_ALIKES, PAIRS_OF_TREND, SCENARIO, TRENDS, Trend
from simulation.uploads import Truth, to_truth, to_upload
from simulation.words.grammar import phrasebook

_DRAWN_FOR_EACH = 4
"""About 45% of the videos drawn are violative: so many are enough for any number of either kind."""
_APART = 1_000_000
"""Between the seeds of two trends' videos, and of the usual ones: no two videos have an id in common."""


@dataclass(frozen=True, slots=True)
class TrendVideo:
    """A video of a trend, or a good one that only speaks of it, and the seed it was drawn with."""

    trend: Trend
    latents: Latents
    seed: int

    @property
    def violative(self) -> bool:
        return self.latents.category is not Category.POSITIVE


def draw_trend(trend: Trend, n: int, seed: int) -> list[TrendVideo]:
    """N videos of the trend, in order of upload; the same trend, n and seed give the same videos."""
    return _draw(trend, n, seed, trend.category, PAIRS_OF_TREND)


def draw_look_alikes(trend: Trend, n: int, seed: int) -> list[TrendVideo]:
    """N good videos that only speak of the trend."""
    return _draw(trend, n, seed, Category.POSITIVE, PAIRS_OF_LOOK_ALIKES)


def upload_of(video: TrendVideo, *, framed: float = SCENARIO.framed) -> VideoUploaded:
    """The event, without media: what the uploader and the viewers show."""
    book = trend_book("zh" if video.latents.chinese else "en", video.trend)
    return to_upload(video.latents, video.seed, None, book=book, framed=None if video.violative else framed)


def truth_of(video: TrendVideo) -> Truth:
    """What it is, by the same contract as of any simulated video."""
    return to_truth(video.latents, video.seed, scene=scene_of(video, chance_of(video.latents, video.seed)))


def scene_of(video: TrendVideo, rng: np.random.Generator) -> Scene:
    """What is filmed: the trend's own scene where the picture is violative."""
    violative = video.latents.picture is Leaning.VIOLATIVE
    return TREND_SCENES[video.trend.name] if violative else choose_scene(video.latents, rng)


@cache
def trend_book(language: str, trend: Trend) -> Mapping[str, Any]:
    """The phrasebook in which the words of the trend's category are the trend's, and chatter that of its dress."""
    ours = tomllib.loads(resources.files("simulation.trends").joinpath(f"{language}.toml").read_text("utf-8"))
    book = phrasebook(language)
    kinds = {kind: {**book[kind], trend.category.value: ours[trend.name][kind]} for kind in ("shared", "violative")}
    chatter = [*book["common"]["chatter"], *book["benign"][trend.dressed_as]["phrases"]]
    return {**book, **kinds, "common": {**book["common"], "chatter": chatter}}


def _draw(trend: Trend, n: int, seed: int, category: Category, pairs: Mapping[Pair, float]) -> list[TrendVideo]:
    seed += _APART * (1 + list(TRENDS).index(trend.name))
    rng = np.random.default_rng([seed, 2])
    kinds = list(pairs)
    drawn = rng.choice(len(kinds), n, p=list(pairs.values()))
    alike = _of_kind(_DRAWN_FOR_EACH * n + 64, seed, violative=category is not Category.POSITIVE)
    return [
        TrendVideo(
            trend,
            replace(one, category=category, about=trend.category, words=kinds[kind][0], picture=kinds[kind][1]),
            seed,
        )
        for one, kind in zip(itertools.islice(alike, n), drawn, strict=True)
    ]


def _of_kind(n: int, seed: int, *, violative: bool) -> Iterator[Latents]:
    """Of n videos those that are violative, or that are not: their authors and their feedback are of such videos."""
    return (one for one in draw_latents(n, seed) if (one.category is not Category.POSITIVE) is violative)
