"""Types that do not fit a picture are struck, by what an LLM says and by nothing else."""

import asyncio
import json
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.reasoning import Unparsed
from policy.growth.calls.ask import Said
from policy.growth.samples.showing import Typed
from policy.growth.samples.strike import (
    MATCHES,
    Candidates,
    ShowingSettings,
    frames_beside,
    read_strike,
    strike,
    strike_stage,
)
from policy.reasoning.endpoint import Endpoint
from tests.policy.growth.samples.home import (
    ID,
    TYPES,
    Told,
    frames_shown,
    jpeg,
    part,
    picture_id,
    text_shown,
    write_matches,
    write_pictures,
)

BARS, PIES, STREETS = (Typed(ID[name], TYPES.by_id(ID[name]).label) for name in ("Bars", "Pies", "Streets"))
ITEM = Candidates("p1", [b"one"], [STREETS, BARS, PIES])
RULE = "strike must be a list of numbers of the types"


@pytest.mark.parametrize(
    ("told", "struck"),
    [
        ([], set()),
        ([2], {2}),
        ([3, 1], {1, 3}),
        ([2, 2, 2], {2}),
        ([1, 2, 3], {1, 2, 3}),
        ([0], RULE),
        ([4], RULE),
        ([-1], RULE),
        ([True], RULE),
        ([1.0], RULE),
        (["1"], RULE),
        ([None], RULE),
        ([[1]], RULE),
        ([1, 4], RULE),
        ([10**25], RULE),
        ({"1": True}, RULE),
        ("none", RULE),
        (None, RULE),
        (0, RULE),
    ],
)
def test_numbers_of_types_are_read_and_anything_else_is_not(told: object, struck: set[int] | str) -> None:
    expected = Unparsed(struck) if isinstance(struck, str) else frozenset(struck)
    assert read_strike(Said(json.dumps({"strike": told})), 3) == expected


def struck(told: Told, item: Candidates = ITEM, tries: int = 3) -> tuple[list[object], list[object]]:
    outcome = asyncio.run(strike(item, told, ShowingSettings(tries=tries)))
    return list(outcome.kept), list(outcome.dropped)


def test_what_is_left_is_kept_in_its_order_with_what_was_struck() -> None:
    told = Told('{"strike": [1]}')
    assert struck(told) == ([("p1", [BARS.node_id, PIES.node_id], [STREETS.node_id])], [])
    assert told.asked == [("llm", "p1", 1)]
    assert text_shown(told.shown[0]) == "1. Scenes~Streets\n2. Charts~Bars\n3. Charts~Pies"
    assert frames_shown(told.shown[0]) == [b"one"]


def test_an_answer_that_cannot_be_used_is_asked_for_again_as_often_as_it_may_be() -> None:
    told = Told("no", '{"strike": [7]}', '{"strike": []}')
    assert struck(told) == ([("p1", [STREETS.node_id, BARS.node_id, PIES.node_id], [])], [])
    assert [attempt for _, _, attempt in told.asked] == [1, 2, 3]
    told = Told("no", '{"strike": [7]}', '{"strike": []}')
    ids = [STREETS.node_id, BARS.node_id, PIES.node_id]
    assert struck(told, tries=2) == ([], [("p1", ids, "no usable answer", RULE)])


def test_a_picture_that_nothing_fits_is_dropped() -> None:
    ids = [STREETS.node_id, BARS.node_id, PIES.node_id]
    assert struck(Told('{"strike": [3, 2, 1]}')) == ([], [("p1", ids, "no type fits", "")])


def test_a_picture_that_nothing_is_near_costs_no_request() -> None:
    told = Told("never asked")
    assert struck(told, Candidates("p1", [b"one"], [])) == ([], [("p1", [], "no type is near", "")])
    assert told.asked == []


def test_the_items_of_a_part_are_its_pictures_with_their_frames_and_labels(tmp_path: Path) -> None:
    home = write_matches(tmp_path, {1: ["Bars"]}, {2: ["Signs", "Menus"], 3: []})
    stage = strike_stage(home, TYPES, Endpoint("http://127.0.0.1:1/v1", "m"), ShowingSettings())
    assert (stage.source, stage.folder) == (home / "matches", home / "struck")
    assert stage.items(home / "matches" / "part-00001.parquet") == [
        Candidates(picture_id(2), [jpeg(2)], [Typed(ID["Signs"], "Text~Signs"), Typed(ID["Menus"], "Text~Menus")]),
        Candidates(picture_id(3), [jpeg(3)], []),
    ]


def test_a_type_or_a_picture_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    home = write_pictures(tmp_path, {1: [b"one"]})
    stage = strike_stage(home, TYPES, Endpoint("http://127.0.0.1:1/v1", "m"), ShowingSettings())
    part(home / "matches", 0, MATCHES, [(picture_id(1), ["t-gone"], [0.5])])
    with pytest.raises(BadInputError, match="node_id == 't-gone', must be of a type of the taxonomy"):
        stage.items(home / "matches" / "part-00000.parquet")
    part(home / "matches", 0, MATCHES, [(picture_id(9), [ID["Bars"]], [0.5])])
    with pytest.raises(BadInputError, match=rf"pictures/part-00000\.parquet: holds no picture '{picture_id(9)}'"):
        stage.items(home / "matches" / "part-00000.parquet")
    part(home / "matches", 1, MATCHES, [])
    with pytest.raises(BadInputError, match=r"pictures/part-00001\.parquet: is missing, its step has not run"):
        stage.items(home / "matches" / "part-00001.parquet")
    assert frames_beside(home, home / "matches" / "part-00000.parquet").get(picture_id(9)) is None


def test_a_plan_is_of_all_that_the_answers_hang_on() -> None:
    at, settings, home = Endpoint("http://127.0.0.1:1/v1", "m"), ShowingSettings(), Path("home")
    plan = strike_stage(home, TYPES, at, settings).plan
    assert strike_stage(Path("elsewhere"), TYPES, Endpoint("https://moved/v1", "m", timeout_s=1), settings).plan == plan
    others = [
        strike_stage(home, TYPES, Endpoint("http://127.0.0.1:1/v1", "n"), settings),
        strike_stage(home, TYPES, Endpoint("http://127.0.0.1:1/v1", "m", most_tokens=9), settings),
        strike_stage(home, TYPES, at, ShowingSettings(frames=3)),
        strike_stage(home, TYPES, at, ShowingSettings(tries=2)),
        strike_stage(home, type(TYPES)(TYPES.nodes[:2]), at, settings),
    ]
    assert len({plan, *(stage.plan for stage in others)}) == 6


@pytest.mark.parametrize(
    ("frames", "tries", "rule"),
    [
        (0, 3, r"frames == 0, must be in \[1, 16\]"),
        (17, 3, "frames == 17"),
        (4, 0, r"tries == 0, must be in \[1, 10\]"),
        (4, 11, "tries == 11"),
    ],
)
def test_settings_out_of_their_ranges_are_refused(frames: int, tries: int, rule: str) -> None:
    with pytest.raises(BadInputError, match=rule):
        ShowingSettings(frames, tries)
