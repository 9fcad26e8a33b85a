"""Simulated weeks in small: what each arm is judged by, what a ruling does, and what is learned from it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from contracts.taxonomy import Category
from policy.casebook import Evidence
from policy.train import Policy
from simulation.platform.settings import TrendWave
from simulation.trends.settings import FRUIT_CUPS
from simulation.trends.uploads import trend_book
from streams.weeks.contents import Contents
from streams.weeks.desk import Desk, Rulings, midnight
from streams.weeks.moderation import FROZEN, LEARNING
from streams.weeks.run import Weeks, World, all_frozen, all_learning, experiment, prepare
from streams.weeks.scenario import Scenario

WAVE = TrendWave(FRUIT_CUPS.name, FRUIT_CUPS.category, starts_on=1, share=0.15, benign_share=0.05)
SMALL = Scenario(
    viewers=400, pre_days=2, days=4, per_1000_viewers=400.0, waves=(WAVE,), taught=500, rulings_a_day=12, seed=3
)


@cache
def weeks() -> Weeks:
    return prepare(SMALL)


def always_right(case_id: str, truth: Category, /, about: Category | None = None) -> Category:
    return truth


class Remembered:
    """A refresh that keeps the parent's policy, and what it was asked to learn from."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, parent: Policy, old: Sequence[Evidence], new: Sequence[Evidence]) -> Policy:
        self.asked.append((len(old), len(new)))
        return parent


def lived(world: World) -> World:
    for _ in world.days:
        pass
    return world


def desk_of(viewers_N: npt.NDArray[np.bool_], rulings: Rulings, *, budget: int = 5) -> Desk:
    population = weeks().population
    return Desk(population, Contents(population), always_right, rulings, viewers_N, budget=budget)


def test_the_videos_of_a_trend_use_its_words_and_no_other_video_does() -> None:
    population = weeks().population
    contents = Contents(population)
    trend = population.videos.trend_M == 0
    rows = np.flatnonzero(trend & population.videos.violative)
    phrases = [
        phrase.split("{")[0]
        for language in ("zh", "en")
        for phrase in trend_book(language, FRUIT_CUPS)["violative"][WAVE.category.value]["phrases"]
    ]

    def speaks(row: int) -> bool:
        (upload,) = contents.uploads([row])
        said = f"{upload.title} {upload.ocr} {upload.asr}"
        return any(len(phrase) > 3 and phrase in said for phrase in phrases)

    assert np.mean([speaks(row) for row in rows]) > 0.5
    assert not any(speaks(row) for row in np.flatnonzero(~trend)[:200])
    assert contents.uploads([5]) == Contents(population).uploads([5])


def test_nothing_is_learned_where_nobody_learns() -> None:
    refresh = Remembered()
    world = lived(all_frozen(weeks(), always_right, refresh))
    assert refresh.asked == []
    assert world.moderation.learning.casebook_version == 1
    assert 0 < len(world.moderation.rulings.category_of) <= SMALL.rulings_a_day * (SMALL.pre_days + SMALL.days)


def test_a_ruling_removes_a_violative_video_for_both_arms_and_clears_a_good_one() -> None:
    world = lived(experiment(weeks(), always_right, Remembered()))
    served = world.moderation.serve(SMALL.pre_days + SMALL.days)
    ruled = world.moderation.rulings.category_of
    violative = weeks().population.videos.violative
    assert ruled
    for row, category in ruled.items():
        assert (category is not Category.POSITIVE) == violative[row]
        assert served.removed_M[row] == violative[row]
        if not violative[row]:
            assert served.feature_A_M[:, row].tolist() == pytest.approx([0.02, 0.02])


def test_each_refresh_gets_what_was_ruled_since_the_one_before_and_its_release_is_served() -> None:
    refresh = Remembered()
    world = lived(all_learning(weeks(), always_right, refresh))
    moderation = world.moderation
    assert [old for old, _ in refresh.asked] == [
        SMALL.taught + sum(new for _, new in refresh.asked[:night]) for night in range(len(refresh.asked))
    ]
    assert moderation.refreshed_on[0] == SMALL.pre_days - 1  # for the first day on which arms are in force
    assert len(moderation.refreshed_on) == len(refresh.asked) >= 2
    assert moderation.serve(6).release_A == (1, 1 + len(refresh.asked))


def test_precedents_are_published_on_nights_without_a_refresh_and_move_the_learning_arm_alone() -> None:
    rarely = replace(weeks(), scenario=replace(SMALL, nights_between=100))
    moderation = lived(all_learning(rarely, always_right, Remembered())).moderation
    judge = moderation.learning
    taught = {item.case.case_id for item in judge.taught}
    since = [item for item in moderation.rulings.decided if item.case.case_id not in taught]
    assert len(judge.casebook) == len(judge.policy.casebook) + len(since) > len(judge.policy.casebook)
    frozen, learning = moderation.serve(SMALL.pre_days + SMALL.days).feature_A_M
    first = weeks().first
    videos = rarely.population.videos
    new = np.flatnonzero((videos.uploaded_on_M == SMALL.pre_days + SMALL.days - 1) & ~np.isnan(videos.score_M))
    some = [int(row) for row in new if row not in moderation.rulings.category_of][:20]
    contents = Contents(rarely.population)
    assert frozen[some] == pytest.approx(first.toxicity(first.read(contents.uploads(some))), abs=1e-5)
    assert np.abs(learning[new] - frozen[new]).max() > 0.05


def test_each_arm_has_half_of_the_reviewers_and_everyone_together_have_all() -> None:
    worlds = (make(weeks(), always_right, Remembered()) for make in (all_frozen, all_learning, experiment))
    assert [[desk.budget for desk in world.moderation.desks] for world in worlds] == [[12, 0], [0, 12], [6, 6]]


def test_a_desk_reads_the_reports_of_its_own_viewers_alone() -> None:
    odd = np.arange(SMALL.viewers) % 2 == 1
    desks = [desk_of(viewers, Rulings()) for viewers in (odd, ~odd)]
    for day in all_frozen(weeks(), always_right, Remembered()).days:
        told = day.reported_I & odd[day.viewers_of_impressions]
        taken = [desk.take(day) for desk in desks]
        assert taken[0] == set(day.video_I[told].tolist())
        assert taken[0] | taken[1] == set(day.video_I[day.reported_I].tolist())


def test_what_one_desk_ruled_on_the_other_lets_go() -> None:
    rulings, everyone = Rulings(), np.ones(SMALL.viewers, np.bool_)
    desks = [desk_of(everyone, rulings, budget=budget) for budget in (5, 1_000)]
    (today, *_) = all_frozen(weeks(), always_right, Remembered()).days
    videos, now = weeks().population.videos, midnight(weeks().population, 1)
    alive = videos.uploaded_on_M <= 0
    for desk in desks:
        desk.take(today)
        desk.open(weeks().first, np.flatnonzero(alive).tolist(), alive, now)
    assert desks[0].opened == desks[1].opened
    for desk, ruled in zip(desks, (5, len(desks[1].opened)), strict=True):
        desk.rule(alive, now)
        assert len(rulings.category_of) == len(rulings.decided) == ruled > 0


def test_impressions_of_violative_videos_are_counted_by_trend() -> None:
    world = all_frozen(weeks(), always_right, Remembered())
    videos, expected = weeks().population.videos, np.zeros(2, np.int64)
    for day in world.days:
        bad = videos.violative[day.video_I]
        of_trend = videos.trend_M[day.video_I] == 0
        expected += np.array([(bad & of_trend).sum(), (bad & ~of_trend).sum()])
    assert world.watch.counts.violative_A_D_K[FROZEN].sum(axis=0).tolist() == expected.tolist()
    assert expected.min() > 0
    per_1000 = world.watch.counts.per_1000(FROZEN, since=0)
    shown = world.watch.counts.shown_A_D[FROZEN].sum()
    assert per_1000 == pytest.approx([*(1000 * expected / shown), 1000 * expected.sum() / shown])
    assert world.watch.counts.shown_A_D[LEARNING].sum() == 0
