"""A seed -> every video of the run, what each truly is, what the release says of it, and each day's candidates.

Nothing here depends on what viewers do: every world has the same videos, and the same chance of meeting each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.taxonomy import POSITIVE_INDEX
from simulation.latents import CATEGORY_WEIGHTS
from simulation.platform.settings import LONGEST_S, ModelSettings, PlatformSettings, TrendWave

NO_TREND = -1
_SHELF_DEPTH = 2_048


@dataclass(frozen=True, slots=True)
class Videos:
    """M videos in order of upload.

    uploaded_on_M: int32, day of the run, negative before it. category_M: int8, index into `CATEGORIES`, the truth.
    toxicity_M: float32, how toxic it truly is. score_M: float32, the release's toxicity, NaN where there is none.
    trend_M: int8, place among the settings' trends, `NO_TREND` for most. topic_M: int8. appeal_M: float32, relevance
    beside taste. popularity_M: float64. length_s_M: float32.
    """

    uploaded_on_M: npt.NDArray[np.int32]
    category_M: npt.NDArray[np.int8]
    toxicity_M: npt.NDArray[np.float32]
    score_M: npt.NDArray[np.float32]
    trend_M: npt.NDArray[np.int8]
    topic_M: npt.NDArray[np.int8]
    appeal_M: npt.NDArray[np.float32]
    popularity_M: npt.NDArray[np.float64]
    length_s_M: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.uploaded_on_M)

    @property
    def violative(self) -> npt.NDArray[np.bool_]:
        return self.category_M != POSITIVE_INDEX


class Scorer(Protocol):
    """What a release says of videos: toxicity in [0, 1] of each, drawn with `rng` or known."""

    def __call__(self, violative_M: npt.NDArray[np.bool_], rng: np.random.Generator, /) -> npt.NDArray[np.float32]: ...


def binormal(model: ModelSettings, prevalence: float) -> Scorer:
    """A score with exactly the stated recall and false positive rate at its line, calibrated at `prevalence`.

    Evidence x is normal with variance 1 around a mean for violative and another for positive videos, such that
    P(x >= 0) is the recall and the false positive rate; the score is P(violative | x) by Bayes' rule, its line the
    score at x = 0 (`line_of`). The classic binormal model of a receiver operating curve.
    """
    high, low = _evidence(model)
    offset = np.log(prevalence / (1 - prevalence)) - (high**2 - low**2) / 2

    def score(violative_M: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        x = np.where(violative_M, high, low) + rng.standard_normal(len(violative_M))
        return np.asarray(1.0 / (1.0 + np.exp(-(offset + (high - low) * x))), np.float32)

    return score


def line_of(model: ModelSettings, prevalence: float) -> float:
    """The score from which on recall and false positive rate are the stated ones."""
    high, low = _evidence(model)
    return float(1.0 / (1.0 + np.exp(-(np.log(prevalence / (1 - prevalence)) - (high**2 - low**2) / 2))))


def resampled(if_violative: npt.NDArray[np.float32], if_positive: npt.NDArray[np.float32]) -> Scorer:
    """Real scores handed in: each video gets one of those that a release gave to videos of its kind."""
    for name, scores in (("if_violative", if_violative), ("if_positive", if_positive)):
        if not scores.size or not bool(((scores >= 0) & (scores <= 1)).all()):
            raise BadInputError(f"{name}: {scores.size} scores, must be 1 or more, each in [0, 1]")

    def score(violative_M: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        bad, good = (rng.choice(scores, len(violative_M)) for scores in (if_violative, if_positive))
        return np.where(violative_M, bad, good).astype(np.float32)

    return score


def draw_videos(settings: PlatformSettings, *, viewers: int, days: int, seed: int, scorer: Scorer) -> Videos:
    """Draw all videos of a run; those of the last `life_days` before it are there on its first day."""
    kind = settings.videos
    rng = np.random.default_rng([seed, 1])
    a_day = max(settings.candidates, round(kind.per_1000_viewers * viewers / 1000))
    n = a_day * (days + kind.life_days - 1)
    violative = rng.random(n) < kind.prevalence
    weights = np.array(list(CATEGORY_WEIGHTS.values()))
    places = np.array([category.position for category in CATEGORY_WEIGHTS])
    about = rng.choice(places, n, p=weights / weights.sum())
    uploaded_on = np.repeat(np.arange(1 - kind.life_days, days, dtype=np.int32), a_day)
    trend = _follow_trends(kind.trends, uploaded_on, violative, about, np.random.default_rng([seed, 5]))
    toxicity = np.where(violative, rng.beta(*kind.toxicity_if_violative, n), rng.beta(*kind.toxicity_if_positive, n))
    score = np.asarray(scorer(violative, rng), np.float32)
    if score.shape != (n,) or not bool(((score >= 0) & (score <= 1)).all()):
        raise BadInputError(f"scorer gave {score.shape} scores, must be {n}, each in [0, 1]")
    score[rng.random(n) < settings.model.unscored_share] = np.nan
    return Videos(
        uploaded_on_M=uploaded_on,
        category_M=np.where(violative, about, POSITIVE_INDEX).astype(np.int8),
        toxicity_M=toxicity.astype(np.float32),
        score_M=score,
        trend_M=trend,
        topic_M=rng.integers(0, kind.topics, n).astype(np.int8),
        appeal_M=np.clip(rng.beta(3.0, 3.0, n) + kind.toxic_appeal * violative, 0.0, 1.0).astype(np.float32),
        popularity_M=rng.lognormal(0.0, kind.popularity_spread, n),
        length_s_M=np.clip(kind.median_s * rng.lognormal(0.0, kind.length_spread, n), 3.0, LONGEST_S).astype(
            np.float32
        ),
    )


def _follow_trends(
    waves: Sequence[TrendWave],
    uploaded_on_M: npt.NDArray[np.int32],
    violative_M: npt.NDArray[np.bool_],
    about_M: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> npt.NDArray[np.int8]:
    """Put the trends' shares of uploads in the place of other videos, in both arrays; returns which is of which."""
    trend, u, low = np.full(len(uploaded_on_M), NO_TREND, np.int8), rng.random(len(uploaded_on_M)), 0.0
    for place, wave in enumerate(waves):
        there = uploaded_on_M >= wave.starts_on
        bad, either = low + wave.share, low + wave.share + wave.benign_share
        rows = there & (u >= low) & (u < either)
        trend[rows], violative_M[rows], about_M[rows] = place, u[rows] < bad, wave.category.position
        low = either
    return trend


@dataclass(frozen=True, slots=True)
class Shelf:
    """A day's candidates: place c of every feed draws from column c, so that no feed holds a video twice.

    video_C_L: int32, L places for each candidate; a video lies on as many as it is popular.
    """

    video_C_L: npt.NDArray[np.int32]


def lay_shelf(videos: Videos, settings: PlatformSettings, *, day: int, seed: int) -> Shelf:
    """Deal the videos of the last `life_days` to the C columns in random order, by popularity within each."""
    life = settings.videos.life_days
    live = np.flatnonzero((videos.uploaded_on_M <= day) & (videos.uploaded_on_M > day - life))
    dealt = np.random.default_rng([seed, 2, day]).permutation(live)
    quantiles = (np.arange(_SHELF_DEPTH) + 0.5) / _SHELF_DEPTH
    columns = []
    for c in range(settings.candidates):
        mine = dealt[c :: settings.candidates]
        share = np.cumsum(videos.popularity_M[mine])
        columns.append(mine[np.searchsorted(share, quantiles * share[-1])])
    return Shelf(np.array(columns, np.int32))


def _evidence(model: ModelSettings) -> tuple[float, float]:
    normal = NormalDist()
    return normal.inv_cdf(model.recall), normal.inv_cdf(model.false_positive_rate)
