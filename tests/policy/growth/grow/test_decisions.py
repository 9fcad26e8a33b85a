"""What becomes of the lines of a round: in the order of types and lines, whatever means the same stays once."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from contracts.growth import Origin, TypeNode, node_id_of
from policy.growth.grow.asking import Answered, Try
from policy.growth.grow.decisions import NOTHING_MISSING, UNUSABLE, Decided, decide, nodes_of
from policy.growth.grow.meaning import BLOCK, Floats, NgramEncoder, Vectors
from policy.growth.grow.parsing import Parsed, Refusal, parse
from policy.growth.grow.settings import GrowthSettings, Scope
from policy.growth.taxonomy.hierarchy import Taxonomy, taxonomy_of

TREE = taxonomy_of([("Charts", "Bars"), ("Charts", "Pies"), ("Text", "Signs")])


class Angles:
    """Embeds a name by the number at its end: degrees on a circle; names without one are at 90 degrees."""

    name = "angles"

    def texts(self, texts: Sequence[str]) -> Floats:
        ends = (text.rpartition(" ")[2] for text in texts)
        radians = np.radians([float(end) if end.isdecimal() else 90.0 for end in ends])
        return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def answered(path: str, *answers: str, taxonomy: Taxonomy = TREE) -> Answered:
    node = taxonomy.at(path.split("~"))
    assert node is not None
    parsed = [parse(answer, node.path, most_lines=3) for answer in answers]
    return Answered(node, tuple(Try(n, one) for n, one in enumerate(parsed, 1)))


def decided(*given: Answered, near: float = 0.9, spelled: Scope = Scope.ANYWHERE, taxonomy: Taxonomy = TREE) -> Decided:
    return decide(given, taxonomy, 4, Vectors(Angles()), GrowthSettings(near=near, spelled=spelled))


def refused(rows: Decided) -> list[tuple[str, str, str | None]]:
    return [
        (proposal, reason, None if near is None else TREE.by_id(near).name if near in TREE else near)
        for proposal, reason, near in rows.dropped.select("proposal", "reason", "near_id").iter_rows()
    ]


def test_a_new_type_is_a_row_with_its_place_its_id_and_the_nearest_before_it() -> None:
    rows = decided(answered("Charts~Bars", "Stacked 0"))
    assert rows.kept.rows(named=True) == [
        {
            "round": 4,
            "parent_id": node_id_of(("Charts", "Bars")),
            "attempt": 1,
            "node_id": node_id_of(("Charts", "Bars", "Stacked 0")),
            "name": "Stacked 0",
            "path": "Charts~Bars~Stacked 0",
            "near_id": node_id_of(("Charts",)),
            "similarity": 0.0,
        }
    ]
    assert rows.dropped.height == 0


def test_a_name_that_is_there_is_refused_anywhere_or_among_siblings_only() -> None:
    given = answered("Text~Signs", "bars\nSIGNS\nLamps 0")
    assert refused(decided(given)) == [
        ("SIGNS", Refusal.CYCLE, None),
        ("bars", Refusal.EXISTS, "Bars"),
    ]
    apart = decided(given, spelled=Scope.SIBLINGS, near=0.95)
    assert apart.kept["name"].to_list() == ["Lamps 0"]
    assert refused(apart)[1] == ("bars", Refusal.NEAR, "Text")
    tree = taxonomy_of([("Charts", "Bars", "Stacked 0"), ("Charts", "Pies")])
    here, there = (answered(path, "stacked 0", taxonomy=tree) for path in ("Charts~Bars", "Charts~Pies"))
    both = decided(here, there, spelled=Scope.SIBLINGS, near=1.0, taxonomy=tree)
    assert both.dropped["reason"].to_list() == [Refusal.EXISTS, Refusal.NEAR]


def test_a_name_of_two_roots_in_one_round_is_the_first_ones_unless_siblings_alone_are_spelled_apart() -> None:
    given = (answered("Charts~Bars", "Lamps 0"), answered("Text~Signs", "LAMPS 0"))
    rows = decided(*given)
    assert rows.kept["path"].to_list() == ["Charts~Bars~Lamps 0"]
    assert refused(rows) == [("LAMPS 0", Refusal.EXISTS, node_id_of(("Charts", "Bars", "Lamps 0")))]
    apart = decided(*given, spelled=Scope.SIBLINGS)
    assert apart.kept["path"].to_list() == ["Charts~Bars~Lamps 0", "Text~Signs~LAMPS 0"]


def test_two_names_within_the_threshold_mean_the_same_and_the_first_stays() -> None:
    # cos 20 degrees == 0.9397, cos 30 degrees == 0.8660
    rows = decided(answered("Charts~Bars", "A 0\nB 20\nC 30"))
    assert rows.kept["name"].to_list() == ["A 0", "C 30"]
    assert rows.kept["similarity"].to_list() == pytest.approx([0.0, 0.8660], abs=1e-6)
    first = node_id_of(("Charts", "Bars", "A 0"))
    assert rows.dropped.select("proposal", "reason", "near_id").rows() == [("B 20", Refusal.NEAR, first)]
    assert rows.dropped["similarity"].to_list() == pytest.approx([0.9397], abs=1e-6)


def test_what_was_refused_keeps_nothing_else_away() -> None:
    # B is near A alone, C is near B alone: B goes, so C stays
    rows = decided(answered("Charts~Bars", "A 0\nB 25\nC 50"), near=0.9)
    assert rows.kept["name"].to_list() == ["A 0", "C 50"]


def test_a_meaning_is_compared_within_its_root_with_every_level_and_with_cousins_of_the_round() -> None:
    rows = decided(
        answered("Charts~Bars", "A 0\nLike charts 80"),
        answered("Charts~Pies", "B 5"),
        answered("Text~Signs", "C 10"),
    )
    assert rows.kept["path"].to_list() == ["Charts~Bars~A 0", "Text~Signs~C 10"]
    assert refused(rows) == [
        ("Like charts 80", Refusal.NEAR, "Charts"),
        ("B 5", Refusal.NEAR, node_id_of(("Charts", "Bars", "A 0"))),
    ]


def test_the_threshold_itself_means_the_same() -> None:
    near = round(float(np.cos(np.radians(30))), 4)
    given = answered("Charts~Bars", "A 0\nC 30")
    assert decided(given, near=near).kept["name"].to_list() == ["A 0"]
    assert decided(given, near=near + 1e-4).kept["name"].to_list() == ["A 0", "C 30"]


def test_lines_and_answers_without_a_name_are_rows_with_their_reasons() -> None:
    bars, pies, signs = TREE.at(("Charts", "Bars")), TREE.at(("Charts", "Pies")), TREE.at(("Text", "Signs"))
    assert bars is not None
    assert pies is not None
    assert signs is not None
    rows = decided(
        Answered(bars, (Try(1, Parsed(()), "was cut\x1b at 9 tokens"), Try(2, Parsed((), none=True)))),
        answered("Charts~Pies", "A > B", "X 0\nY 0\nx 0\nmore\nmore"),
    )
    columns = ("parent_id", "attempt", "proposal", "reason", "detail", "lines")
    assert rows.dropped.select(columns).rows() == [
        (bars.node_id, 1, "", UNUSABLE, "was cut\\x1b at 9 tokens", 0),
        (bars.node_id, 2, "", NOTHING_MISSING, "", 0),
        (pies.node_id, 1, "A > B", Refusal.OTHER_SEPARATOR, "", 1),
        (pies.node_id, 2, "x 0", Refusal.REPEATED, "", 1),
        (pies.node_id, 2, "more", Refusal.TOO_MANY, "", 2),
        (pies.node_id, 2, "Y 0", Refusal.NEAR, "", 1),
    ]
    assert rows.kept["attempt"].to_list() == [2]


def test_blocks_decide_as_one_after_another_would() -> None:
    tree = taxonomy_of([("R", f"P{n}") for n in range(40)])
    given = [
        Answered(
            node,
            (Try(1, parse("\n".join(f"{node.name} n {(7 * k) % 360}" for k in range(25)), node.path, most_lines=25)),),
        )
        for node in tree.children_of(tree.roots[0])
    ]
    assert sum(len(tries[0].parsed.lines) for _, tries in given) > 3 * BLOCK
    settings = GrowthSettings(near=0.999)
    rows = decide(given, tree, 1, Vectors(Angles()), settings)
    kept, angles = [], [90.0]
    for node, tries in given:
        for line in tries[0].parsed.lines:
            assert line.name is not None
            angle = float(line.name.split()[-1])
            if max(np.cos(np.radians(angle - other)) for other in angles) < 0.999:
                kept.append(f"R~{node.name}~{line.name}")
                angles.append(angle)
    assert rows.kept["path"].to_list() == kept
    assert rows.kept.height + rows.dropped.height == 1_000


def test_kept_rows_become_types_with_where_they_came_from() -> None:
    rows = decided(answered("Charts~Bars", "Stacked 0"))
    assert list(nodes_of(rows.kept, TREE, proposed_by="m")) == [
        TypeNode(
            node_id=node_id_of(("Charts", "Bars", "Stacked 0")),
            path=("Charts", "Bars", "Stacked 0"),
            origin=Origin.GROWN,
            round=4,
            proposed_by="m",
        )
    ]


def test_a_type_in_the_place_of_one_that_moved_away_gets_an_id_of_its_own() -> None:
    taken = node_id_of(("Charts", "Bars", "Stacked 0"))
    moved = TREE.adding([TypeNode(node_id=taken, path=("Text", "Moved 0"), origin=Origin.GROWN)])
    rows = decided(answered("Charts~Bars", "Stacked 0", taxonomy=moved), taxonomy=moved)
    assert rows.kept["node_id"].to_list() == [f"{taken}-2"]


def test_rewording_is_refused_by_the_encoder_that_needs_no_model() -> None:
    given = answered("Text~Signs", "Reading of street signs\nStreet sign reading\nReading shop signs")
    rows = decide([given], TREE, 1, Vectors(NgramEncoder()), GrowthSettings())
    assert rows.kept["name"].to_list() == ["Reading of street signs", "Reading shop signs"]
    assert rows.dropped.select("proposal", "similarity").rows() == [("Street sign reading", 1.0)]
    assert isinstance(rows.dropped.schema["similarity"], pl.Float32)
