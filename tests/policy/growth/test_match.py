"""The k nearest types of a picture: exactly those of a full sort, in parts that are taken up where a run ended."""

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import BadInputError
from policy.growth.encoders.embed import embeddings_schema
from policy.growth.encoders.typed import TypeEmbeddings
from policy.growth.match import DROPPED, KEPT, MatchSettings, Nearest, Search, match
from policy.growth.parts import Totals, digest_of_part, dropped_of, part_at, parts_of, read_part, write_part

Floats = npt.NDArray[np.float32]


def directions(n: int, dim: int, seed: int) -> Floats:
    rows = np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def by_full_sort(cosines_N_T: Floats, k: int) -> Nearest:
    order = np.argsort(-cosines_N_T, axis=1, kind="stable")[:, :k]
    return Nearest(order, np.take_along_axis(cosines_N_T, order, axis=1))


def cosines_of(search: Search, pictures: Floats, n_types: int) -> Floats:
    """The product that the search itself makes, block by block: another order of adding has other last bits."""
    blocks = [search.cosines(pictures[at : at + 128])[:, :n_types].copy() for at in range(0, len(pictures), 128)]
    return np.concatenate(blocks)


@pytest.mark.parametrize("n_types", [1, 9, 10, 11, 319, 320, 321, 353, 1_000, 3_001])
def test_the_nearest_are_those_of_a_full_sort(n_types: int) -> None:
    pictures, types = directions(300, 16, 1), directions(n_types, 16, 2)
    search = Search(types, 10)
    found, wanted = search.nearest(pictures), by_full_sort(cosines_of(search, pictures, n_types), 10)
    np.testing.assert_array_equal(found.types, wanted.types)
    np.testing.assert_array_equal(found.cosines, wanted.cosines)
    assert found.types.shape == (300, min(10, n_types))
    np.testing.assert_allclose(found.cosines, by_full_sort(pictures @ types.T, 10).cosines, atol=1e-5)


@given(data=st.data(), n_types=st.integers(1, 700), k=st.integers(1, 12), values=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_of_types_as_near_as_each_other_the_first_come_first(
    data: st.DataObject, n_types: int, k: int, values: int
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # few whole numbers: cosines are exact, and nearly all of them tie
    types = rng.integers(0, values, (n_types, 3)).astype(np.float32)
    pictures = rng.integers(0, 2, (7, 3)).astype(np.float32)
    found, wanted = Search(types, k).nearest(pictures), by_full_sort(pictures @ types.T, k)
    np.testing.assert_array_equal(found.types, wanted.types)
    np.testing.assert_array_equal(found.cosines, wanted.cosines)


def test_a_tie_outside_the_best_groups_is_seen() -> None:
    types = np.zeros((2_000, 1), np.float32)
    types[[1_999, 700, 5, 1_200]] = 1.0  # of three of them any two groups may be chosen
    found = Search(types, 3).nearest(np.ones((1, 1), np.float32))
    assert found.types.tolist() == [[5, 700, 1_200]]
    assert found.cosines.tolist() == [[1.0, 1.0, 1.0]]


def test_types_of_one_name_tie_and_the_one_that_comes_first_is_taken() -> None:
    types = directions(3_000, 32, 5)
    types[2_500:] = types[:500]
    pictures = types[:200] + np.float32(0.01) * directions(200, 32, 6)
    search = Search(types, 2)
    found = search.nearest(pictures)
    np.testing.assert_array_equal(found.types, by_full_sort(cosines_of(search, pictures, 3_000), 2).types)
    assert {*found.types[:, 0].tolist(), *found.types[:, 1].tolist()} >= {0, 2_500}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    types, pictures = directions(50, 8, 1), directions(5, 8, 2)
    broken = pictures.copy()
    broken[3, 2] = bad
    with pytest.raises(BadInputError, match=r"pictures: embeddings of shape \(5, 8\), must be finite"):
        Search(types, 5).nearest(broken)
    with pytest.raises(BadInputError, match="types: embeddings of shape"):
        Search(broken, 5)


def test_other_dimensions_no_types_and_no_k_are_refused() -> None:
    with pytest.raises(BadInputError, match="pictures have 9 dimensions, must have the 8 of the types"):
        Search(directions(5, 8, 1), 5).nearest(directions(5, 9, 1))
    with pytest.raises(BadInputError, match="k == 5 of 0 types"):
        Search(np.zeros((0, 8), np.float32), 5)
    with pytest.raises(BadInputError, match="k == 0 of 5 types"):
        Search(directions(5, 8, 1), 0)


TYPES = TypeEmbeddings([f"t-{i}" for i in range(4)], np.eye(4, dtype=np.float32), "types")


def embedded(folder: Path, *parts: Floats) -> Path:
    for i, vectors in enumerate(parts):
        kept = pl.DataFrame(
            {"picture_id": [f"{i}-{row}" for row in range(len(vectors))], "embedding": vectors},
            schema=dict(embeddings_schema(4)),
        )
        write_part(folder, i, kept, pl.DataFrame(schema=dict(DROPPED)), input=f"in {i}", plan="plan")
    return folder


def matched(home: Path, settings: MatchSettings, *, types: TypeEmbeddings = TYPES) -> Totals:
    return match(home / "embeddings", types, home / "matches", settings, advance=lambda _: None)


def test_part_i_of_the_embeddings_becomes_part_i_of_the_matches(tmp_path: Path) -> None:
    near = np.array([[0.8, 0.6, 0, 0], [0, 0, 0.6, 0.8]], np.float32)
    embedded(tmp_path / "embeddings", near, near[:0], near[1:])
    assert matched(tmp_path, MatchSettings(k=3)) == Totals(3, {})
    first, none, last = (read_part(part, KEPT) for part in parts_of(tmp_path / "matches"))
    assert first["node_ids"].to_list() == [["t-0", "t-1", "t-2"], ["t-3", "t-2", "t-0"]]
    np.testing.assert_allclose(first["scores"].to_list(), [[0.8, 0.6, 0.0], [0.8, 0.6, 0.0]], rtol=1e-6)
    assert (none.height, last["picture_id"].to_list()) == (0, ["2-0"])


def test_a_type_less_near_than_asked_is_left_out_and_a_picture_far_from_all_is_dropped(tmp_path: Path) -> None:
    embedded(tmp_path / "embeddings", np.array([[0.8, 0.6, 0, 0], [0.5, 0.5, 0.5, 0.5]], np.float32))
    assert matched(tmp_path, MatchSettings(k=3, least=0.55)) == Totals(1, {"far_from_all": 1})
    (part,) = parts_of(tmp_path / "matches")
    assert read_part(part, KEPT)["node_ids"].to_list() == [["t-0", "t-1"]]
    assert read_part(dropped_of(part), DROPPED).rows() == [
        ("0-1", "far_from_all", "cosine == 0.5000, must be at least 0.55")
    ]


def test_a_run_that_ended_is_taken_up_to_the_same_bytes_and_other_settings_or_types_are_refused(tmp_path: Path) -> None:
    embedded(tmp_path / "embeddings", *(directions(5, 4, seed) for seed in range(3)))
    asked = MatchSettings(k=2)
    whole = matched(tmp_path, asked)
    digests = [digest_of_part(part) for part in parts_of(tmp_path / "matches")]
    for done in range(3):
        for part in parts_of(tmp_path / "matches")[done:]:
            part.unlink()
        assert matched(tmp_path, asked) == whole
        assert [digest_of_part(part) for part in parts_of(tmp_path / "matches")] == digests
    with pytest.raises(BadInputError, match="other settings"):
        matched(tmp_path, MatchSettings(k=3))
    with pytest.raises(BadInputError, match="other settings"):
        matched(tmp_path, asked, types=TYPES._replace(digest="others"))
    shutil.copy(part_at(tmp_path / "embeddings", 0), part_at(tmp_path / "embeddings", 1))
    with pytest.raises(BadInputError, match="another input"):
        matched(tmp_path, asked)
    part_at(tmp_path / "embeddings", 2).unlink()
    with pytest.raises(BadInputError, match="its input makes 2 parts"):
        matched(tmp_path, asked)
