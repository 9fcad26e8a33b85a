"""Leaves explain what is like nine in ten of their own; the rest is clustered: worked out by hand on few dimensions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from policy.growth.leaves.clusters import ClusterSettings, cluster, cohesion_of, groups
from policy.growth.leaves.explaining import (
    Embedded,
    Floats,
    alike,
    fit,
    leaf_of,
    likeness,
    suggest_leaf,
    unexplained,
)
from serving.casebook import Casebook

GOODS, FRAUD = Category.PROHIBITED_GOODS, Category.FALSE_BENEFITS


def at(*degrees: float) -> Floats:
    """Points on the unit circle: their cosines are those of the angles between them."""
    radians = np.deg2rad(np.array(degrees))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def ruled(*cases: tuple[float, Category, str]) -> Embedded:
    return Embedded(
        tuple(f"c-{n}" for n in range(len(cases))),
        tuple(category for _, category, _ in cases),
        tuple(leaf for *_, leaf in cases),
        at(*(degrees for degrees, *_ in cases)),
    )


def cos(degrees: float) -> float:
    return float(np.cos(np.deg2rad(degrees)))


def test_a_case_is_as_like_a_leaf_as_the_mean_of_its_five_nearest_members() -> None:
    members = at(0, 10, 20, 30, 40, 170)
    assert likeness(at(0), members)[0] == pytest.approx(np.mean([cos(d) for d in (0, 10, 20, 30, 40)]))
    assert likeness(members[:1], members, own=[0])[0] == pytest.approx(np.mean([cos(d) for d in (10, 20, 30, 40, 170)]))
    assert likeness(at(0), at(60))[0] == pytest.approx(0.5)
    assert likeness(at(0), at(0), own=[0])[0] == -1.0


def test_a_leafs_line_is_that_of_its_least_typical_tenth_and_never_under_chance() -> None:
    # Without itself: 0 is as like as cos 60 and 90, 60 as cos 60 and 30, 90 as cos 90 and 30. The least is the tenth.
    leaf = leaf_of("t-1", at(0, 60, 90), alike=0.1)
    assert leaf.line == pytest.approx((cos(60) + cos(90)) / 2)
    assert leaf_of("t-1", at(0, 80), alike=0.4).line == pytest.approx(0.4), "its two members are less alike than chance"
    assert leaf_of("t-1", at(0), alike=0.3).line == 0.3


def test_a_leaf_of_copies_explains_what_is_half_of_the_way_from_chance_to_a_copy() -> None:
    assert leaf_of("t-1", at(0, 0, 0), alike=0.2).line == pytest.approx(0.6)


def test_of_two_leaves_the_one_that_a_case_is_farthest_over_fits() -> None:
    near, far = leaf_of("t-near", at(0, 10), alike=0.1), leaf_of("t-far", at(100, 160), alike=0.1)
    assert near.line == pytest.approx(0.55)
    assert far.line == pytest.approx(0.5)
    (one,) = fit(at(110), [near, far])
    assert one is not None
    assert (one.leaf, one.explains) == ("t-far", True)
    assert one.similarity == pytest.approx((cos(10) + cos(50)) / 2)
    (two,) = fit(at(60), [near, far])
    assert two is not None
    assert (two.leaf, two.explains) == ("t-near", True), "cos 60 and 50 are 0.571 of 0.55; the other 0.296 of 0.5"
    (three,) = fit(at(70), [near, far])
    assert three is not None
    assert (three.leaf, three.explains) == ("t-far", False), "cos 70 and 60 are 0.421 of 0.55; the other 0.433 of 0.5"
    assert fit(at(0), []) == [None]


def test_a_case_without_a_leaf_is_unexplained_unless_a_leaf_of_its_own_category_explains_it() -> None:
    rulings = ruled(
        (0, GOODS, "t-1"), (10, GOODS, "t-1"), (20, GOODS, "t-1"),
        (12, GOODS, ""), (90, GOODS, ""), (10, FRAUD, ""),
    )  # fmt: skip
    assert unexplained(rulings, alike=0.2) == {FRAUD: [5], GOODS: [4]}
    assert suggest_leaf(at(11)[0], GOODS, rulings, 0.2) is not None
    assert suggest_leaf(at(11)[0], FRAUD, rulings, 0.2) is None
    assert suggest_leaf(at(90)[0], GOODS, rulings, 0.2) is None


def test_what_is_alike_by_chance_is_what_one_in_twenty_pairs_of_other_categories_reach() -> None:
    degrees = np.linspace(30, 180, 101)
    ids = tuple(f"k-{n}" for n in range(101))
    known = Casebook(at(*degrees), ids, np.zeros(101, np.int32), np.ones(101, np.float32))
    rulings = ruled(*[(0.0, GOODS, "")] * 10)
    assert alike(rulings, known) == pytest.approx(cos(37.5), abs=1e-3), "5 of 100 are nearer"
    few = ruled(*[(0.0, GOODS, "")] * 9)
    assert alike(few, known) == known.blend.floor, "909 pairs are too few"
    same = ruled(*[(0.0, Category.ILLEGAL_ACTIVITY, "")] * 10)
    assert alike(same, known) == known.blend.floor, "no known case is of another category"


def test_clusters_are_those_unexplained_that_are_alike_and_of_several_authors() -> None:
    rulings = ruled(
        *[(float(d), GOODS, "") for d in (0, 4, 8)], *[(float(d), GOODS, "") for d in (90, 95)],
        *[(float(d), FRAUD, "") for d in (0, 1, 2)],
    )  # fmt: skip
    authors = ["ann", "bob", "ann", "ann", "bob", "eve", "eve", "eve"]
    settings = ClusterSettings(least=3, authors=2)
    (one,) = cluster(rulings, authors, 0.5, settings)
    assert (one.category, set(one.rows), one.nearest) == (GOODS, {0, 1, 2}, "")
    assert one.rows[0] == 1, "the middle one is most like the others"
    assert one.cohesion == pytest.approx((2 * cos(4) + cos(8)) / 3)
    two = cluster(rulings, authors, 0.5, ClusterSettings(least=2, authors=1))
    assert [set(found.rows) for found in two] == [{0, 1, 2}, {5, 6, 7}, {3, 4}], "the largest first"


def test_a_cluster_names_the_leaf_that_it_is_nearest_to_and_how_near() -> None:
    rulings = ruled((0, GOODS, "t-1"), (4, GOODS, "t-1"), (60, GOODS, ""), (62, GOODS, ""))
    (one,) = cluster(rulings, ["a", "b", "c", "d"], 0.2, ClusterSettings(least=2))
    expected = np.mean([cos(60), cos(56), cos(62), cos(58)])
    assert one.nearest == "t-1"
    assert one.similarity == pytest.approx(expected, abs=1e-6)


def test_only_the_newest_of_a_category_are_clustered() -> None:
    rulings = ruled(*[(float(d), GOODS, "") for d in (0, 1, 2, 3)])
    (one,) = cluster(rulings, list("abcd"), 0.5, ClusterSettings(least=2, at_most=3))
    assert set(one.rows) == {1, 2, 3}


@given(st.lists(st.floats(0, 360), min_size=2, max_size=30), st.floats(0.1, 0.9))
def test_groups_part_all_rows_and_give_the_same_again(degrees: list[float], line: float) -> None:
    points = at(*degrees)
    found = groups(points, line)
    assert sorted(row for group in found for row in group) == list(range(len(points)))
    assert groups(points, line) == found
    assert all(cohesion_of(points[group]) > -1.001 for group in found if len(group) > 1)


@pytest.mark.parametrize(("name", "value"), [("least", 1), ("authors", 0), ("at_most", 1), ("days", 0.0)])
def test_settings_that_make_no_cluster_are_refused(name: str, value: float) -> None:
    with pytest.raises(BadInputError, match=rf"{name} == {value:g}"):
        ClusterSettings(**{name: value})  # type: ignore[arg-type]
