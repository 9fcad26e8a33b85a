"""What an endpoint said in, the JSON object that it was asked for out, or the rule that it breaks."""

import re
from typing import Any

import orjson

from contracts.errors import printable
from contracts.reasoning import Unparsed
from policy.growth.calls.ask import Said

_FENCED = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.DOTALL)
_THOUGHT = "</think>"
"""Models that think say so first, and then answer."""


def object_in(said: Said, *names: str) -> dict[str, Any] | Unparsed:
    """The object with exactly these names; one code fence around it is let pass, anything else is not."""
    if said.unusable is not None:
        return Unparsed(said.unusable)
    text = said.text.rpartition(_THOUGHT)[2].strip()
    if (fenced := _FENCED.match(text)) is not None:
        text = fenced[1]
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Unparsed("is no JSON object")
    if not isinstance(found, dict):
        return Unparsed("is no JSON object")
    if set(found) != set(names):
        there = printable(", ".join(sorted(found)), at_most=80)
        return Unparsed(f"has the names '{there}', must have {', '.join(names)}")
    return found


def is_count(found: Any, low: int, high: int) -> bool:
    """Whether a value is a whole number in [low, high]; true and false are none."""
    return isinstance(found, int) and not isinstance(found, bool) and low <= found <= high
