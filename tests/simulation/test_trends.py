"""Trends: words and looks that nothing else has, videos that tell as any do, reviewers who err as stated."""

import re
from collections import Counter
from datetime import UTC, datetime
from importlib import resources

import numpy as np
import pytest

from contracts.cases import CaseOpened, CaseReason
from contracts.errors import BadInputError
from contracts.taxonomy import Category
from simulation.filming import chance_of
from simulation.latents import Leaning
from simulation.pictures.scenes import BENIGN_SCENES, SHARED_SCENES
from simulation.pictures.stills import paint_stills
from simulation.pictures.trend_scenes import TREND_SCENES
from simulation.pictures.violations import CATEGORY_SCENES
from simulation.reviewers import Reviewers
from simulation.trends.settings import FRUIT_CUPS, PAIRS_OF_LOOK_ALIKES, SUBSIDY_WHEEL, TRENDS, Trend, TrendScenario
from simulation.trends.uploads import draw_look_alikes, draw_trend, scene_of, trend_book, truth_of, upload_of
from simulation.words.grammar import phrasebook

NOW = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize("trend", TRENDS.values(), ids=str)
def test_each_phrase_of_a_trend_is_mostly_made_of_words_that_no_other_phrase_has(trend: Trend) -> None:
    for language, words, least in (("zh", r"(?=(\w\w))", 0.8), ("en", r"[a-z]{4,}", 0.5)):
        usual = resources.files("simulation.words").joinpath(f"{language}.toml").read_text("utf-8")
        for phrase in trend_book(language, trend)["violative"][trend.category.value]["phrases"]:
            found = re.findall(words, phrase)
            new = [word for word in found if word not in usual]
            assert len(new) >= least * len(found), (phrase, new)


def test_a_trends_book_changes_its_own_category_alone() -> None:
    usual, ours = phrasebook("zh"), trend_book("zh", FRUIT_CUPS)
    changed = [name for name in usual["violative"] if usual["violative"][name] != ours["violative"][name]]
    assert changed == ["prohibited_goods"]
    assert ours["common"]["chatter"] == [*usual["common"]["chatter"], *usual["benign"]["kitchen"]["phrases"]]
    assert ours["benign"] is usual["benign"]
    assert ours["frames"] is usual["frames"]


def test_no_other_scene_has_a_trends_look() -> None:
    others = [*BENIGN_SCENES, *SHARED_SCENES, *CATEGORY_SCENES.values()]
    marks = {name for scene in others for name, _ in scene.marks}
    for name, scene in TREND_SCENES.items():
        assert name in TRENDS
        assert {mark for mark, _ in scene.marks} - marks
        assert scene.name not in {other.name for other in others}


def test_the_same_seed_gives_the_same_videos_and_no_two_trends_share_one() -> None:
    first, again = draw_trend(FRUIT_CUPS, 50, 9), draw_trend(FRUIT_CUPS, 50, 9)
    assert first == again
    assert [upload_of(v) for v in first] == [upload_of(v) for v in again]
    ids = [
        v.latents.video_id for v in [*first, *draw_look_alikes(FRUIT_CUPS, 50, 9), *draw_trend(SUBSIDY_WHEEL, 50, 9)]
    ]
    assert len(set(ids)) == 150


def test_a_trends_videos_tell_by_words_by_picture_by_both_or_by_neither() -> None:
    pairs = Counter((v.latents.words, v.latents.picture) for v in draw_trend(FRUIT_CUPS, 2_000, 3))
    for pair, share in {
        (Leaning.VIOLATIVE, Leaning.VIOLATIVE): 0.45,
        (Leaning.VIOLATIVE, Leaning.SHARED): 0.32,
        (Leaning.SHARED, Leaning.VIOLATIVE): 0.17,
    }.items():
        assert pairs[pair] / 2_000 == pytest.approx(share, abs=0.04)
    assert {v.latents.category for v in draw_trend(FRUIT_CUPS, 20, 3)} == {Category.PROHIBITED_GOODS}


def test_look_alikes_are_good_say_the_trends_words_and_never_show_its_scene() -> None:
    videos = draw_look_alikes(SUBSIDY_WHEEL, 200, 4)
    phrases = trend_book("zh", SUBSIDY_WHEEL)["violative"]["false_benefits"]["phrases"]
    assert {v.latents.category for v in videos} == {Category.POSITIVE}
    assert {(v.latents.words, v.latents.picture) for v in videos} == set(PAIRS_OF_LOOK_ALIKES)
    assert all(truth_of(v).scene != "wheel of luck" for v in videos)
    said = [v for v in videos if v.latents.words is Leaning.VIOLATIVE and v.latents.chinese]
    texts = ["".join(filter(None, (u.title, u.ocr, u.asr))) for u in map(upload_of, said)]
    assert sum(any(phrase[:6] in text for phrase in phrases) for text in texts) >= 0.9 * len(texts)
    news = sum(any(frame in text for frame in ("警方", "科普", "搞笑", "短剧", "段子", "警示", "整活", "解说", "记者",
               "本台", "检察", "识别", "普法", "辟谣")) for text in texts)  # fmt: skip
    assert news >= 0.8 * len(texts)


def test_stills_are_as_many_moments_as_asked_and_the_same_from_the_same_chance() -> None:
    video = next(v for v in draw_trend(SUBSIDY_WHEEL, 20, 1) if v.latents.picture is Leaning.VIOLATIVE)

    def stills() -> np.ndarray:
        rng = chance_of(video.latents, video.seed)
        return paint_stills(scene_of(video, rng), 9, 64, rng)

    one = stills()
    assert one.dtype == np.uint8
    assert one.shape[0] == 9
    assert max(one.shape[1:3]) == 64
    assert (one == stills()).all()
    assert (one[0] != one[-1]).any()


def test_reviewers_err_as_often_as_stated_plausibly_and_the_same_way_again() -> None:
    reviewers = Reviewers(seed=5, wrong=0.08)
    found = [reviewers(f"c{i}", Category.PROHIBITED_GOODS) for i in range(4_000)]
    wrong = [one for one in found if one is not Category.PROHIBITED_GOODS]
    assert len(wrong) / 4_000 == pytest.approx(0.08, abs=0.015)
    assert {one.group for one in wrong} == {Category.POSITIVE.group, Category.PROHIBITED_GOODS.group}
    assert sum(one is Category.POSITIVE for one in wrong) / len(wrong) == pytest.approx(0.5, abs=0.1)
    good = {reviewers(f"c{i}", Category.POSITIVE, about=Category.FALSE_BENEFITS) for i in range(400)}
    assert good == {Category.POSITIVE, Category.FALSE_BENEFITS}
    assert found[:50] == [reviewers(f"c{i}", Category.PROHIBITED_GOODS) for i in range(50)]


def test_a_ruling_names_its_case_and_a_day_ends_with_the_budget() -> None:
    cases = [
        CaseOpened(
            event_id=f"e{i}", case_id=f"c{i}", video_id=f"v{i}", opened_at=NOW, reason=CaseReason.REPORT_RATE,
            selection_probability=1.0, toxicity=0.1, release_version=1, casebook_version=1,
        )
        for i in range(5)
    ]  # fmt: skip
    reviewers = Reviewers(rulings_a_day=3, wrong=0.0)
    assert [case.case_id for case in reviewers.days_work(cases)] == ["c0", "c1", "c2"]
    ruling = reviewers.rule(cases[0], Category.PLAGIARISM, now=NOW)
    assert (ruling.case_id, ruling.video_id, ruling.category) == ("c0", "v0", Category.PLAGIARISM)
    assert ruling.by == "person"
    assert ruling == reviewers.rule(cases[0], Category.PLAGIARISM, now=NOW)


def test_a_scenario_that_asks_for_more_than_there_is_is_refused() -> None:
    with pytest.raises(BadInputError, match="rulings_a_day == 100"):
        TrendScenario(rulings_a_day=100)
    with pytest.raises(BadInputError, match="on_trend == 10, must be at least 20"):
        TrendScenario(on_trend=10)
    with pytest.raises(BadInputError, match="must be a violative one"):
        Trend("nothing", Category.POSITIVE, "kitchen")
