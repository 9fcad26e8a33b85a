"""The vote by hand-worked numbers, and `casebook.onnx` against its oracle."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stand_in import random_casebook
from contracts.errors import BadInputError
from contracts.taxonomy import N_CATEGORIES
from serving.casebook import (
    Blend,
    Casebook,
    capacity_for,
    casebook_files,
    id_bytes,
    ids_from_bytes,
    onnx_model,
    read_casebook,
    search,
    write_casebook,
)
from serving.scorer import Scores
from serving.triton.session_model import open_session

UNIFORM = np.full((1, N_CATEGORIES), 1 / N_CATEGORIES, np.float32)
EAST = np.array([[1.0, 0.0]], np.float32)


def at_cosines(*cosines: float, blend: Blend | None = None, categories: tuple[int, ...] | None = None) -> Casebook:
    """Precedents in the plane, at these cosines to `EAST`; category i unless told."""
    c = np.array(cosines, np.float32)
    return Casebook(
        embeddings=np.stack([c, np.sqrt(1 - c * c)], axis=1).astype(np.float32),
        case_ids=tuple(f"case-{i}" for i in range(len(c))),
        categories=np.array(categories or range(len(c)), np.int32),
        weights=np.ones(len(c), np.float32),
        blend=blend or Blend(sharpness=2.0, floor=0.5, strength=1.0),
    )


def run_onnx(session: Any, embedding: np.ndarray, classifier: np.ndarray) -> Scores:
    outputs = ["probabilities", "cited_ids", "cited_categories", "cited_similarities"]
    probabilities, ids, categories, similarities = session.run(
        outputs, {"embedding": embedding, "classifier": classifier}
    )
    return Scores(probabilities, classifier, ids_from_bytes(ids), categories, similarities)


def written(casebook: Casebook, folder: Path) -> ort.InferenceSession:
    write_casebook(casebook, folder / "casebook.onnx")
    return open_session(folder / "casebook.onnx")


def queries(n: int, width: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    embedding = rng.standard_normal((n, width), dtype=np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    return embedding, rng.dirichlet(np.ones(N_CATEGORIES), n).astype(np.float32)


def test_an_identical_case_of_weight_one_votes_like_the_classifier() -> None:
    found = search(at_cosines(1.0, categories=(3,)), EAST, UNIFORM)
    assert found.probabilities[0, 3] == pytest.approx((1 / 16 + 1) / 2)
    assert found.probabilities[0, 0] == pytest.approx(1 / 32)


def test_a_case_halfway_above_the_floor_votes_by_the_square_of_a_half() -> None:
    found = search(at_cosines(0.75, categories=(3,)), EAST, UNIFORM)
    assert found.probabilities[0, 3] == pytest.approx((1 / 16 + 0.25) / 1.25)


def test_a_weight_of_two_is_two_votes() -> None:
    once = at_cosines(1.0, categories=(3,))
    twice = replace(once, weights=np.array([2.0], np.float32))
    assert search(twice, EAST, UNIFORM).probabilities[0, 3] == pytest.approx((1 / 16 + 2) / 3)


def test_without_a_near_precedent_the_classifier_stands_to_the_bit_and_nothing_is_cited(tmp_path: Path) -> None:
    casebook = at_cosines(0.5, 0.49, 0.0, -1.0)
    _, classifier = queries(1, 2)
    for found in (search(casebook, EAST, classifier), run_onnx(written(casebook, tmp_path), EAST, classifier)):
        assert np.array_equal(found.probabilities, classifier)
        assert found.cited_ids.tolist() == [[""] * 5]
        assert found.cited_categories.tolist() == [[-1] * 5]
        assert found.cited_similarities.tolist() == [[-1.0] * 5]


def test_the_nearest_are_cited_first_and_those_below_the_floor_are_not(tmp_path: Path) -> None:
    casebook = at_cosines(0.6, 1.0, 0.4, 0.8)
    for found in (search(casebook, EAST, UNIFORM), run_onnx(written(casebook, tmp_path), EAST, UNIFORM)):
        assert found.cited_ids[0].tolist() == ["case-1", "case-3", "case-0", "", ""]
        assert found.cited_categories[0].tolist() == [1, 3, 0, -1, -1]
        assert found.cited_similarities[0] == pytest.approx([1.0, 0.8, 0.6, -1.0, -1.0])


def test_only_the_k_nearest_vote() -> None:
    casebook = at_cosines(*[1.0] * 5, 0.99, blend=Blend(k=5, strength=1.0), categories=(2, 2, 2, 2, 2, 9))
    found = search(casebook, EAST, UNIFORM)
    assert found.probabilities[0, 2] == pytest.approx((1 / 16 + 5) / 6)
    assert found.probabilities[0, 9] == pytest.approx(1 / 16 / 6)


def test_among_equals_the_earlier_case_is_taken_in_numpy_and_in_onnx(tmp_path: Path) -> None:
    casebook = at_cosines(*[0.9] * 40, blend=Blend(k=7, strength=1.0), categories=tuple(range(8)) * 5)
    for found in (search(casebook, EAST, UNIFORM), run_onnx(written(casebook, tmp_path), EAST, UNIFORM)):
        assert found.cited_ids[0].tolist() == [f"case-{i}" for i in range(5)]
        assert np.flatnonzero(found.probabilities[0] > 0.05).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_case_decided_since_the_training_is_heard_and_one_taught_is_hardly(tmp_path: Path) -> None:
    blend = Blend(floor=0.5, strength=0.1, news=10.0)
    taught = at_cosines(1.0, 1.0, categories=(3, 3), blend=blend)
    published = taught.with_news(replace(at_cosines(1.0, categories=(9,)), case_ids=("new",)))
    assert published.voices.tolist() == pytest.approx([0.1, 0.1, 10.0])
    for found in (search(published, EAST, UNIFORM), run_onnx(written(published, tmp_path), EAST, UNIFORM)):
        assert found.probabilities[0, 3] == pytest.approx((1 / 16 + 0.2) / 11.2)
        assert found.probabilities[0, 9] == pytest.approx((1 / 16 + 10) / 11.2)
        assert found.cited_ids[0].tolist() == ["case-0", "case-1", "new", "", ""]


def test_what_is_published_first_stays_news_when_more_is_published() -> None:
    old, first, second = (replace(at_cosines(1.0), case_ids=(name,)) for name in ("old", "first", "second"))
    published = old.with_news(first).with_news(second)
    assert published.case_ids == ("old", "first", "second")
    assert published.voices.tolist() == pytest.approx([1.0, 10.0, 10.0])


def test_an_excluded_case_neither_votes_nor_is_cited() -> None:
    casebook = at_cosines(1.0, 0.9)
    both = np.concatenate([EAST, EAST])
    found = search(casebook, both, np.concatenate([UNIFORM, UNIFORM]), exclude=np.array([0, -1]))
    assert found.cited_ids[0].tolist() == ["case-1", "", "", "", ""]
    assert found.cited_ids[1].tolist()[:2] == ["case-0", "case-1"]
    alone = search(at_cosines(0.9, categories=(1,)), EAST, UNIFORM)
    assert np.array_equal(found.probabilities[0], alone.probabilities[0])


def test_several_cases_are_excluded_for_one_row() -> None:
    casebook = at_cosines(1.0, 0.9, 0.8)
    found = search(casebook, EAST, UNIFORM, exclude=np.array([[2, 0]]))
    assert found.cited_ids[0].tolist() == ["case-1", "", "", "", ""]


@settings(max_examples=25, deadline=None)
@given(
    strength=st.floats(0, 100),
    sharpness=st.floats(0.1, 20),
    floor=st.floats(0, 0.95),
    n=st.integers(0, 60),
    seed=st.integers(0, 99),
)
def test_the_blend_is_convex(strength: float, sharpness: float, floor: float, n: int, seed: int) -> None:
    blend = Blend(k=8, strength=strength, sharpness=sharpness, floor=floor)
    casebook = random_casebook(n, width=3, blend=blend, seed=seed)
    embedding, classifier = queries(20, 3, seed)
    found = search(casebook, embedding, classifier)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(20), abs=1e-5)
    assert (found.probabilities >= 0).all()
    share = 1 - (found.probabilities / classifier).min(axis=1)
    assert (share <= 1).all()


@pytest.mark.parametrize(("n", "width"), [(0, 4), (3, 4), (1_024, 8), (17_000, 6)])
def test_onnx_and_its_oracle_agree(n: int, width: int, tmp_path: Path) -> None:
    casebook = random_casebook(n, width=width, blend=Blend(k=16, floor=0.1, strength=0.7))
    session = written(casebook, tmp_path)
    for n_rows in (1, 33):
        embedding, classifier = queries(n_rows, width)
        assert_same(run_onnx(session, embedding, classifier), search(casebook, embedding, classifier))


def test_precedents_in_several_blocks_are_searched_as_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(onnx_model, "BLOCK", 1_024)
    casebook = random_casebook(3_000, width=6, blend=Blend(floor=0.0))
    embedding, classifier = queries(20, 6)
    assert_same(run_onnx(written(casebook, tmp_path), embedding, classifier), search(casebook, embedding, classifier))


def test_a_large_matrix_lies_in_a_file_beside_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(onnx_model, "EMBEDDED_BYTES", 1_000)
    monkeypatch.setattr(onnx_model, "BLOCK", 1_024)
    casebook = random_casebook(2_000, width=6)
    session = written(casebook, tmp_path)
    files = casebook_files(tmp_path / "casebook.onnx")
    assert [file.name for file in files] == ["casebook.onnx", "casebook.onnx.data"]
    assert files[1].stat().st_size == 2_048 * 6 * 4
    embedding, classifier = queries(20, 6)
    assert_same(run_onnx(session, embedding, classifier), search(casebook, embedding, classifier))
    monkeypatch.undo()
    write_casebook(casebook, files[0])
    assert casebook_files(files[0]) == (files[0],)


def assert_same(found: Scores, expected: Scores) -> None:
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert found.cited_similarities == pytest.approx(expected.cited_similarities, abs=1e-6)
    assert np.array_equal(found.cited_ids, expected.cited_ids)
    assert np.array_equal(found.cited_categories, expected.cited_categories)


def test_capacity_grows_in_steps_of_an_eighth_and_wastes_little() -> None:
    sizes = (0, 1, 1_024, 1_025, 10_000, 100_000, 1_000_000)
    assert [capacity_for(n) for n in sizes] == [1_024, 1_024, 1_024, 2_048, 10_240, 114_688, 1_048_576]


@given(st.integers(1, 3_000_000))
def test_capacity_holds_them_and_a_publication_of_one_more_mostly_keeps_it(n: int) -> None:
    assert n <= capacity_for(n) <= max(1_024 + n, n * 1.25)


def test_a_publication_within_the_capacity_keeps_the_models_shapes(tmp_path: Path) -> None:
    sizes = []
    for n in (5, 900):
        session = written(random_casebook(n), tmp_path)
        assert [tensor.shape for tensor in session.get_inputs()] == [["B", "D"], ["B", 16]]
        sizes.append((tmp_path / "casebook.onnx").stat().st_size)
    assert sizes[0] == sizes[1]


def test_ids_travel_as_bytes_in_any_script() -> None:
    ids = ("a", "案件-1", "x" * 40)
    encoded = id_bytes(ids)
    assert encoded.shape == (3, 48)
    assert ids_from_bytes(encoded[None]).tolist() == [list(ids)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"case_ids": ("a", "a")}, "case ids repeat"),
        ({"case_ids": ("a", "")}, "a case id is empty"),
        ({"case_ids": ("a",)}, "embeddings has 2 rows, must have one for each of the 1 case ids"),
        ({"embeddings": np.array([[1, 0], [2, 0]], np.float32)}, "embedding length of case 'case-1' == 2.0, must be 1"),
        ({"embeddings": np.array([[1, 0], [np.nan, 0]], np.float32)}, "embedding length of case 'case-1' == nan"),
        ({"categories": np.array([0, 16], np.int32)}, r"category of case 'case-1' == 16, must be in \[0, 16\)"),
        ({"weights": np.array([0.0, 1.0], np.float32)}, "weight of case 'case-0' == 0.0, must be above 0"),
        ({"embeddings": np.eye(2)}, "embeddings are float64, must be float32"),
    ],
)
def test_a_broken_casebook_is_refused_with_its_reason(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        replace(at_cosines(1.0, 0.9), **change)


@pytest.mark.parametrize(
    "change", [{"k": 4}, {"k": 1_025}, {"sharpness": 0.0}, {"floor": 1.0}, {"strength": -1.0}, {"news": -1.0}]
)
def test_a_blend_outside_its_ranges_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(BadInputError, match=next(iter(change))):
        replace(Blend(), **change)


def test_what_nobody_has_seen_the_like_of_is_heard_from_afar(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    known = np.zeros((400, 8), np.float32)
    known[:, :4] = rng.standard_normal((400, 4))
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    usual = Casebook(
        known,
        tuple(f"k{i}" for i in range(400)),
        np.full(400, 15, np.int32),
        np.ones(400, np.float32),
        Blend(floor=0.6, sharpness=2.0),
    )
    strange, like_others = np.eye(8, dtype=np.float32)[[6]], known[:1]
    new = Casebook(
        np.concatenate([strange, like_others]), ("strange", "usual"), np.array([3, 3], np.int32), np.ones(2, np.float32)
    )
    published = usual.with_news(new)
    assert published.floors is not None
    assert published.floors[400] == 0.0  # no known case has anything in that direction
    assert published.floors[401] > 0.6
    asked = np.zeros((1, 8), np.float32)
    asked[0, 6], asked[0, 7] = 0.5, np.sqrt(0.75)
    classifier = np.eye(16, dtype=np.float32)[[15]]
    # closeness 0.5, squared, times 10 votes against the classifier's one
    assert search(published, asked, classifier).probabilities[0, 3] == pytest.approx(2.5 / 3.5, abs=1e-5)
    write_casebook(published, tmp_path / "casebook.onnx")
    session = ort.InferenceSession(str(tmp_path / "casebook.onnx"))
    both = np.concatenate([asked, known[:4]])
    sure = np.repeat(classifier, 5, axis=0)
    expected = search(published, both, sure)
    answer = session.run(["probabilities", "cited_similarities"], {"embedding": both, "classifier": sure})
    np.testing.assert_allclose(answer[0], expected.probabilities, atol=1e-5)
    np.testing.assert_allclose(answer[1], expected.cited_similarities, atol=1e-5)


def test_each_precedent_of_a_release_has_the_floor_that_its_likes_leave_it() -> None:
    # 200 precedents around a circle: of the 199 others the nearest, 1.8 degrees away, is within the 0.005
    angles = np.radians(np.arange(200, dtype=np.float64) * 360 / 200)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    casebook = Casebook(
        around, tuple(f"c{i}" for i in range(200)), np.full(200, 15, np.int32), np.ones(200, np.float32)
    ).with_floors()
    assert casebook.floors is not None
    assert casebook.floors == pytest.approx(np.full(200, 0.95), abs=1e-6)  # the cap: they are all alike
    few = Casebook(around[:50], casebook.case_ids[:50], casebook.categories[:50], casebook.weights[:50])
    assert few.with_floors().floors is None  # too few to tell what is usual


def test_a_part_of_a_casebook_keeps_voices_and_floors(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    known = rng.standard_normal((300, 8)).astype(np.float32)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    whole = Casebook(
        known[:250],
        tuple(f"c{i}" for i in range(250)),
        rng.integers(0, 16, 250).astype(np.int32),
        np.ones(250, np.float32),
    ).with_floors()
    news = Casebook(
        known[250:], tuple(f"n{i}" for i in range(50)), np.full(50, 3, np.int32), np.full(50, 0.5, np.float32)
    )
    published = whole.with_news(news)
    rows = np.array([0, 7, 249, 250, 299])
    part = published.only(rows)
    assert part.case_ids == ("c0", "c7", "c249", "n0", "n49")
    assert part.n_taught == 3
    assert part.voices.tolist() == published.voices[rows].tolist()
    assert part.floors is not None
    assert published.floors is not None
    assert part.floors.tolist() == published.floors[rows].tolist()
    write_casebook(published, tmp_path / "casebook.onnx")
    weights = dict(zip(published.case_ids, published.weights.tolist(), strict=True))
    read = read_casebook(tmp_path / "casebook.onnx", weights)
    assert read.n_taught == 250
    assert read.voices == pytest.approx(published.voices)
    np.testing.assert_allclose(read.floors, published.floors, atol=1e-6)
    np.testing.assert_allclose(read.embeddings, published.embeddings, atol=1e-5)
