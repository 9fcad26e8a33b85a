"""A seed -> what each uploaded video truly is, and how much of it the words and the picture give away.

A video's category is known to this module alone. Its words and its picture each lean one way: `violative` (they
look like a category), `benign`, or `shared` (such words or pictures come with good and bad videos alike). Many
videos are told only by their words, as many only by their picture; some good videos speak of bad things before a
harmless picture (news, lessons, jokes), some bad ones hide behind harmless words. A few lean neither way in either:
nobody can tell them, which caps what any model can reach.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import numpy as np

from contracts.taxonomy import VIOLATIVE, Category
from contracts.videos import FeedbackCounts

FIRST_UPLOAD = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
SHARE_VIOLATIVE = 0.45
VIDEOS_PER_AUTHOR = 4.0
SHARE_WITH_FEEDBACK = 0.35
SHARE_CHINESE = 0.65


class Leaning(StrEnum):
    """What one modality suggests by itself."""

    BENIGN = "benign"
    SHARED = "shared"
    VIOLATIVE = "violative"


Pair = tuple[Leaning, Leaning]
_B, _S, _V = Leaning.BENIGN, Leaning.SHARED, Leaning.VIOLATIVE

PAIRS_IF_POSITIVE: Mapping[Pair, float] = {
    (_B, _B): 0.45,
    (_B, _S): 0.32,
    (_S, _B): 0.17,
    (_V, _B): 0.03,
    (_S, _S): 0.03,
}
PAIRS_IF_VIOLATIVE: Mapping[Pair, float] = {
    (_V, _V): 0.45,
    (_V, _S): 0.32,
    (_S, _V): 0.17,
    (_B, _V): 0.03,
    (_S, _S): 0.03,
}
"""(words, picture) -> share of the videos, given what they truly are."""

CATEGORY_WEIGHTS: Mapping[Category, float] = {
    Category.SEXUAL_CONTENT: 15.0,
    Category.EXAGGERATED_CLAIMS: 13.0,
    Category.OFF_PLATFORM_TRADING: 12.0,
    Category.MISINFORMATION: 10.0,
    Category.ABUSE_AND_HATE: 9.0,
    Category.PLAGIARISM: 8.0,
    Category.FALSE_BENEFITS: 7.0,
    Category.PROHIBITED_GOODS: 6.0,
    Category.MINOR_MISCONDUCT: 5.0,
    Category.UNLABELLED_AI: 4.0,
    Category.HYPE_SELLING: 4.0,
    Category.ILLEGAL_ACTIVITY: 3.0,
    Category.HARM_TO_MINORS: 2.0,
    Category.POLITICAL_MISCONDUCT: 1.0,
    Category.HISTORICAL_NIHILISM: 1.0,
}
"""A long tail: the last two are about one violative video in a hundred each."""


@dataclass(frozen=True, slots=True)
class Latents:
    """What one video is. `about` is the category whose words or shared topics it uses; `number` its place."""

    number: int
    video_id: str
    event_id: str
    author_id: str
    propensity: float
    occurred_at: datetime
    category: Category
    words: Leaning
    picture: Leaning
    about: Category
    chinese: bool
    feedback: FeedbackCounts | None


def draw_latents(n: int, seed: int, *, uploads_per_s: float = 1.0) -> Iterator[Latents]:
    """Yield n videos in order of upload; the same n and seed give the same videos."""
    rng = np.random.default_rng([seed, 0])
    n_authors = max(1, round(n / VIDEOS_PER_AUTHOR))
    author_ids = _ids("a", n_authors, rng)
    activity = rng.pareto(1.5, n_authors) + 0.3
    propensities = rng.beta(1.2 * SHARE_VIOLATIVE, 1.2 * (1 - SHARE_VIOLATIVE), n_authors)
    # whatever the activity of the authors, the share of violative videos is the same
    propensities = _shifted(propensities, activity / activity.sum(), SHARE_VIOLATIVE)
    authors = rng.choice(n_authors, n, p=activity / activity.sum())
    violative = rng.random(n) < propensities[authors]
    weights = np.array([CATEGORY_WEIGHTS[c] for c in VIOLATIVE])
    about = rng.choice(len(VIOLATIVE), n, p=weights / weights.sum())
    pairs = _draw_pairs(violative, rng)
    chinese = rng.random(n) < SHARE_CHINESE
    gaps = rng.exponential(1.0 / uploads_per_s, n).cumsum()
    video_ids, event_ids = _ids("v", n, rng), _ids("e", n, rng)
    seen = _feedback(violative, rng)
    for i in range(n):
        topic = VIOLATIVE[about[i]]
        yield Latents(
            number=i,
            video_id=video_ids[i],
            event_id=event_ids[i],
            author_id=author_ids[authors[i]],
            propensity=float(propensities[authors[i]]),
            occurred_at=FIRST_UPLOAD + timedelta(milliseconds=round(1000.0 * gaps[i])),
            category=topic if violative[i] else Category.POSITIVE,
            words=pairs[i][0],
            picture=pairs[i][1],
            about=topic,
            chinese=bool(chinese[i]),
            feedback=seen[i],
        )


def _ids(prefix: str, n: int, rng: np.random.Generator) -> list[str]:
    return [f"{prefix}{number:016x}" for number in rng.integers(0, 2**63, n)]


def _shifted(shares: np.ndarray, weights: np.ndarray, mean: float) -> np.ndarray:
    """Shift shares in log-odds until their weighted mean is `mean`."""
    odds = np.log(np.clip(shares, 1e-3, 1 - 1e-3) / np.clip(1 - shares, 1e-3, 1))
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if float((weights / (1 + np.exp(-odds - middle))).sum()) < mean:
            low = middle
        else:
            high = middle
    return np.asarray(1 / (1 + np.exp(-odds - low)))


def _draw_pairs(violative: np.ndarray, rng: np.random.Generator) -> list[Pair]:
    good, bad = list(PAIRS_IF_POSITIVE), list(PAIRS_IF_VIOLATIVE)
    if_good = rng.choice(len(good), len(violative), p=list(PAIRS_IF_POSITIVE.values()))
    if_bad = rng.choice(len(bad), len(violative), p=list(PAIRS_IF_VIOLATIVE.values()))
    return [bad[b] if v else good[g] for v, g, b in zip(violative, if_good, if_bad, strict=True)]


def _feedback(violative: np.ndarray, rng: np.random.Generator) -> list[FeedbackCounts | None]:
    """Counters for a share of the videos: a bad one is reported half as often again, amid wide scatter."""
    n = len(violative)
    there = rng.random(n) < SHARE_WITH_FEEDBACK
    impressions = np.minimum(rng.lognormal(6.5, 1.3, n), 2e6).astype(np.int64) + 1
    per_view = np.minimum(0.003 * np.where(violative, 1.5, 1.0) * rng.lognormal(-0.4, 0.9, n), 0.5)
    reports = rng.binomial(impressions, per_view)
    likes = rng.binomial(impressions, np.minimum(rng.lognormal(-3.2, 0.7, n), 0.6))
    skips = rng.binomial(impressions, np.minimum(rng.lognormal(-1.1, 0.4, n), 0.95))
    return [
        FeedbackCounts(impressions=int(i), reports=int(r), likes=int(k), skips=int(s)) if here else None
        for here, i, r, k, s in zip(there, impressions, reports, likes, skips, strict=True)
    ]
