"""A taxonomy: types below their parents, found by id and by how their paths are spelled."""

import pytest

from contracts.errors import BadInputError
from contracts.growth import Origin, TypeNode, node_id_of
from policy.growth.taxonomy.hierarchy import Taxonomy, taxonomy_of


def node(*path: str, node_id: str = "") -> TypeNode:
    return TypeNode(node_id=node_id or node_id_of(path), path=path, origin=Origin.GROWN)


CHARTS = taxonomy_of([("Text",), ("Charts", "Pie"), ("Charts", "Bar", "Stacked")])


def test_what_lies_between_a_type_and_its_root_is_made_and_all_is_sorted_by_path() -> None:
    assert [n.label for n in CHARTS.nodes] == ["Charts", "Charts~Bar", "Charts~Bar~Stacked", "Charts~Pie", "Text"]
    assert {n.origin for n in CHARTS.nodes} == {Origin.SEED}


def test_a_type_knows_its_parent_its_children_and_its_siblings() -> None:
    charts, bar, stacked, pie, text = CHARTS.nodes
    assert CHARTS.roots == (charts, text)
    assert CHARTS.leaves == (stacked, pie, text)
    assert CHARTS.children_of(charts) == (bar, pie)
    assert CHARTS.children_of(text) == ()
    assert CHARTS.parent_of(stacked) == bar
    assert CHARTS.parent_of(charts) is None
    assert CHARTS.siblings_of(bar) == (pie,)
    assert CHARTS.siblings_of(charts) == (text,)
    assert CHARTS.at_level(2) == (bar, pie)


def test_a_type_is_found_by_its_id_and_by_any_spelling_of_its_path() -> None:
    bar = CHARTS.by_id(node_id_of(("Charts", "Bar")))
    assert CHARTS.at(("CHARTS", "bar!")) is bar
    assert CHARTS.at(("Ｃharts", "Bar")) is bar
    assert CHARTS.at(("Charts", "Donut")) is None
    with pytest.raises(BadInputError, match="node_id == 't-0', must be of a type of the taxonomy"):
        CHARTS.by_id("t-0")


def test_a_type_without_its_parent_is_refused() -> None:
    with pytest.raises(BadInputError, match="path == 'A~B', must have its parent 'A'"):
        Taxonomy((node("A", "B"),))
    with pytest.raises(BadInputError, match="must have its parent 'A'"):
        Taxonomy((node("a"), node("A", "B")))


def test_two_types_of_one_spelling_or_one_id_are_refused() -> None:
    with pytest.raises(BadInputError, match="path == 'a b', must be spelled unlike 'A-b'"):
        Taxonomy((node("A-b"), node("a b", node_id="t-other")))
    with pytest.raises(BadInputError, match="node_id == 't-1', must be of one type"):
        Taxonomy((node("A", node_id="t-1"), node("B", node_id="t-1")))
    with pytest.raises(BadInputError, match=r"path == '\?', each level must have a letter or a digit"):
        Taxonomy((node("?"),))


def test_a_type_that_is_made_where_one_has_moved_away_gets_an_id_of_its_own() -> None:
    made = node_id_of(("Pie",))
    moved = Taxonomy((node("Donut", node_id=made),))
    assert moved.new_id(("Pie",)) == f"{made}-2"
    again = moved.adding([node("Pie", node_id=f"{made}-2")])
    assert again.new_id(("Pie",)) == f"{made}-3"
    assert again.new_id(("Bar",)) == node_id_of(("Bar",))
