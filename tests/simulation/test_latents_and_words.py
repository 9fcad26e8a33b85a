"""What is simulated: the shares, the ceilings, the words, and that no event gives its label away."""

import json
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from contracts.taxonomy import CATEGORIES, VIOLATIVE, Category
from simulation.latents import (
    PAIRS_IF_POSITIVE,
    PAIRS_IF_VIOLATIVE,
    SHARE_VIOLATIVE,
    Leaning,
    draw_latents,
)
from simulation.uploads import Truth, text_uploads, to_truth, to_upload
from simulation.words.grammar import phrasebook, say

SEED = 5
VIDEOS = list(draw_latents(4_000, SEED))


def best_accuracy(modality: slice) -> float:
    """How often the likelier of good and bad is right, knowing what these modalities lean to."""
    bad: Counter[Any] = Counter()
    good: Counter[Any] = Counter()
    for pair, share in PAIRS_IF_VIOLATIVE.items():
        bad[pair[modality]] += SHARE_VIOLATIVE * share
    for pair, share in PAIRS_IF_POSITIVE.items():
        good[pair[modality]] += (1 - SHARE_VIOLATIVE) * share
    return sum(max(bad[seen], good[seen]) for seen in bad | good)


def test_neither_words_nor_picture_is_enough_and_both_together_nearly_are() -> None:
    assert sum(PAIRS_IF_POSITIVE.values()) == pytest.approx(1.0)
    assert sum(PAIRS_IF_VIOLATIVE.values()) == pytest.approx(1.0)
    assert 0.80 <= best_accuracy(slice(0, 1)) <= 0.90
    assert 0.75 <= best_accuracy(slice(1, 2)) <= 0.88
    assert best_accuracy(slice(0, 2)) >= 0.975


def test_the_shares_are_as_designed_with_every_category_and_a_long_tail() -> None:
    counts = Counter(video.category for video in VIDEOS)
    violative = sum(counts[c] for c in VIOLATIVE)
    assert 0.41 < violative / len(VIDEOS) < 0.49
    assert set(counts) == set(CATEGORIES)
    assert counts[Category.SEXUAL_CONTENT] > 8 * counts[Category.HISTORICAL_NIHILISM]
    pairs = Counter((v.words, v.picture) for v in VIDEOS if v.category is Category.POSITIVE)
    total = pairs.total()
    for pair, share in PAIRS_IF_POSITIVE.items():
        assert pairs[pair] / total == pytest.approx(share, abs=0.035)


def test_authors_come_back_and_differ_in_what_they_upload() -> None:
    by_author: dict[str, list[bool]] = {}
    for video in VIDEOS:
        by_author.setdefault(video.author_id, []).append(video.category is not Category.POSITIVE)
    busy = [np.mean(bad) for bad in by_author.values() if len(bad) >= 10]
    assert len(busy) > 30
    assert np.std(busy) > 0.15


def test_time_goes_on_and_feedback_is_there_for_some() -> None:
    assert all(a.occurred_at <= b.occurred_at for a, b in pairwise(VIDEOS))
    assert 0.3 < np.mean([v.feedback is not None for v in VIDEOS]) < 0.4
    rates = {
        bad: np.mean(
            [
                v.feedback.reports / v.feedback.impressions
                for v in VIDEOS
                if v.feedback and (v.category is not Category.POSITIVE) is bad
            ]
        )
        for bad in (True, False)
    }
    assert 1.1 < rates[True] / rates[False] < 2.2


def test_the_same_seed_gives_the_same_videos_and_another_seed_others() -> None:
    again = [to_upload(v, SEED, None) for v in draw_latents(50, SEED)]
    assert again == [to_upload(v, SEED, None) for v in draw_latents(50, SEED)]
    assert again != [to_upload(v, SEED + 1, None) for v in draw_latents(50, SEED + 1)]


def told_by(ids: list[str], bad: np.ndarray) -> float:
    """Area under the curve of a model that learns half of the ids by their characters, on the other half."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.metrics import roc_auc_score
    from sklearn.naive_bayes import MultinomialNB

    hashing = HashingVectorizer(analyzer="char", ngram_range=(1, 3), n_features=2**14, alternate_sign=False)
    grams = hashing.transform(ids)
    model = MultinomialNB().fit(grams[::2], bad[::2])
    return float(roc_auc_score(bad[1::2], model.predict_proba(grams[1::2])[:, 1]))


def test_ids_and_order_do_not_give_the_label_away() -> None:
    bad = np.array([video.category is not Category.POSITIVE for video in VIDEOS])
    # one standard error is about 0.013 for the 2,000 videos and 0.03 for the authors
    assert abs(told_by([f"{v.event_id} {v.video_id}" for v in VIDEOS], bad) - 0.5) < 0.05
    first = {video.author_id: at for at, video in reversed(list(enumerate(VIDEOS)))}
    assert abs(told_by(list(first), bad[list(first.values())]) - 0.5) < 0.1
    # nor does a label follow from the one before it, or from the place in the file
    assert abs(np.corrcoef(bad[1:], bad[:-1])[0, 1]) < 0.06
    assert abs(np.corrcoef(bad, np.arange(len(bad)))[0, 1]) < 0.06


def test_events_hold_no_label_and_no_latent() -> None:
    allowed = {
        "event_id", "video_id", "author_id", "occurred_at", "title", "ocr", "asr", "media_url", "feedback",
    }  # fmt: skip
    hidden = [
        name for c in CATEGORIES for name in (c.value, c.chinese, f"Category.{c.name}") if c is not Category.POSITIVE
    ]
    for video in VIDEOS[:1_000]:
        line = to_upload(video, SEED, None).model_dump_json(exclude_none=True)
        assert set(json.loads(line)) <= allowed
        assert not [name for name in hidden if name in line]
    assert {"category", "words", "picture", "about", "scene"} <= set(Truth.model_fields)


def test_a_file_name_is_the_video_id_and_nothing_else(tmp_path: Any) -> None:
    upload = to_upload(VIDEOS[0], SEED, tmp_path / f"{VIDEOS[0].video_id}.mp4")
    assert upload.media_url == (tmp_path / f"{VIDEOS[0].video_id}.mp4").as_uri()


def test_words_are_long_enough_in_both_languages_and_some_are_missing() -> None:
    said = [say(video, SEED) for video in VIDEOS]
    lengths = [len(w.title or "") + len(w.ocr or "") + len(w.asr or "") for w in said]
    assert 100 <= np.median(lengths) <= 400
    assert max(len(w.title or "") for w in said) <= 2_000
    assert 0.1 < np.mean([w.ocr is None for w in said]) < 0.4
    assert 0.1 < np.mean([w.asr is None for w in said]) < 0.4
    chinese = [bool(re.search("[一-鿿]", (w.title or "") + (w.ocr or "") + (w.asr or ""))) for w in said]
    assert 0.6 < np.mean(chinese) < 0.7


def test_shared_words_are_the_same_in_good_and_bad_videos() -> None:
    about = {
        bad: Counter(
            v.about for v in VIDEOS if v.words is Leaning.SHARED and (v.category is not Category.POSITIVE) is bad
        )
        for bad in (True, False)
    }
    for category in VIOLATIVE:
        good, bad = (about[key][category] / about[key].total() for key in (False, True))
        assert good == pytest.approx(bad, abs=0.07)


def test_good_videos_with_bad_words_are_news_lessons_and_jokes_more_often() -> None:
    signs = [line for language in ("zh", "en") for lines in phrasebook(language)["frames"].values() for line in lines]
    starts = [sign.split("{")[0] for sign in signs]
    framed: dict[bool, list[bool]] = {True: [], False: []}
    for video in VIDEOS:
        if video.words is Leaning.VIOLATIVE:
            words = say(video, SEED)
            text = "".join(filter(None, (words.title, words.ocr, words.asr)))
            framed[video.category is Category.POSITIVE].append(any(start and start in text for start in starts))
    assert np.mean(framed[True]) > 0.35
    assert np.mean(framed[False]) < 0.25


def test_both_phrasebooks_speak_of_the_same_and_know_their_slots() -> None:
    chinese, english = phrasebook("zh"), phrasebook("en")
    for part in ("common", "frames", "benign", "shared", "violative"):
        assert set(chinese[part]) == set(english[part])
    for book in (chinese, english):
        assert set(book["violative"]) == set(book["shared"]) == {c.value for c in VIOLATIVE}
        slots = set(re.findall(r"\{(\w+)\}", json.dumps(book)))
        assert slots <= {"n", "price", "name", "place", "item"}
        phrases = [
            p for part in ("benign", "shared", "violative") for topic in book[part].values() for p in topic["phrases"]
        ]
        assert len(phrases) == len(set(phrases))


def test_the_truth_names_what_each_modality_gives_away() -> None:
    truth = to_truth(VIDEOS[3], SEED)
    assert truth.video_id == VIDEOS[3].video_id
    assert Truth.model_validate_json(truth.model_dump_json()) == truth


def test_text_uploads_are_valid_distinct_and_as_many_as_asked_for() -> None:
    uploads = list(text_uploads(6_000, 3))
    assert len(uploads) == 6_000
    assert len({u.event_id for u in uploads}) == len({u.video_id for u in uploads}) == 6_000
    for upload in uploads[::97]:
        assert type(upload).model_validate_json(upload.model_dump_json()) == upload
    # 4,096 videos' words go round
    assert uploads[0].title == uploads[4_096].title
    assert uploads[0].occurred_at < uploads[4_096].occurred_at
