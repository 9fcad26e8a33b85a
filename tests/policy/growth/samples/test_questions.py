"""Questions and answers are read one by one: what is good of an answer is kept, what is missing is asked for again."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInputError
from contracts.reasoning import Unparsed
from policy.growth.calls.ask import Said
from policy.growth.samples.questions import (
    MOST_ANSWER,
    MOST_QUESTION,
    Fitting,
    QuestionSettings,
    Read,
    question_stage,
    read_questions,
    sample_id_of,
    write_questions,
)
from policy.growth.samples.showing import Typed
from policy.growth.samples.strike import KEPT as STRUCK
from policy.growth.samples.strike import ShowingSettings
from policy.reasoning.endpoint import Endpoint
from tests.policy.growth.samples.home import ID, TYPES, Told, jpeg, part, picture_id, text_shown, write_pictures

NO_ENTRY = "has no entry for the type"
ENTRY = "an entry must have type, question and answer"
NUMBER = "type must be the number of one that was given"
QUESTION = "question must be a text of 1 to 1000 characters"
ANSWER = "answer must be a text of 1 to 4000 characters"


def entry(number: Any = 1, question: Any = "What?", answer: Any = "That.", **more: Any) -> dict[str, Any]:
    return {"type": number, "question": question, "answer": answer, **more}


def said(*entries: Any) -> str:
    return json.dumps({"samples": list(entries)}, ensure_ascii=False)


@pytest.mark.parametrize(
    ("entries", "samples", "broken"),
    [
        ([entry()], {1: ("What?", "That.")}, NO_ENTRY),
        ([entry(2), entry(1, "Who?", "They.")], {1: ("Who?", "They."), 2: ("What?", "That.")}, NO_ENTRY),
        ([entry(1), entry(1, "Later?", "No.")], {1: ("What?", "That.")}, NO_ENTRY),
        ([entry(1, " \n这是什么？\t", "  茶 ")], {1: ("这是什么？", "茶")}, NO_ENTRY),
        ([entry(1, "x" * MOST_QUESTION, "y" * MOST_ANSWER)], {1: ("x" * 1_000, "y" * 4_000)}, NO_ENTRY),
        ([], {}, NO_ENTRY),
        ([entry(0)], {}, NUMBER),
        ([entry(4)], {}, NUMBER),
        ([entry(True)], {}, NUMBER),
        ([entry(1.0)], {}, NUMBER),
        ([entry("1")], {}, NUMBER),
        ([entry(1, "x" * (MOST_QUESTION + 1))], {}, QUESTION),
        ([entry(1, "  ")], {}, QUESTION),
        ([entry(1, 7)], {}, QUESTION),
        ([entry(1, None)], {}, QUESTION),
        ([entry(1, "What?", "y" * (MOST_ANSWER + 1))], {}, ANSWER),
        ([entry(1, "What?", ["That."])], {}, ANSWER),
        ([entry(1, "What is in <image>?")], {}, "question must not hold the mark of a picture"),
        ([entry(1, "What?", "<image>")], {}, "answer must not hold the mark of a picture"),
        ([entry(1, "What?", "A cup.<|im_end|>")], {}, "answer must not hold a chat's control token"),
        ([entry(more="x")], {}, ENTRY),
        ([{"type": 1, "question": "What?"}], {}, ENTRY),
        (["What?"], {}, ENTRY),
        ([None], {}, ENTRY),
        ([entry(9), entry(2), entry(3, "")], {2: ("What?", "That.")}, QUESTION),
    ],
)
def test_each_entry_is_read_by_itself(entries: list[Any], samples: dict[int, tuple[str, str]], broken: str) -> None:
    assert read_questions(Said(said(*entries)), 3) == Read(samples, broken)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"samples": {}}', "samples must be a list"),
        ('{"samples": null}', "samples must be a list"),
        ('{"sample": []}', "has the names 'sample', must have samples"),
        ("no", "is no JSON object"),
    ],
)
def test_an_answer_without_a_list_is_none(text: str, rule: str) -> None:
    assert read_questions(Said(text), 3) == Unparsed(rule)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8))
def test_nothing_that_stands_in_the_list_raises(found: Any) -> None:
    read = read_questions(Said(json.dumps({"samples": [found, entry(2)]})), 3)
    assert isinstance(read, Unparsed) or set(read.samples) == {2}


BARS, PIES, SIGNS = (Typed(ID[name], TYPES.by_id(ID[name]).label) for name in ("Bars", "Pies", "Signs"))
ITEM = Fitting("p1", 0, [b"one"], [BARS, PIES, SIGNS])


def written(told: Told, tries: int = 3) -> tuple[list[Any], list[Any]]:
    settings = QuestionSettings(ShowingSettings(tries=tries))
    outcome = asyncio.run(write_questions(ITEM, told, settings))
    return list(outcome.kept), list(outcome.dropped)


def row(kind: Typed, question: str = "What?", answer: str = "That.") -> tuple[str, ...]:
    return (sample_id_of("p1", kind.node_id), "p1", kind.node_id, question, answer)


def test_all_types_of_a_picture_are_asked_about_together() -> None:
    told = Told(said(entry(3), entry(2), entry(1)))
    assert written(told) == ([row(BARS), row(PIES), row(SIGNS)], [])
    assert told.asked == [("llm", "p1.0", 1)]
    assert text_shown(told.shown[0]) == "1. Charts~Bars\n2. Charts~Pies\n3. Text~Signs"


def test_what_is_missing_is_asked_for_again_alone_and_numbered_anew() -> None:
    told = Told(said(entry(2)), "no", said(entry(2, "Which?", "This."), entry(3), entry(1, "")))
    assert written(told) == ([row(PIES), row(SIGNS, "Which?", "This.")], [("p1", BARS.node_id, *UNUSED)])
    shown = [text_shown(messages) for messages in told.shown]
    assert shown[1:] == ["1. Charts~Bars\n2. Text~Signs"] * 2


UNUSED = ("no usable answer", QUESTION)


def test_what_no_try_brought_is_dropped_with_the_last_rule() -> None:
    assert written(Told("no"), tries=2) == (
        [],
        [("p1", kind.node_id, "no usable answer", "is no JSON object") for kind in (BARS, PIES, SIGNS)],
    )
    kept, dropped = written(Told(said(entry(1)), said(entry(1)), said()))
    assert kept == [row(BARS), row(PIES)]
    assert dropped == [("p1", SIGNS.node_id, "no usable answer", NO_ENTRY)]


def test_a_sample_is_known_by_its_picture_and_its_type() -> None:
    assert sample_id_of("p1", "t-1") == sample_id_of("p1", "t-1")
    assert len({sample_id_of("p1", "t-1"), sample_id_of("p1", "t-2"), sample_id_of("p2", "t-1")}) == 3
    assert len(sample_id_of("p1", "t-1")) == 32


def test_the_types_of_a_picture_are_split_over_requests(tmp_path: Path) -> None:
    home = write_pictures(tmp_path, {1: [jpeg(1)], 2: [b"a", b"b"]})
    kinds = [ID[name] for name in ("Bars", "Pies", "Signs", "Menus", "Streets")]
    rows = [(picture_id(1), kinds, []), (picture_id(2), kinds[:1], kinds[1:])]
    part(home / "struck", 0, STRUCK, rows)
    stage = question_stage(home, TYPES, Endpoint("http://127.0.0.1:1/v1", "m"), QuestionSettings(types=2))
    items = list(stage.items(home / "struck" / "part-00000.parquet"))
    assert [(item.item_id, [one.node_id for one in item.types]) for item in items] == [
        (f"{picture_id(1)}.0", kinds[:2]),
        (f"{picture_id(1)}.2", kinds[2:4]),
        (f"{picture_id(1)}.4", kinds[4:]),
        (f"{picture_id(2)}.0", kinds[:1]),
    ]
    assert list(items[3].frames) == [b"a", b"b"]


def test_a_plan_is_of_how_many_types_a_request_asks_about_too() -> None:
    at, home = Endpoint("http://127.0.0.1:1/v1", "m"), Path("home")
    plans = {question_stage(home, TYPES, at, QuestionSettings(types=types)).plan for types in (7, 8)}
    assert len(plans) == 2


@pytest.mark.parametrize("types", [0, 51])
def test_a_request_asks_about_one_to_fifty_types(types: int) -> None:
    with pytest.raises(BadInputError, match=rf"types == {types}, must be in \[1, 50\]"):
        QuestionSettings(types=types)
