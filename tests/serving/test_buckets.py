"""Batches become a few fixed shapes, and answers come back in the order of the rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stand_in import SHAPE, random_inputs
from contracts.errors import BadInputError
from serving.buckets import Buckets, group_by_shape, scores_of
from serving.casebook import id_bytes
from serving.preprocess.inputs import ModelInputs

FRAME = (SHAPE.n_frames, SHAPE.frame_px, SHAPE.frame_px, 3)


def mixed(lengths: list[int], media: list[bool]) -> ModelInputs:
    """Rows of these text lengths, with and without media."""
    inputs = random_inputs(len(lengths), n_ngrams=max([*lengths, 1]), media=True)
    kept = np.arange(inputs.ngram_counts.shape[1]) < np.array(lengths)[:, None]
    present = inputs.present.copy()
    present[:, 0] = media
    return replace(inputs, ngram_counts=inputs.ngram_counts * kept.astype(np.uint8), present=present)


def test_rows_with_and_without_media_go_apart() -> None:
    groups = group_by_shape(mixed([10] * 5, [True, False, True, False, True]), Buckets())
    assert [group.rows.tolist() for group in groups] == [[1, 3], [0, 2, 4]]
    assert [group.tensors["frames"].shape for group in groups] == [(2, 1, 8, 8, 3), (4, *FRAME)]


def test_a_batch_is_padded_to_the_next_size_with_zeros_after_its_rows() -> None:
    inputs = random_inputs(5, n_ngrams=70)
    (group,) = group_by_shape(inputs, Buckets())
    assert group.tensors["ngram_ids"].shape == (8, 128)
    assert np.array_equal(group.tensors["ngram_ids"][:5, :70], inputs.ngram_ids)
    assert not group.tensors["ngram_counts"][5:].any()
    assert not group.tensors["ngram_counts"][:, 70:].any()


def test_300_rows_are_a_batch_of_256_and_one_of_64() -> None:
    groups = group_by_shape(random_inputs(300, n_ngrams=64), Buckets())
    assert [group.tensors["present"].shape[0] for group in groups] == [256, 64]


def test_rows_are_padded_where_they_are_cheap_and_cut_where_they_are_dear() -> None:
    buckets = Buckets(worth_a_request=2_000)
    assert buckets.cut(44, length=64) == (64,)
    assert buckets.cut(44, length=256) == (32, 16)
    assert buckets.cut(44, length=1_024) == (32, 8, 4)
    assert buckets.cut(700, length=64) == (256, 256, 128, 64)
    assert buckets.cut(0, length=64) == ()


def test_rows_with_media_are_cut_to_fit_since_pixels_are_dear() -> None:
    assert Buckets().cut(20, length=64, frame=(9, 64, 64, 3)) == (16, 4)
    assert Buckets().cut(31, length=64, frame=(9, 64, 64, 3)) == (32,)
    assert Buckets().cut(33, length=64, frame=(9, 64, 64, 3)) == (32, 1)


def test_many_short_texts_do_not_wait_behind_a_long_one_but_a_few_do() -> None:
    buckets = Buckets(worth_a_request=10_000)
    many = group_by_shape(mixed([60] * 20 + [1_000], [False] * 21), buckets)
    few = group_by_shape(mixed([60] * 5 + [1_000], [False] * 6), buckets)
    assert [group.tensors["ngram_ids"].shape for group in many] == [(32, 64), (1, 1_024)]
    assert [group.tensors["ngram_ids"].shape for group in few] == [(8, 1_024)]


def test_long_texts_are_cut_into_smaller_batches() -> None:
    groups = group_by_shape(random_inputs(40, n_ngrams=5_000), Buckets(most_ngrams=131_072))
    assert [group.tensors["ngram_ids"].shape for group in groups] == [(16, 8_192), (16, 8_192), (8, 8_192)]


def test_a_text_is_padded_no_longer_than_it_is_even_when_the_batch_came_padded() -> None:
    inputs = mixed([30, 1_000], [False, False]).take([0])
    (group,) = group_by_shape(inputs, Buckets())
    assert group.tensors["ngram_ids"].shape == (1, 64)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_024), st.booleans()), max_size=80))
def test_every_row_is_in_one_group_and_every_shape_was_warmed(rows: list[tuple[int, bool]]) -> None:
    buckets = Buckets(batches=(1, 4, 32), worth_a_request=500)
    inputs = mixed([length for length, _ in rows], [media for _, media in rows])
    groups = group_by_shape(inputs, buckets)
    seen = sorted(int(row) for group in groups for row in group.rows)
    warmed = list(buckets.shapes(frame=FRAME, max_ngrams=SHAPE.max_ngrams))
    assert seen == list(range(len(rows)))
    for group in groups:
        assert {name: tensor.shape for name, tensor in group.tensors.items()} in warmed
        for place, row in enumerate(group.rows):
            n = rows[row][0]
            assert np.array_equal(group.tensors["ngram_counts"][place, :n], inputs.ngram_counts[row, :n])
            assert group.tensors["frames"][place].any() == rows[row][1]


def test_answers_return_to_their_rows() -> None:
    groups = group_by_shape(mixed([10, 1_000, 10, 10], [True, False, False, True]), Buckets(worth_a_request=1))
    answers = []
    for group in groups:
        n = len(group.tensors["present"])
        row = np.zeros(n, np.float32)
        row[: len(group.rows)] = group.rows
        answers.append(
            {
                "probabilities": np.tile(row[:, None], (1, 16)),
                "classifier": np.tile(row[:, None] * 10, (1, 16)),
                "cited_ids": np.tile(id_bytes(tuple(f"case-{int(r)}" for r in row))[:, None], (1, 5, 1)),
                "cited_categories": np.tile(row[:, None].astype(np.int32), (1, 5)),
                "cited_similarities": np.tile(row[:, None], (1, 5)),
            }
        )
    scores = scores_of(groups, answers, 4)
    assert scores.probabilities[:, 0].tolist() == [0, 1, 2, 3]
    assert scores.classifier[:, 7].tolist() == [0, 10, 20, 30]
    assert scores.cited_ids[:, 4].tolist() == ["case-0", "case-1", "case-2", "case-3"]
    assert scores.cited_categories[:, 0].tolist() == [0, 1, 2, 3]


def test_an_empty_batch_has_no_groups_and_no_scores() -> None:
    assert group_by_shape(random_inputs(0), Buckets()) == []
    assert len(scores_of([], [], 0)) == 0


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("frames", np.zeros((2, 1, 8, 8, 3), np.float32)),
        ("frames", np.zeros((3, 1, 8, 8, 3), np.uint8)),
        ("ngram_ids", np.zeros((2, 9), np.int32)),
        ("signals", np.zeros((2, 3), np.float32)),
    ],
)
def test_tensors_that_do_not_agree_are_refused(name: str, tensor: np.ndarray) -> None:
    inputs = replace(random_inputs(2, n_ngrams=8), **{name: tensor})
    with pytest.raises(BadInputError, match=r"must be .* \(scorer\)"):
        group_by_shape(inputs, Buckets())
