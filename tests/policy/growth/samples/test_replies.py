"""What models say around their JSON, and what of it is let pass."""

import pytest

from contracts.reasoning import Unparsed
from policy.growth.calls.ask import Said
from policy.growth.samples.replies import is_count, object_in
from policy.growth.samples.showing import picture_messages, system_of
from tests.policy.growth.samples.home import frames_shown, text_shown

NO_OBJECT = "is no JSON object"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '  \n{"a":\n1}\n ',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```\n',
        '<think>It might be {"a": 2}.</think>\n{"a": 1}',
        'no opening tag, as some servers send it</think>```json\n{"a": 1}\n```',
        '<think>one</think>{"a": 3}<think>another</think>{"a": 1}',
    ],
)
def test_an_object_alone_fenced_or_after_a_thought_is_read(text: str) -> None:
    assert object_in(Said(text), "a") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", NO_OBJECT),
        ("I would rather describe the picture.", NO_OBJECT),
        ('Here it is: {"a": 1}', NO_OBJECT),
        ('{"a": 1} I hope that helps.', NO_OBJECT),
        ('{"a": 1}{"a": 1}', NO_OBJECT),
        ('{"a": 1', NO_OBJECT),
        ('{"a": NaN}', NO_OBJECT),
        ('{"a": Infinity}', NO_OBJECT),
        ("{'a': 1}", NO_OBJECT),
        ('{"a": 1,}', NO_OBJECT),
        ('{"a": "\\ud83d"}', NO_OBJECT),
        ('[{"a": 1}]', NO_OBJECT),
        ("null", NO_OBJECT),
        ('"a"', NO_OBJECT),
        ("[" * 100_000, NO_OBJECT),
        ('```json\n{"a": 1}', NO_OBJECT),
        ('```json\n```json\n{"a": 1}\n```\n```', NO_OBJECT),
        ('<think>{"a": 1}', NO_OBJECT),
        ("{}", "has the names '', must have a"),
        ('{"A": 1}', "has the names 'A', must have a"),
        ('{"a": 1, "b": 2}', "has the names 'a, b', must have a"),
        ('{"\\u001b[2J": 1}', r"has the names '\x1b[2J', must have a"),
        (f'{{"{"x" * 200}": 1}}', f"has the names '{'x' * 77}...', must have a"),
    ],
)
def test_anything_else_is_told_by_the_rule_that_it_breaks(text: str, rule: str) -> None:
    assert object_in(Said(text), "a") == Unparsed(rule)


def test_an_answer_that_could_not_be_kept_is_not_read() -> None:
    assert object_in(Said('{"a": 1}', "answers 400 Bad Request"), "a") == Unparsed("answers 400 Bad Request")


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        *((number, True) for number in (1, 2, 3)),
        *((other, False) for other in (0, 4, -1, 10**30, True, False, 1.0, "1", None, [1])),
    ],
)
def test_a_count_is_a_whole_number_in_its_range(found: object, counts: bool) -> None:
    assert is_count(found, 1, 3) is counts


@pytest.mark.parametrize(
    ("at_most", "shown"),
    [
        (1, ["0"]),
        (2, ["0", "6"]),
        (3, ["0", "3", "6"]),
        (4, ["0", "2", "4", "6"]),
        (5, ["0", "2", "3", "4", "6"]),
        (9, list("0123456")),
    ],
)
def test_frames_are_spread_in_time_from_the_first_to_the_last(at_most: int, shown: list[str]) -> None:
    frames = [str(n).encode() for n in range(7)]
    messages = picture_messages("Do so.", frames, "told", at_most=at_most)
    assert [frame.decode() for frame in frames_shown(messages)] == shown
    assert text_shown(messages) == "told"
    assert messages[0] == {"role": "system", "content": system_of("Do so.")}
    assert messages[0]["content"].startswith("Do so.\n\nThe frames come first;")
