"""A reasoning and what it concludes <-> the one text that data, rewards, gate and adjudicator read and write.

The envelope is that of R1-Reward (arXiv 2505.02835): `<think>…</think><answer>…</answer>`. Within it a ruling on a
video goes through the states of KuaiMod (arXiv 2504.14904): what is there, what it means, an interim check, what
viewers made of it, a summary that concludes with the tag. A plain violation may end at the check, without feedback:

    <think><content>…</content><analysis>…</analysis><check>undecided</check><feedback>…</feedback>
    <summary>…</summary></think><answer>misinformation</answer>

A text that is not exactly of this form is `Unparsed`, with the rule that it breaks; nothing is guessed from it.
"""

import re
from enum import StrEnum
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from contracts.records import Record
from contracts.taxonomy import CATEGORIES, Category

MOST_CHARS = 20_000
"""Of the whole text: a longer one is not read."""
THINK, ANSWER = "think", "answer"
STATES = ("content", "analysis", "check", "feedback", "summary")
_NAMED = {category.value: category for category in CATEGORIES}
_TAG = re.compile(rf"</?\s*(?:{'|'.join((THINK, ANSWER, *STATES))})\b[^>]*>", re.IGNORECASE)
_ENVELOPE = re.compile(rf"\s*<{THINK}>(?P<think>.*)</{THINK}>\s*<{ANSWER}>(?P<answer>[^<>]*)</{ANSWER}>\s*", re.DOTALL)
_STATES = re.compile(
    r"\s*"
    + r"\s*".join(rf"(?:<{state}>(?P<{state}>.*)</{state}>)" + ("?" if state == "feedback" else "") for state in STATES)
    + r"\s*",
    re.DOTALL,
)


class Check(StrEnum):
    """What the interim check says: whether content and analysis settle it."""

    PLAIN_VIOLATION = "plain violation"
    UNDECIDED = "undecided"


class Unparsed(NamedTuple):
    """A text that is not of the form that was asked for, and the rule that it breaks."""

    reason: str


class Enveloped(NamedTuple):
    """What stands between the tags of an answer, stripped of outer white space."""

    think: str
    answer: str


def _without_tags(text: str) -> str:
    if (found := _TAG.search(text)) is not None:
        raise ValueError(f"{found.group()!r} stands in it, a state must hold no tag of the form")
    if not text.strip():
        raise ValueError("is empty, a state must say something")
    return text.strip()


State = Annotated[str, Field(max_length=MOST_CHARS), AfterValidator(_without_tags)]


class Reasoning(Record):
    """A ruling on a video by state transitions, and its tag.

    `feedback` is None where a plain violation ended the reasoning at its check: such a one is never `positive`.
    """

    content: State
    analysis: State
    check: Check
    feedback: State | None = None
    summary: State
    category: Category

    @model_validator(mode="after")
    def _follows(self) -> Self:
        if self.check is Check.UNDECIDED and self.feedback is None:
            raise ValueError("check is undecided, must be followed by feedback")
        if self.check is Check.PLAIN_VIOLATION and self.category is Category.POSITIVE:
            raise ValueError("check is a plain violation, must not be answered positive")
        return self


def render(reasoning: Reasoning) -> str:
    """The text of a reasoning; `parse` gives it back."""
    return enveloped(render_states(reasoning), reasoning.category.value)


def render_states(reasoning: Reasoning) -> str:
    """What stands between the think tags: the reasoning without its answer."""
    said = {state: getattr(reasoning, state) for state in STATES}
    return "".join(f"<{state}>{text}</{state}>" for state, text in said.items() if text is not None)


def enveloped(think: str, answer: str) -> str:
    """`<think>…</think><answer>…</answer>`."""
    return f"<{THINK}>{think}</{THINK}><{ANSWER}>{answer}</{ANSWER}>"


def parse(text: str) -> Reasoning | Unparsed:
    """The reasoning that a text is, or the rule by which it is none."""
    outer = parse_envelope(text)
    if isinstance(outer, Unparsed):
        return outer
    category = _NAMED.get(outer.answer)
    if category is None:
        return Unparsed(f"the answer is {outer.answer[:40]!r}, must be one of the {len(CATEGORIES)} categories")
    return parse_states(outer.think, category)


def parse_states(think: str, category: Category) -> Reasoning | Unparsed:
    """The reasoning that stands between think tags, concluding `category`."""
    once = all(think.count(f"<{state}>") == think.count(f"</{state}>") <= 1 for state in STATES)
    found = _STATES.fullmatch(think) if once else None
    if found is None:
        return Unparsed(f"the states must be {', '.join(STATES)}, each once, in this order, with nothing between")
    try:
        return Reasoning(**found.groupdict(), category=category)
    except ValueError as error:  # pydantic's own is one
        errors = error.errors() if hasattr(error, "errors") else []
        first = errors[0] if errors else {"loc": (), "msg": str(error)}
        return Unparsed(": ".join([*map(str, first["loc"]), str(first["msg"]).removeprefix("Value error, ")]))


def parse_envelope(text: str) -> Enveloped | Unparsed:
    """Think and answer of a text whose tags stand exactly once: one that repeats them, an uploader's, is none."""
    if len(text) > MOST_CHARS:
        return Unparsed(f"{len(text)} characters, must be at most {MOST_CHARS}")
    for tag in (f"<{THINK}>", f"</{THINK}>", f"<{ANSWER}>", f"</{ANSWER}>"):
        if (times := text.count(tag)) != 1:
            return Unparsed(f"{tag} stands {times} times, must stand once")
    found = _ENVELOPE.fullmatch(text)
    if found is None:
        return Unparsed(f"must be <{THINK}>…</{THINK}><{ANSWER}>…</{ANSWER}> and nothing else")
    return Enveloped(found["think"].strip(), found["answer"].strip())
