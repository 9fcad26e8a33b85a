"""Videos of the simulated platform in, what their uploads say out: the words that a real student judges them by.

Pictures are left out: filming 50,000 clips takes hours. Words alone tell less than words and pictures (a student on
words is right about 87% of the simulator's videos, not 95%), for the frozen policy as for the one that learns.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from contracts.taxonomy import CATEGORIES, POSITIVE_INDEX, Category
from contracts.videos import VideoUploaded
from simulation.latents import PAIRS_IF_POSITIVE, PAIRS_IF_VIOLATIVE, SHARE_CHINESE, Latents, Pair
from simulation.platform.population import Population
from simulation.platform.videos import NO_TREND
from simulation.trends.settings import PAIRS_OF_LOOK_ALIKES, PAIRS_OF_TREND, SCENARIO, TRENDS
from simulation.trends.uploads import trend_book
from simulation.uploads import to_upload

VIDEOS_PER_AUTHOR = 4


class Contents:
    """The uploads of a population's videos, made when they are asked for and always the same."""

    def __init__(self, population: Population) -> None:
        videos, seed = population.videos, population.plan.seed
        rng = np.random.default_rng([seed, 6])
        n = len(videos)
        self._population = population
        self._u_pair, self._u_chinese = rng.random(n), rng.random(n)
        violative = [c.position for c in CATEGORIES if c.position != POSITIVE_INDEX]
        self._about = np.where(videos.violative, videos.category_M, rng.choice(violative, n))
        self._author = rng.integers(0, max(1, n // VIDEOS_PER_AUTHOR), n)

    def uploads(self, rows: Iterable[int]) -> list[VideoUploaded]:
        """The uploads of the videos at `rows`, in order; their ids are those of the platform's events."""
        return [self._upload(int(row)) for row in rows]

    def about(self, row: int) -> Category:
        """The category that a video speaks of, whether or not it breaks it."""
        trend = int(self._population.videos.trend_M[row])
        return (
            CATEGORIES[self._about[row]]
            if trend == NO_TREND
            else self._population.settings.videos.trends[trend].category
        )

    def _upload(self, row: int) -> VideoUploaded:
        plan, videos = self._population.plan, self._population.videos
        violative, trend = bool(videos.violative[row]), int(videos.trend_M[row])
        pairs = PAIRS_IF_VIOLATIVE if violative else PAIRS_IF_POSITIVE
        if trend != NO_TREND:
            pairs = PAIRS_OF_TREND if violative else PAIRS_OF_LOOK_ALIKES
        about = self.about(row)
        words, picture = _drawn(pairs, float(self._u_pair[row]))
        midnight = datetime(plan.begins.year, plan.begins.month, plan.begins.day, tzinfo=UTC)
        latents = Latents(
            number=row,
            video_id=f"v{plan.seed}-{row}",
            event_id=f"e{plan.seed}-{row}",
            author_id=f"a{plan.seed}-{self._author[row]}",
            propensity=0.0,
            occurred_at=midnight + timedelta(days=int(videos.uploaded_on_M[row])),
            category=CATEGORIES[videos.category_M[row]],
            words=words,
            picture=picture,
            about=about,
            chinese=bool(self._u_chinese[row] < SHARE_CHINESE),
            feedback=None,
        )
        if trend == NO_TREND:
            return to_upload(latents, plan.seed, None)
        known = TRENDS[self._population.settings.videos.trends[trend].name]
        book = trend_book("zh" if latents.chinese else "en", known)
        return to_upload(latents, plan.seed, None, book=book, framed=None if violative else SCENARIO.framed)


def _drawn(pairs: Mapping[Pair, float], u: float) -> Pair:
    """The pair whose share u in [0, 1) falls into."""
    low = 0.0
    for pair, share in pairs.items():
        low += share
        if u < low:
            return pair
    return list(pairs)[-1]
