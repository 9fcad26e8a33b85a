"""What the text tower learns of words, and its axes turned to those of a parent's: by hand."""

from datetime import UTC, datetime

import numpy as np
import pytest

from contracts.releases import InputShape
from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from contracts.videos import VideoUploaded
from policy.text_fit import TextFit, TextSettings, fit_text, turned
from serving.preprocess.batch import preprocess
from serving.preprocess.inputs import ModelInputs

T = 6
BUCKETS = 4_096
INPUTS = InputShape(n_frames=1, frame_px=8, text_buckets=BUCKETS, max_ngrams=256)
SETTINGS = TextSettings(text_dim=8, likeness_alone_up_to=10)


def _fit(rng: np.random.Generator, n: int = 60) -> TextFit:
    embedding = rng.normal(size=(n, T)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    table = rng.normal(size=(9, 1 + N_CATEGORIES + T)).astype(np.float32)
    table[3:, 0] = 0.0  # n-grams that nobody taught
    return TextFit(
        table=table,
        bias=np.zeros(N_CATEGORIES, np.float32),
        shift=rng.normal(size=T).astype(np.float32),
        taught=embedding[:20],
        taught_violative=np.zeros(20, np.float32),
        stack=np.zeros(3, np.float32),
        unseen_idf=np.ones(1, np.float32),
        out_of_sample=np.zeros((n, N_CATEGORIES), np.float32),
        embedding=embedding,
    )


def test_the_axes_become_those_of_the_parent_and_likeness_stays() -> None:
    rng = np.random.default_rng(0)
    fit = _fit(rng)
    axes = np.linalg.qr(rng.normal(size=(T, T)))[0].astype(np.float32)
    rows = np.arange(0, 60, 2)
    # the parent's embeddings hold more than words: what comes after them is not looked at
    before = np.concatenate([0.5 * fit.embedding[rows] @ axes, rng.normal(size=(30, 4)).astype(np.float32)], axis=1)
    found = turned(fit, rows, before)
    assert found.embedding == pytest.approx(fit.embedding @ axes, abs=1e-5)
    assert found.embedding @ found.taught.T == pytest.approx(fit.embedding @ fit.taught.T, abs=1e-5)
    assert found.shift == pytest.approx(fit.shift @ axes, abs=1e-5)


def test_projections_of_known_words_turn_and_directions_of_unknown_ones_stay() -> None:
    rng = np.random.default_rng(1)
    fit = _fit(rng)
    table = fit.table.copy()
    axes = np.linalg.qr(rng.normal(size=(T, T)))[0].astype(np.float32)
    found = turned(fit, np.arange(60), fit.embedding @ axes)
    assert found.table[:3, 1 + N_CATEGORIES :] == pytest.approx(table[:3, 1 + N_CATEGORIES :] @ axes, abs=1e-5)
    assert np.array_equal(found.table[3:], table[3:])
    assert np.array_equal(found.table[:, : 1 + N_CATEGORIES], table[:, : 1 + N_CATEGORIES])


def _said(words: list[tuple[str | None, str | None]]) -> ModelInputs:
    """Inputs of videos with these titles and speech."""
    uploads = [
        VideoUploaded(
            event_id=f"e{n}",
            video_id=f"v{n}",
            author_id="a",
            occurred_at=datetime(2026, 1, 2, tzinfo=UTC),
            title=title,
            asr=asr,
            media_url="file:///a.mp4",
        )
        for n, (title, asr) in enumerate(words)
    ]
    return preprocess(uploads, [None] * len(uploads), INPUTS)


def _weight_of_words(fit: TextFit, inputs: ModelInputs) -> list[float]:
    """What each video's n-grams weigh for positive, each counted once."""
    weights = fit.table[inputs.ngram_ids, 1 + POSITIVE_INDEX] * fit.table[inputs.ngram_ids, 0]
    return [float(row.sum()) for row in np.where(inputs.ngram_counts > 0, weights, 0.0)]


def test_a_word_that_told_in_titles_tells_in_speech_where_it_told_nothing() -> None:
    # in speech both kinds say both words alike; only titles tell
    read = [("grantwheel", "morning"), ("kittens", "morning")] * 20
    heard = [("morning", "grantwheel"), ("morning", "kittens")]
    labels = np.array([0, POSITIVE_INDEX] * 20 + [0, POSITIVE_INDEX, POSITIVE_INDEX, 0])
    fit = fit_text(
        _said(read + heard + heard),
        np.eye(N_CATEGORIES, dtype=np.float32)[labels],
        buckets=BUCKETS,
        settings=SETTINGS,
        seed=0,
    )
    bad, good = _weight_of_words(fit, _said([(None, "grantwheel"), (None, "kittens")]))
    assert bad < -1.0 < 1.0 < good


def test_a_telling_word_outweighs_the_chatter_that_it_comes_with() -> None:
    chatter = [f"{one} {other}" for one in ("hello all", "see you", "so funny") for other in ("today", "again", "lol")]
    good = [(line, None) for line in chatter * 4]
    bad = [(f"{line} grantwheel", None) for line in chatter[:3]]
    labels = np.array([POSITIVE_INDEX] * len(good) + [0] * len(bad))
    fit = fit_text(
        _said(good + bad), np.eye(N_CATEGORIES, dtype=np.float32)[labels], buckets=BUCKETS, settings=SETTINGS, seed=0
    )
    unheard, chatted = _weight_of_words(fit, _said([("see you again grantwheel", None), ("see you again", None)]))
    assert unheard < chatted - 1.0


@pytest.mark.parametrize(
    "words", [[("hello", None)] * 12, [("hello", None), (None, None), (None, None), (None, None)] * 3]
)
def test_words_that_tell_no_more_than_each_other_are_learned_as_they_are(
    words: list[tuple[str | None, str | None]],
) -> None:
    labels = np.array([0, POSITIVE_INDEX, POSITIVE_INDEX, POSITIVE_INDEX] * 3)
    fit = fit_text(
        _said(words), np.eye(N_CATEGORIES, dtype=np.float32)[labels], buckets=BUCKETS, settings=SETTINGS, seed=0
    )
    (said,) = _weight_of_words(fit, _said([("hello", None)]))
    assert np.isfinite(fit.out_of_sample).all()
    assert said == pytest.approx(0.0, abs=0.02) if (None, None) not in words else said < -1.0


def test_cases_without_a_word_teach_how_frequent_each_label_is() -> None:
    labels = np.array([0] * 3 + [POSITIVE_INDEX] * 9)
    fit = fit_text(
        _said([(None, None)] * 12),
        np.eye(N_CATEGORIES, dtype=np.float32)[labels],
        buckets=BUCKETS,
        settings=SETTINGS,
        seed=0,
    )
    assert fit.bias[POSITIVE_INDEX] == pytest.approx(np.log(9 / 3))
    assert not fit.table[:, 1 + POSITIVE_INDEX].any()


def test_words_that_votes_were_divided_on_are_learned_as_divided() -> None:
    words = [("grantwheel", None), ("kittens", None), ("lampsale", None)] * 12
    targets = np.zeros((36, N_CATEGORIES), np.float32)
    targets[0::3, 0] = 1.0
    targets[1::3, POSITIVE_INDEX] = 1.0
    targets[2::3, 0] = targets[2::3, POSITIVE_INDEX] = 0.5
    fit = fit_text(_said(words), targets, buckets=BUCKETS, settings=SETTINGS, seed=0)
    bad, good, divided = _weight_of_words(fit, _said(words[:3]))
    assert bad < -1.0 < 1.0 < good
    assert divided == pytest.approx(0.0, abs=0.2)
    assert fit.taught_violative[:3].tolist() == [1.0, 0.0, 0.5]


def test_a_divided_vote_counts_as_a_case_of_each_that_it_is_divided_on() -> None:
    # one case of half and half, among certain ones, teaches what one of each at half the count would
    words = [("grantwheel", None), ("kittens", None)] * 10 + [("lampsale", None)]
    targets = np.eye(N_CATEGORIES, dtype=np.float32)[[0, POSITIVE_INDEX] * 10 + [0]]
    halves = targets.copy()
    halves[-1, 0] = halves[-1, POSITIVE_INDEX] = 0.5
    certain = fit_text(_said(words), targets, buckets=BUCKETS, settings=SETTINGS, seed=0)
    divided = fit_text(_said(words), halves, buckets=BUCKETS, settings=SETTINGS, seed=0)
    (before,), (after,) = (_weight_of_words(fit, _said([("lampsale", None)])) for fit in (certain, divided))
    assert after > before
