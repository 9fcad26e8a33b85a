"""What an endpoint says is read whole, whichever way its server cuts it."""

from typing import Any

import pytest

from contracts.reasoning import Unparsed, parse_envelope
from policy.reasoning.endpoint import said_in


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": "<think>a</think><answer>1</answer>"}, "<think>a</think><answer>1</answer>"),
        (
            {"content": "<answer>1</answer>", "reasoning_content": "a", "role": "assistant"},
            "<think>a</think><answer>1</answer>",
        ),
        ({"content": "<answer>1</answer>", "reasoning": "a"}, "<think>a</think><answer>1</answer>"),
        ({"content": "so", "reasoning_content": None, "reasoning": ""}, "so"),
        ({"content": None, "reasoning_content": "a"}, "<think>a</think>"),
        ({"reasoning_content": "a"}, "<think>a</think>"),
        ({"content": None}, ""),
        ({"content": [1], "reasoning": 3}, ""),
    ],
)
def test_a_reasoning_that_comes_apart_is_put_before_the_answer(message: dict[str, Any], said: str) -> None:
    assert said_in(message) == said


def test_what_was_of_no_form_is_not_mended_by_it() -> None:
    twice = said_in({"content": "<think>b</think><answer>1</answer>", "reasoning_content": "a"})
    endless = said_in({"content": "", "reasoning_content": "a <answer>1</answer>"})
    assert all(isinstance(parse_envelope(text), Unparsed) for text in (twice, endless))
