"""Scores to decisions, by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np

from contracts.releases import CategoryThresholds, InputShape, Pin, Release, Thresholds
from contracts.taxonomy import CATEGORIES, POSITIVE_INDEX, VIOLATIVE, Category
from contracts.verdicts import Decision
from contracts.videos import VideoUploaded
from policy.decide import decide, judge, leaf_of, toxicity_of
from serving.scorer import Scores

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
THRESHOLDS = Thresholds(
    toxicity=0.5,
    by_category=dict.fromkeys(VIOLATIVE, CategoryThresholds(demote=0.4, review=0.6, remove=0.8))
    | {Category.SEXUAL_CONTENT: CategoryThresholds(demote=0.1, review=0.2, remove=0.3)},
)
RELEASE = Release(
    version=3,
    parent=None,
    created_at=NOON,
    inputs=InputShape(n_frames=9, frame_px=64, text_buckets=65_536, max_ngrams=512),
    thresholds=THRESHOLDS,
    casebook_version=7,
    n_cases=0,
    digests={},
    metrics={},
    trained_on="sha256:" + "0" * 64,
)


def scores_of(**p: float) -> np.ndarray:
    """One row: what is not named goes to positive."""
    row = np.zeros((1, 16), np.float32)
    for name, value in p.items():
        row[0, Category(name).position] = value
    row[0, POSITIVE_INDEX] += 1.0 - row.sum()
    return row


def test_a_clean_video_is_allowed_and_positive() -> None:
    assert decide(scores_of(plagiarism=0.2), THRESHOLDS) == [(Category.POSITIVE, Decision.ALLOW)]


def test_spread_toxicity_demotes_though_no_category_reaches_its_line() -> None:
    row = scores_of(plagiarism=0.3, misinformation=0.25)
    assert decide(row, THRESHOLDS) == [(Category.PLAGIARISM, Decision.DEMOTE)]


def test_the_strictest_category_wins_over_the_likeliest() -> None:
    row = scores_of(plagiarism=0.45, sexual_content=0.35)
    assert decide(row, THRESHOLDS) == [(Category.PLAGIARISM, Decision.REMOVE)]


def test_review_lies_between_demote_and_remove() -> None:
    assert decide(scores_of(abuse_and_hate=0.7), THRESHOLDS) == [(Category.ABUSE_AND_HATE, Decision.REVIEW)]


def test_toxicity_is_one_minus_positive() -> None:
    assert toxicity_of(scores_of(hype_selling=0.25)).tolist() == [0.25]


def test_a_verdict_cites_only_precedents_that_exist_and_names_what_was_missing() -> None:
    upload = VideoUploaded(
        event_id="e1", video_id="v1", author_id="a1", occurred_at=NOON - timedelta(seconds=2), title="t"
    )
    scores = Scores(
        probabilities=scores_of(plagiarism=0.9),
        classifier=scores_of(plagiarism=0.5),
        cited_ids=np.array([["c9", "", "", "", ""]], object),
        cited_categories=np.array([[CATEGORIES.index(Category.PLAGIARISM), -1, -1, -1, -1]], np.int32),
        cited_similarities=np.array([[0.75, -1, -1, -1, -1]], np.float32),
    )
    present = np.array([[0, 1, 0, 0, 0]], np.uint8)
    [verdict] = judge([upload], present, scores, RELEASE, Pin(release_version=3, casebook_version=8), now=NOON)
    assert [c.case_id for c in verdict.citations] == ["c9"]
    assert verdict.missing == ("frames", "ocr", "asr", "feedback")
    assert (verdict.release_version, verdict.casebook_version) == (3, 8)
    assert verdict.since_upload_ms == 2000.0
    assert verdict.event_id == "e1"
    assert verdict.decision is Decision.REMOVE
    assert verdict.leaf == ""
    leaves = {"c9": "t-copied"}
    pin = Pin(release_version=3, casebook_version=8)
    [verdict] = judge([upload], present, scores, RELEASE, pin, now=NOON, leaves=leaves)
    assert verdict.leaf == "t-copied"


def test_a_leaf_is_that_of_the_best_cited_precedent_of_the_category_found() -> None:
    copied, goods = Category.PLAGIARISM.position, Category.PROHIBITED_GOODS.position
    leaves = {"c1": "t-goods", "c2": "t-copied", "c4": "t-other"}
    ids, cited = ["c1", "c2", "c4", ""], [goods, copied, copied, -1]
    assert leaf_of(Category.PLAGIARISM, ids, cited, leaves) == "t-copied"
    assert leaf_of(Category.PLAGIARISM, ["c3", *ids], [copied, *cited], leaves) == "", "the best one has none"
    assert leaf_of(Category.HYPE_SELLING, ids, cited, leaves) == "", "none of that category is cited"
    assert leaf_of(Category.POSITIVE, ids, [POSITIVE_INDEX] * 4, leaves) == ""
