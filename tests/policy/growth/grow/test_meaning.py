"""Names as vectors, and the nearest of those that are known."""

from collections.abc import Sequence

import numpy as np
import pytest

from policy.growth.grow.meaning import WIDTH, Floats, Known, NgramEncoder, Vectors


def cosine(one: str, other: str) -> float:
    first, second = NgramEncoder().texts([one, other])
    return float(first @ second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Reading street signs", "Street sign reading"),
        ("Counting of the cars", "car counting"),
        ("Handwriting transcription", "Hand-writing transcription"),
        ("Ｃar counting", "Car counting"),
    ],
)
def test_the_same_words_mean_the_same_in_any_order_and_number(one: str, other: str) -> None:
    assert cosine(one, other) >= 0.9


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bar charts", "Pie charts"),
        ("Bar charts", "Stacked bar charts"),
        ("Counting cars", "Counting cats"),
        ("Grade 1 sums", "Grade 2 sums"),
        ("Torn ticket stubs at night markets", "Faded ticket stubs at night markets"),
        ("柱状图", "饼图"),
    ],
)
def test_another_word_is_another_meaning(one: str, other: str) -> None:
    assert cosine(one, other) < 0.9


def test_vectors_have_length_one_and_hang_on_their_text_alone() -> None:
    encoder = NgramEncoder(64)
    texts = ["Bar charts", "柱状图", "x", "the", "Of the"]
    vectors = encoder.texts(texts)
    assert (vectors.shape, vectors.dtype) == ((5, 64), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5))
    for text, vector in zip(texts, vectors, strict=True):
        assert (encoder.texts([text])[0] == vector).all()
    assert encoder.texts([]).shape == (0, 64)


def test_the_nearest_is_found_across_blocks_and_of_even_ones_it_is_the_first() -> None:
    angles = np.zeros(WIDTH + 3)
    angles[[5, WIDTH + 1]] = 0.5
    angles[WIDTH + 2] = 0.6
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    known = Known(vectors[:2])
    known.add(vectors[2:WIDTH])
    known.add(vectors[WIDTH:])
    asked = np.array([[np.cos(a), np.sin(a)] for a in (0.0, 0.5, 0.7)], np.float32)
    cosines, rows = known.nearest(asked)
    assert rows.tolist() == [0, 5, WIDTH + 2]
    assert cosines == pytest.approx([1.0, 1.0, np.cos(0.1)])


def test_where_nothing_is_known_nothing_is_near() -> None:
    cosines, rows = Known(np.zeros((0, 2), np.float32)).nearest(np.eye(2, dtype=np.float32))
    assert (cosines.tolist(), rows.tolist()) == ([-1.0, -1.0], [-1, -1])


def test_a_name_is_encoded_once_and_what_is_remembered_before_what_is_asked_for() -> None:
    batches = list[list[str]]()

    class Counting(NgramEncoder):
        def texts(self, texts: Sequence[str]) -> Floats:
            batches.append(list(texts))
            return super().texts(texts)

    vectors = Vectors(Counting(32))
    vectors.remember(["z", "y"])
    vectors.remember(["y", "x"])
    assert batches == []
    first = vectors.of(["c", "a b", "c"])
    assert (first[0] == first[2]).all()
    assert (vectors.of(["c", "d"])[0] == first[0]).all()
    assert batches == [["y", "z"], ["x"], ["a b", "c"], ["d"]]


def test_an_encoder_that_gives_too_few_vectors_is_found_out() -> None:
    class Short(NgramEncoder):
        def texts(self, texts: Sequence[str]) -> Floats:
            return super().texts(texts[:1])

    with pytest.raises(ValueError, match=r"shape \(1, 512\), must be \[2, D\] \(ngrams-512\)"):
        Vectors(Short()).of(["a", "b"])
