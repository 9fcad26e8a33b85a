"""Merging: a type keeps its first id wherever it stands, and the 16 top labels stay as they are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import BadInputError
from contracts.growth import MOST_LEVELS, Origin, TypeNode, node_id_of
from contracts.taxonomy import Category
from policy.growth.taxonomy.hierarchy import Taxonomy, taxonomy_of
from policy.growth.taxonomy.merging import Conflict, ConflictKind, Moved, merge
from policy.growth.taxonomy.top_labels import category_of, check_top_labels, closed_ids, is_of_moderation, top_labels


def tree(**paths: str) -> Taxonomy:
    """Types by their ids, paths joined by `~`; evidence is the id."""
    return Taxonomy(
        tuple(
            TypeNode(node_id=node_id, path=tuple(path.split("~")), origin=Origin.SEED, evidence=(f"case-{path[-1]}",))
            for node_id, path in paths.items()
        )
    )


def labels_of(taxonomy: Taxonomy) -> dict[str, str]:
    return {node.node_id: node.label for node in taxonomy.nodes}


def test_types_of_both_are_there_and_a_path_spelled_alike_is_the_same_type_with_its_first_id() -> None:
    base, other = tree(a="Charts", b="Charts~Bar"), tree(x="charts", y="charts~BAR", z="charts~Pie")
    merged = merge(base, other)
    assert labels_of(merged.taxonomy) == {"a": "Charts", "b": "Charts~Bar", "z": "Charts~Pie"}
    assert merged.ids == {"x": "a", "y": "b"}
    assert merged.conflicts == (
        Conflict(ConflictKind.OTHER_ID, "a", "Charts", "x"),
        Conflict(ConflictKind.OTHER_ID, "b", "Charts~Bar", "y"),
    )
    assert merged.moved == ()


def test_a_renamed_type_keeps_its_id_and_takes_what_was_grown_below_it_along() -> None:
    base = tree(a="Charts", b="Charts~Bar", c="Charts~Bar~Stacked")
    merged = merge(base, tree(a="Figures", b="Figures~Bar"))
    assert labels_of(merged.taxonomy) == {"a": "Figures", "b": "Figures~Bar", "c": "Figures~Bar~Stacked"}
    assert merged.moved == (
        Moved("a", "Charts", "Figures"),
        Moved("b", "Charts~Bar", "Figures~Bar"),
        Moved("c", "Charts~Bar~Stacked", "Figures~Bar~Stacked"),
    )
    assert merged.conflicts == ()


def test_a_path_is_compared_where_its_parent_now_stands() -> None:
    merged = merge(tree(a="Charts", b="Charts~Bar"), tree(a="Figures", q="Figures~bar"))
    assert labels_of(merged.taxonomy) == {"a": "Figures", "b": "Figures~Bar"}
    assert merged.ids == {"q": "b"}


def test_a_type_does_not_move_onto_the_place_of_another() -> None:
    base = tree(a="A", b="B", c="A~C")
    merged = merge(base, tree(a="A", c="B"))
    assert labels_of(merged.taxonomy) == {"a": "A", "b": "B", "c": "A~C"}
    assert merged.conflicts == (Conflict(ConflictKind.TAKEN, "c", "A~C", "B"),)
    assert merged.moved == ()


def test_two_types_may_swap_their_names() -> None:
    merged = merge(tree(a="A", b="B"), tree(a="B", b="A"))
    assert labels_of(merged.taxonomy) == {"a": "B", "b": "A"}
    assert merged.conflicts == ()


def test_a_new_type_in_the_place_of_one_that_moved_is_another_type() -> None:
    merged = merge(tree(a="A", c="A~C"), tree(a="A", c="C", n="A~c"))
    assert labels_of(merged.taxonomy) == {"a": "A", "c": "C", "n": "A~c"}
    assert merged.ids == {}


def test_a_new_type_in_the_place_of_one_that_could_not_move_is_that_one() -> None:
    merged = merge(tree(a="A", b="B", c="A~C"), tree(a="A", c="B", n="A~c", m="A~c~M"))
    assert labels_of(merged.taxonomy) == {"a": "A", "b": "B", "c": "A~C", "m": "A~C~M"}
    assert merged.ids == {"n": "c"}
    assert [one.kind for one in merged.conflicts] == [ConflictKind.TAKEN, ConflictKind.OTHER_ID]


def test_a_type_and_the_one_it_is_below_may_change_places() -> None:
    merged = merge(tree(a="A", b="A~B", c="A~B~C"), tree(b="B", a="B~A"))
    assert labels_of(merged.taxonomy) == {"a": "B~A", "b": "B", "c": "B~C"}


def test_a_type_never_comes_to_stand_below_itself() -> None:
    # the second puts `a` below `b` as a root "D"; that place is taken, so `b` stays below `a`
    merged = merge(tree(a="A", b="A~B", d="D"), tree(b="D", a="D~A"))
    assert labels_of(merged.taxonomy) == {"a": "A", "b": "A~B", "d": "D"}
    assert merged.conflicts == (
        Conflict(ConflictKind.CYCLE, "a", "A", "D~A"),
        Conflict(ConflictKind.TAKEN, "b", "A~B", "D"),
    )


def test_a_move_that_would_make_types_below_too_deep_is_not_followed() -> None:
    deep = {f"d{n}": "~".join("abcdefgh"[:n]) for n in range(1, 9)}
    base = tree(**deep, x="X")
    merged = merge(base, tree(x="X", d1="X~a"))
    assert labels_of(merged.taxonomy) == labels_of(base)
    assert merged.conflicts == (Conflict(ConflictKind.TOO_DEEP, "d1", "a", "X~a"),)


def test_evidence_of_both_is_kept_and_provenance_is_the_first_ones() -> None:
    first = TypeNode(node_id="a", path=("A",), origin=Origin.SEED, evidence=("c1", "c2"))
    again = TypeNode(node_id="a", path=("A",), origin=Origin.GROWN, round=3, proposed_by="m", evidence=("c2", "c3"))
    merged = merge(Taxonomy((first,)), Taxonomy((again,))).taxonomy
    assert merged.nodes == (first.model_copy(update={"evidence": ("c1", "c2", "c3")}),)


_ids = st.sampled_from([f"n{n}" for n in range(9)])
_names = st.sampled_from(["A", "a", "B", "C", "D"])


@st.composite
def trees(draw: st.DrawFn) -> Taxonomy:
    """Small trees whose ids and names meet those of others often."""
    paths = dict[str, tuple[str, ...]]()
    for node_id in draw(st.lists(_ids, unique=True, min_size=1)):
        above = draw(st.sampled_from([(), *paths.values()]))
        path = (*above, draw(_names))
        lowered = {tuple(name.lower() for name in other) for other in paths.values()}
        if tuple(name.lower() for name in path) not in lowered and len(path) < MOST_LEVELS:
            paths[node_id] = path
    return Taxonomy(tuple(TypeNode(node_id=i, path=path, origin=Origin.SEED) for i, path in paths.items()))


@settings(max_examples=150, deadline=None)
@given(trees(), trees())
def test_no_id_is_lost_and_the_order_of_types_says_nothing(base: Taxonomy, other: Taxonomy) -> None:
    merged = merge(base, other)
    kept = {node.node_id for node in merged.taxonomy.nodes}
    assert {node.node_id for node in base.nodes} <= kept
    assert {merged.ids.get(node.node_id, node.node_id) for node in other.nodes} <= kept
    assert kept == {node.node_id for node in base.nodes} | {
        merged.ids.get(node.node_id, node.node_id) for node in other.nodes
    }
    assert merged == merge(Taxonomy(base.nodes[::-1]), Taxonomy(other.nodes[::-1]))
    assert merge(base, base).taxonomy == base
    refused = {one.node_id for one in merged.conflicts if one.kind is not ConflictKind.OTHER_ID}
    follows = {node.node_id: node.name for node in other.nodes if node.node_id in base}
    for node_id in follows.keys() - refused:
        assert merged.taxonomy.by_id(node_id).name == follows[node_id]


def test_the_top_labels_are_five_groups_with_the_16_categories_below_them() -> None:
    labels = top_labels()
    assert (len(labels.roots), len(labels.leaves), len(labels)) == (5, 16, 21)
    assert labels.at(("law_and_safety", "prohibited_goods")) is not None
    assert {category_of(leaf) for leaf in labels.leaves} == set(Category)
    assert is_of_moderation(labels)
    assert not is_of_moderation(taxonomy_of([("Commercial", "Adverts")]))


def test_nothing_grows_beside_the_categories_or_below_what_breaks_no_rule() -> None:
    labels = top_labels()
    closed = {labels.by_id(node_id).label for node_id in closed_ids(labels)}
    assert closed == {
        "law_and_safety",
        "content_ethics",
        "commercial",
        "intellectual_property",
        "positive",
        "positive~positive",
    }
    assert closed_ids(taxonomy_of([("Charts", "Bar")])) == frozenset()


def test_a_grown_type_is_of_the_category_that_it_is_below() -> None:
    path = ("commercial", "hype_selling", "Staged auctions", "Of jade")
    node = TypeNode(node_id=node_id_of(path), path=path, origin=Origin.GROWN)
    assert category_of(node) is Category.HYPE_SELLING


def changed(node_id: str, *path: str) -> Taxonomy:
    return Taxonomy(
        tuple(
            node.model_copy(update={"path": path}) if node.node_id == node_id else node for node in top_labels().nodes
        )
    )


GOODS = node_id_of(("law_and_safety", "prohibited_goods"))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (changed(GOODS, "law_and_safety", "bad_goods"), "'law_and_safety~bad_goods', must stay"),
        (changed(GOODS, "law_and_safety", "Prohibited Goods"), "'law_and_safety~Prohibited Goods', must stay"),
        (changed(GOODS, "commercial", "prohibited_goods"), "'commercial~prohibited_goods', must stay"),
        (
            Taxonomy(tuple(n for n in top_labels().nodes if n.node_id != GOODS)),
            f"'law_and_safety~prohibited_goods' is missing, must be there as {GOODS}",
        ),
        (
            Taxonomy(tuple(n.model_copy(update={"node_id": f"x-{n.node_id}"}) for n in top_labels().nodes)),
            "is missing, must be there as t-",
        ),
        (top_labels().adding(()), None),
        (
            top_labels().adding([TypeNode(node_id="n", path=("commercial", "usury"), origin=Origin.GROWN)]),
            "'commercial~usury', must be below one of the 16 top labels",
        ),
        (
            taxonomy_of([("Charts", "Bar")]),
            "'positive~positive' is missing|'law_and_safety~illegal_activity' is missing",
        ),
    ],
)
def test_merging_refuses_whatever_would_change_a_top_label(other: Taxonomy, said: str | None) -> None:
    if said is None:
        assert merge(top_labels(), other).taxonomy == top_labels()
        return
    for pair in ((top_labels(), other), (other, top_labels())):
        with pytest.raises(BadInputError, match=said):
            merge(*pair)


def test_a_group_keeps_its_id_too() -> None:
    groups = {n.node_id: n for n in top_labels().roots}
    other = Taxonomy(
        tuple(
            n.model_copy(update={"node_id": f"x-{n.node_id}"}) if n.node_id in groups else n for n in top_labels().nodes
        )
    )
    with pytest.raises(BadInputError, match=r"is x-t-\w+, must stay t-\w+ \(top group\)"):
        check_top_labels(other)
