"""A type and what stands around it in, the question for its children out."""

import json
from collections.abc import Sequence

from contracts.growth import MOST_CHARS, SEPARATOR, TypeNode
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.reasoning.question import Messages

NONE = "NONE"

SYSTEM = f"""You extend a hierarchy of %s.
You are given one type as JSON: its path from the root down, joined by {SEPARATOR!r}, the children that it has already,
and its siblings. Propose more children: types that are more specific than it, belong below it and below none of its
siblings, differ from each other and from all children that are there, in words and in meaning.
Answer with at most %d lines and nothing else: one child a line, its name alone, at most {MOST_CHARS} characters,
without a path, a number or an explanation. If nothing is missing, answer {NONE}."""


def messages_of(node: TypeNode, taxonomy: Taxonomy, *, subject: str, most_lines: int, shown: int) -> Messages:
    """The chat messages that ask for children of a type; of long lists the first `shown` names are there."""
    asked = {
        "path": node.label,
        "children": _first([child.name for child in taxonomy.children_of(node)], shown),
        "siblings": _first([sibling.name for sibling in taxonomy.siblings_of(node)], shown),
    }
    return [
        {"role": "system", "content": SYSTEM % (subject, most_lines)},
        {"role": "user", "content": json.dumps(asked, ensure_ascii=False)},
    ]


def _first(names: Sequence[str], shown: int) -> list[str]:
    left_out = len(names) - shown
    return [*names[:shown], f"({left_out} more)"] if left_out > 0 else list(names)
