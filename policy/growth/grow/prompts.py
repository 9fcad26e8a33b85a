"""A type and what stands around it in, the question for its children out."""

import json

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
    asked: dict[str, object] = {"path": node.label}
    for what, there in (("children", taxonomy.children_of(node)), ("siblings", taxonomy.siblings_of(node))):
        asked[what] = [one.name for one in there[:shown]]
        if len(there) > shown:
            asked[f"{what}_not_shown"] = len(there) - shown
    return [
        {"role": "system", "content": SYSTEM % (subject, most_lines)},
        {"role": "user", "content": json.dumps(asked, ensure_ascii=False)},
    ]
