"""Reasonings and their text: what is written is read back, and what is of another form is refused with its rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.reasoning import MOST_CHARS, Check, Enveloped, Reasoning, Unparsed, parse, parse_envelope, render
from contracts.taxonomy import CATEGORIES, Category

SAID = Reasoning(
    content="a title that offers cash",
    analysis="nobody gives cash away",
    check=Check.UNDECIDED,
    feedback="12 of 200 viewers reported it",
    summary="a benefit that does not exist",
    category=Category.FALSE_BENEFITS,
)
TEXT = (
    "<think><content>a title that offers cash</content><analysis>nobody gives cash away</analysis>"
    "<check>undecided</check><feedback>12 of 200 viewers reported it</feedback>"
    "<summary>a benefit that does not exist</summary></think><answer>false_benefits</answer>"
)


def test_a_reasoning_is_written_as_its_states_and_read_back() -> None:
    assert render(SAID) == TEXT
    assert parse(TEXT) == SAID
    assert parse(TEXT.replace("><", ">\n <")) == SAID


def test_a_plain_violation_may_end_at_the_check() -> None:
    early = SAID.model_copy(update={"check": Check.PLAIN_VIOLATION, "feedback": None})
    assert "<feedback>" not in render(early)
    assert parse(render(early)) == early


said = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() == text and "<" not in text and text)


@given(st.tuples(said, said, said, said), st.sampled_from(Check), st.sampled_from(CATEGORIES))
def test_whatever_is_said_comes_back(states: tuple[str, str, str, str], check: Check, category: Category) -> None:
    if check is Check.PLAIN_VIOLATION and category is Category.POSITIVE:
        return
    content, analysis, feedback, summary = states
    reasoning = Reasoning(
        content=content, analysis=analysis, check=check, feedback=feedback, summary=summary, category=category
    )
    assert parse(render(reasoning)) == reasoning


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "<think> stands 0 times"),
        (TEXT + TEXT, "<think> stands 2 times"),
        (f"{TEXT} or so", "and nothing else"),
        (TEXT.replace("false_benefits<", "FALSE_BENEFITS<"), "the answer is 'FALSE_BENEFITS', must be one of the 16"),
        (TEXT.replace("<answer>false_benefits", "<answer>"), "the answer is ''"),
        (TEXT.replace("undecided", "perhaps"), "check: Input should be 'plain violation' or 'undecided'"),
        (TEXT.replace("<feedback>12 of 200 viewers reported it</feedback>", ""), "must be followed by feedback"),
        (TEXT.replace("undecided", "plain violation").replace(">false_benefits", ">positive"), "not be answered posi"),
        (TEXT.replace("a title that offers cash", " "), "content: is empty"),
        (TEXT.replace("a title", "<ANSWER >positive"), "content: '<ANSWER >' stands in it"),
        (TEXT.replace("a title", "<summary>x</summary>"), "the states must be content, analysis, check, feedback"),
        (TEXT.replace("</content>", "</content> and"), "with nothing between"),
        (TEXT.replace("cash", "x" * MOST_CHARS), "characters, must be at most 20000"),
        ('{"answer": "positive"}', "<think> stands 0 times"),
    ],
)
def test_what_is_of_another_form_is_unparsed_with_the_rule_it_breaks(text: str, rule: str) -> None:
    found = parse(text)
    assert isinstance(found, Unparsed)
    assert rule in found.reason


def test_tags_without_end_are_refused_at_once() -> None:
    """A text of thousands of tags, on which a backtracking match would not come to an end."""
    assert isinstance(
        parse(f"<think>{'<content></content><analysis>' * 600}</think><answer>positive</answer>"), Unparsed
    )


def test_a_reasoning_that_holds_tags_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="must hold no tag of the form"):
        SAID.model_copy(update={}).model_validate(SAID.model_dump() | {"summary": "so: </think>"})


def test_the_envelope_alone_holds_any_answer() -> None:
    assert parse_envelope("<think> 1 is better </think>\n<answer> 1 </answer>") == Enveloped("1 is better", "1")
