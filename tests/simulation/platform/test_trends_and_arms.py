"""Trends on the platform, and moderation that is handed in: each arm may be served features of its own."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from simulation.platform.day import Day
from simulation.platform.days import live
from simulation.platform.population import draw_population
from simulation.platform.sessions.feeds import Served
from simulation.platform.settings import PlatformSettings, TrendWave, VideoSettings
from tests.simulation.platform.worlds import SMALL, by_arm, every_other

WAVE = TrendWave("fog", Category.PROHIBITED_GOODS, starts_on=4, share=0.2, benign_share=0.1)
WITH_TREND = replace(PlatformSettings(), videos=VideoSettings(trends=(WAVE,), per_1000_viewers=3_000.0))


class Dictated:
    """Serves what it is told, and keeps the days that it was shown."""

    def __init__(self, served: Served) -> None:
        self.served, self.seen = served, list[int]()

    def serve(self, day: int) -> Served:
        return self.served

    def close_day(self, today: Day) -> None:
        self.seen.append(today.day)


def test_a_trend_takes_its_shares_from_its_day_on_and_leaves_the_other_videos_as_they_were() -> None:
    plain = draw_population(SMALL, replace(WITH_TREND, videos=replace(WITH_TREND.videos, trends=()))).videos
    videos = draw_population(SMALL, WITH_TREND).videos
    of_trend = videos.trend_M == 0
    assert videos.uploaded_on_M[of_trend].min() == 4
    since = videos.uploaded_on_M >= 4
    bad = of_trend & videos.violative
    assert bad[since].mean() == pytest.approx(0.2, abs=0.02)
    assert (of_trend & ~videos.violative)[since].mean() == pytest.approx(0.1, abs=0.02)
    assert set(videos.category_M[bad]) == {Category.PROHIBITED_GOODS.position}
    assert np.array_equal(videos.category_M[~of_trend], plain.category_M[~of_trend])
    assert np.array_equal(videos.popularity_M, plain.popularity_M)
    assert set(plain.trend_M) == {-1}


def test_each_arm_is_served_by_its_own_row_and_who_is_outside_by_the_first() -> None:
    served = Served(np.array([[0.1, 0.2], [0.8, 0.9]], np.float32), np.zeros(2, np.bool_))
    read = served.read(np.array([0, 1, -1], np.int8), np.array([[0, 1]] * 3, np.int32))
    assert read.tolist() == np.array([[0.1, 0.2], [0.8, 0.9], [0.1, 0.2]], np.float32).tolist()


def test_moderation_that_is_handed_in_decides_what_is_served_and_sees_every_day() -> None:
    population = draw_population(SMALL, PlatformSettings())
    n = len(population.videos)
    feature: npt.NDArray[np.float32] = np.stack([np.full(n, 0.25), np.full(n, 0.75)]).astype(np.float32)
    removed = np.arange(n) % 2 == 0
    moderation = Dictated(Served(feature, removed, (3, 5)))
    days = list(live(population, by_arm, every_other, moderation))
    assert moderation.seen == list(range(SMALL.days))
    for day in days:
        arm_I = day.arm_S[day.session_I]
        assert np.array_equal(day.toxicity_I, np.where(arm_I == 1, 0.75, 0.25).astype(np.float32))
        assert np.array_equal(day.releases_of_impressions(9), np.where(arm_I == 1, 5, 3))
        opened_by_link = day.position_I == 0
        assert not removed[day.video_I[~opened_by_link]].any()
    assert (days[-1].arm_S == 1).any()


@pytest.mark.parametrize(
    ("share", "category", "said"),
    [(0.6, Category.PLAGIARISM, "share == 0.6"), (0.1, Category.POSITIVE, "category == 'positive'")],
)
def test_a_trend_that_makes_no_sense_is_refused(share: float, category: Category, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        TrendWave("x", category, 0, share)


def test_trends_that_take_all_uploads_are_refused() -> None:
    waves = tuple(TrendWave(name, Category.PLAGIARISM, 0, 0.5) for name in ("a", "b"))
    with pytest.raises(BadInputError, match=r"trends take 1\.00 of the uploads"):
        VideoSettings(trends=waves)
