"""Growing over the real asker and its journals: level by level, the same in any order, taken up after any end."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.growth.namer import children
from contracts.errors import BadInputError, DependencyError
from contracts.growth import Origin
from contracts.taxonomy import VIOLATIVE
from policy.growth.calls.asker import Asker
from policy.growth.grow.meaning import Floats, NgramEncoder, TextEncoder
from policy.growth.grow.parsing import Refusal
from policy.growth.grow.prompts import messages_of
from policy.growth.grow.rounds import ROUNDS, Ending, Growth, RoundCount, grow_into
from policy.growth.grow.settings import GrowthSettings
from policy.growth.parts import totals
from policy.growth.taxonomy.folder import read_taxonomy, read_version, version_of
from policy.growth.taxonomy.hierarchy import Taxonomy, taxonomy_of
from policy.growth.taxonomy.top_labels import category_of, top_labels
from tests.policy.growth.grow.answering import Answering, Killed, asker_of, lines, scripted

SEEDS = taxonomy_of([("Charts", "Bars"), ("Text",)])


def grown(
    folder: Path,
    asker: Asker,
    settings: GrowthSettings,
    seeds: Taxonomy = SEEDS,
    encoder: TextEncoder = NgramEncoder(),  # noqa: B008  it holds nothing
) -> Growth:
    growth, version = asyncio.run(grow_into(folder, seeds, settings, asker, encoder))
    assert read_taxonomy(folder) == growth.taxonomy
    assert (version.version, version.parent) == (version_of(growth.taxonomy), version_of(seeds))
    return growth


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".running")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def labels_of(taxonomy: Taxonomy) -> list[str]:
    return [node.label for node in taxonomy.nodes]


def test_it_grows_level_by_level_and_asks_again_with_what_now_exists(tmp_path: Path) -> None:
    seen = list[tuple[str, list[str]]]()
    says = scripted(
        {
            "Charts": [lines("Pies"), lines("Maps", "pies")],
            "Text": [lines("Signs")],
            "Text~Signs": [lines("Shop names")],
        }
    )

    def noted(path: tuple[str, ...], there: list[str]) -> str:
        seen.append(("~".join(path), there))
        return says(path, there)

    client = Answering(noted)
    growth = grown(tmp_path, asker_of(client, parallel=1), GrowthSettings(levels=3))
    assert seen == [
        ("Charts", ["Bars"]),
        ("Text", []),
        ("Charts", ["Bars", "Pies"]),
        ("Text", ["Signs"]),
        ("Charts", ["Bars", "Maps", "Pies"]),
        ("Charts~Bars", []),
        ("Charts~Maps", []),
        ("Charts~Pies", []),
        ("Text~Signs", []),
        ("Text~Signs", ["Shop names"]),
    ]
    assert labels_of(growth.taxonomy) == [
        "Charts",
        "Charts~Bars",
        "Charts~Maps",
        "Charts~Pies",
        "Text",
        "Text~Signs",
        "Text~Signs~Shop names",
    ]
    assert growth.ending is Ending.LEVELS
    first, second, *_ = growth.rounds
    assert first == RoundCount(1, 1, asked=2, answers=2, kept=2, refused={}, unusable=0, leaves=3, below=1)
    assert second == RoundCount(2, 1, 2, 2, 1, {str(Refusal.EXISTS): 1}, 0, 4, 3)
    assert [(one.level, one.asked, one.kept, one.below) for one in growth.rounds] == [
        (1, 2, 2, 1),
        (1, 2, 1, 3),
        (1, 1, 0, 4),
        (2, 4, 1, 0),
        (2, 1, 0, 1),
    ]
    node = growth.taxonomy.at(("Charts", "Maps"))
    assert node is not None
    assert (node.origin, node.round, node.proposed_by) == (Origin.GROWN, 2, "default")


def test_a_level_ends_with_the_round_that_adds_less_than_the_stated_share(tmp_path: Path) -> None:
    told = [lines("A1", "B1", "C1", "D1"), lines("E1"), lines("F1")]

    def rounds(name: str, least_new: float) -> list[float]:
        client = Answering(scripted({"Text": told}))
        settings = GrowthSettings(levels=2, rounds=9, least_new=least_new)
        return [
            one.share for one in grown(tmp_path / name, asker_of(client), settings, taxonomy_of([("Text",)])).rounds
        ]

    assert rounds("quarter", 0.25) == [float("inf"), 0.25, 0.2]
    assert rounds("more", 0.26) == [float("inf"), 0.25]
    assert rounds("all", 0.0) == [float("inf"), 0.25, 0.2, 0.0]


def test_rounds_levels_and_the_target_end_it(tmp_path: Path) -> None:
    def growth(name: str, settings: GrowthSettings) -> Growth:
        client = Answering(lambda path, there: children(path, there, 3))
        return grown(tmp_path / name, asker_of(client), settings)

    one = growth("rounds", GrowthSettings(levels=2, rounds=1))
    assert (len(one.rounds), one.ending, max(len(node.path) for node in one.taxonomy.nodes)) == (1, Ending.LEVELS, 2)
    reached = growth("target", GrowthSettings(levels=8, target=200, part=5))
    assert reached.ending is Ending.TARGET
    assert 200 <= len(reached.taxonomy.leaves) < 200 + 5 * 14
    at_once = growth("there", GrowthSettings(target=2))
    assert (at_once.rounds, at_once.ending, at_once.taxonomy) == ((), Ending.TARGET, SEEDS)


def test_a_target_that_is_reached_within_a_round_leaves_no_root_behind(tmp_path: Path) -> None:
    roots = taxonomy_of([(root, f"{root} {n}") for root in ("Ash", "Birch", "Cedar", "Douglas") for n in range(6)])
    settings = GrowthSettings(levels=3, rounds=1, part=8, target=25, near=1.0)
    client = Answering(lambda path, _there: lines("One " + path[-1], "Two " + path[-1]) if len(path) == 2 else "NONE")
    growth = grown(tmp_path / "some", asker_of(client), settings, roots)
    assert growth.ending is Ending.TARGET
    assert {path[0] for path in client.asked if len(path) == 2} == {"Ash", "Birch", "Cedar", "Douglas"}
    assert sum(len(path) == 2 for path in client.asked) == 8


def test_everything_that_was_proposed_is_kept_or_refused_in_the_rows_too(tmp_path: Path) -> None:
    client = Answering(lambda path, there: children(path, there, 5))
    growth = grown(tmp_path, asker_of(client), GrowthSettings(levels=3, part=20))
    assert sum(one.kept for one in growth.rounds) == len(growth.taxonomy) - len(SEEDS) == totals(tmp_path / ROUNDS).kept
    assert sum(one.answers for one in growth.rounds) == client.asked.total()
    refused = {reason for one in growth.rounds for reason in one.refused}
    faults = {Refusal.EXISTS, Refusal.NEAR, Refusal.CYCLE, Refusal.OTHER_SEPARATOR, Refusal.INVENTED_LEVELS}
    assert faults | {Refusal.NOT_A_NAME, Refusal.REPEATED} <= refused
    assert growth.rounds[-1].leaves == len(growth.taxonomy.leaves)


def test_no_order_of_arrival_and_no_number_at_once_changes_a_byte(tmp_path: Path) -> None:
    found = list[dict[str, bytes]]()
    for seed in range(6):
        client = Answering(lambda path, there: children(path, there, 11), shuffled=seed)
        folder = tmp_path / str(seed)
        grown(folder, asker_of(client, parallel=1 + 7 * seed), GrowthSettings(levels=3, rounds=2, part=30))
        found.append(files_of(folder))
    assert len(found[0]) > 6
    assert all(files == found[0] for files in found[1:])


SMALL = GrowthSettings(levels=3, rounds=2, part=3, most_lines=4)


def says(path: tuple[str, ...], there: Iterable[str]) -> str:
    return children(path, list(there), 2)


def test_killed_at_any_question_it_goes_on_and_no_answer_is_asked_for_twice(tmp_path: Path) -> None:
    whole = Answering(says)
    grown(tmp_path / "whole", asker_of(whole), SMALL)
    expected = files_of(tmp_path / "whole")
    assert whole.asked.total() > 20
    for at in range(1, whole.asked.total() + 1, 5):
        folder = tmp_path / f"killed-{at}"
        killed, after = Answering(says, killed_at=at), Answering(says)
        with pytest.raises(BaseExceptionGroup) as raised:
            grown(folder, asker_of(killed), SMALL)
        assert raised.group_contains(Killed)
        grown(folder, asker_of(after), SMALL)
        assert files_of(folder) == expected
        assert killed.asked + after.asked == whole.asked


class Drifting(NgramEncoder):
    """As a model on a GPU, only more so: what else is in a batch moves every vector of it."""

    def texts(self, texts: Sequence[str]) -> Floats:
        moved = super().texts(texts) + np.float32(0.02 * len(texts) % 0.07)
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def test_an_encoder_that_rounds_by_the_batch_says_the_same_in_a_run_that_goes_on(tmp_path: Path) -> None:
    whole = Answering(says)
    grown(tmp_path / "whole", asker_of(whole), SMALL, encoder=Drifting())
    for at in (4, 9, 16):
        with pytest.raises(BaseExceptionGroup):
            grown(tmp_path / str(at), asker_of(Answering(says, killed_at=at)), SMALL, encoder=Drifting())
        grown(tmp_path / str(at), asker_of(Answering(says)), SMALL, encoder=Drifting())
        assert files_of(tmp_path / str(at)) == files_of(tmp_path / "whole")


def test_a_run_that_is_whole_asks_nothing_again(tmp_path: Path) -> None:
    first = grown(tmp_path, asker_of(Answering(says)), SMALL)
    client = Answering(says)
    asker = asker_of(client, budget_tokens=10_000_000)
    assert grown(tmp_path, asker, SMALL) == first
    assert client.asked.total() == 0
    answers = sum(one.answers for one in first.rounds)
    assert asker.account.tokens == 15 * answers  # what was spent before counts


def test_where_the_endpoint_is_away_whole_parts_are_there_and_the_same_command_goes_on(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match=r"does not answer in 3 s.*holds what is whole of 1 rounds, the same"):
        grown(tmp_path, asker_of(Answering(says, away_at=3), parallel=2), SMALL)
    held = read_taxonomy(tmp_path)
    assert held.leaves != SEEDS.leaves
    whole = grown(tmp_path / "whole", asker_of(Answering(says)), SMALL)
    assert {node.node_id for node in held.nodes} < {node.node_id for node in whole.taxonomy.nodes}
    client = Answering(says)
    assert grown(tmp_path, asker_of(client), SMALL).taxonomy == whole.taxonomy
    assert client.asked.total() == sum(one.answers for one in whole.rounds) - 3


def test_a_spent_budget_ends_it_with_a_valid_taxonomy_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    whole = Answering(says)
    grown(tmp_path / "whole", asker_of(whole), SMALL)
    client = Answering(says)
    ended = grown(tmp_path / "some", asker_of(client, budget_tokens=10 * 15), SMALL)
    assert (ended.ending, ended.stopped) == (Ending.BUDGET, True)
    assert ended.detail == "budget of 150 tokens: 150 are spent"
    assert client.asked.total() == 10
    assert read_version(tmp_path / "some").nodes == len(ended.taxonomy) > len(SEEDS)
    again = Answering(says)
    assert not grown(tmp_path / "some", asker_of(again, budget_tokens=10_000), SMALL).stopped
    assert files_of(tmp_path / "some") == files_of(tmp_path / "whole")
    assert client.asked + again.asked == whole.asked


def test_answers_of_no_use_are_asked_for_again_and_then_in_the_next_round(tmp_path: Path) -> None:
    told = ["", "Let me think:", "Sure!", lines("Signs")]
    client = Answering(scripted({"Text": told}))
    settings = GrowthSettings(levels=2, rounds=2, tries=2, least_new=0.0)
    growth = grown(tmp_path, asker_of(client), settings, taxonomy_of([("Text",)]))
    assert labels_of(growth.taxonomy) == ["Text", "Text~Signs"]
    assert growth.rounds == (
        RoundCount(1, 1, 1, 2, 0, {str(Refusal.NOT_A_NAME): 1}, 1, 1, 0),
        RoundCount(2, 1, 1, 2, 1, {str(Refusal.NOT_A_NAME): 1}, 0, 1, 0),
    )


def test_below_the_top_labels_only_violations_grow_and_nothing_beside_them(tmp_path: Path) -> None:
    client = Answering(lambda path, there: children(path, there, 1))
    growth = grown(tmp_path, asker_of(client), GrowthSettings(levels=3, rounds=1), top_labels())
    assert set(client.asked) == {(one.group.value, one.value) for one in VIOLATIVE}
    new = [node for node in growth.taxonomy.nodes if node.origin is Origin.GROWN]
    assert {len(node.path) for node in new} == {3}
    assert {category_of(node) for node in new} <= set(VIOLATIVE)


def test_a_folder_of_other_seeds_or_settings_is_not_gone_on_with_but_a_farther_end_is(tmp_path: Path) -> None:
    settings = GrowthSettings(levels=2, rounds=2, most_lines=4)
    first = grown(tmp_path, asker_of(Answering(says)), settings)
    with pytest.raises(BadInputError, match=r"part-00000\.parquet: input == .*of another input, take another folder"):
        grown(tmp_path, asker_of(Answering(says)), settings, taxonomy_of([("Other",)]))
    with pytest.raises(BadInputError, match=r"plan == .*with other settings, take another folder"):
        grown(tmp_path, asker_of(Answering(says)), replace(settings, most_lines=5))
    with pytest.raises(BadInputError, match="take another folder"):
        grown(tmp_path, asker_of(Answering(says)), replace(settings, target=3))
    client = Answering(says)
    farther = grown(tmp_path, asker_of(client), replace(settings, levels=3))
    assert farther.rounds[: len(first.rounds)] == first.rounds
    assert {len(path) for path in client.asked} == {2}


def test_a_grown_taxonomy_grows_on_with_the_next_rounds_and_its_ids(tmp_path: Path) -> None:
    first = grown(tmp_path / "one", asker_of(Answering(says)), GrowthSettings(levels=2, rounds=2))
    second = grown(tmp_path / "two", asker_of(Answering(says)), GrowthSettings(levels=3, rounds=1), first.taxonomy)
    assert [one.number for one in second.rounds] == [3, 4]
    assert {node.round for node in second.taxonomy.nodes} == {0, 1, 2, 3, 4}
    assert {node.node_id for node in first.taxonomy.nodes} < {node.node_id for node in second.taxonomy.nodes}


def test_settings_out_of_range_are_refused_by_name() -> None:
    for name, value in (("levels", 1), ("levels", 9), ("near", 1.5), ("target", 0), ("part", 0)):
        with pytest.raises(BadInputError, match=rf"{name} == {value}, must be in \["):
            GrowthSettings(**{name: value})  # type: ignore[arg-type]


def test_what_is_shown_of_long_lists_is_bounded_and_says_so() -> None:
    many = taxonomy_of([("R", f"T {n}") for n in range(5)])
    parent, child = many.nodes[:2]
    told = [
        json.loads(messages_of(node, many, subject="s", most_lines=9, shown=3)[1]["content"])
        for node in (parent, child)
    ]
    assert told == [
        {"path": "R", "children": ["T 0", "T 1", "T 2"], "children_not_shown": 2, "siblings": []},
        {"path": "R~T 0", "children": [], "siblings": ["T 1", "T 2", "T 3"], "siblings_not_shown": 1},
    ]
