"""Reasoned cases and preference pairs in, the rows that a VLM is trained and judged on out: messages, pictures, text.

A row is what the served model will be asked, word for word (`messages_of`), so that training and serving share one
prompt. Cases whose reasoning is not by states are left out and counted by the rule that they break; a teacher writes
such reasonings anew (`policy.reasoning.teaching`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from contracts.cases import DecidedCase
from contracts.reasoning import Reasoning, Unparsed, parse_states, render
from policy.casebook import Evidence
from policy.reasoning.question import Budget, Messages, Question, messages_of, shown

Task = Literal["ruling", "preference", "instruction"]
"""An instruction is any other question about pictures: it is learned from, and no answer to it is scored by a form."""
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One question with its right answer: `messages` for an endpoint, `pictures` uint8 [H, W, 3] in their order.

    completion: the whole text that is right; empty where only `solution`, what its answer tags hold, is known.
    """

    row_id: str
    task: Task
    messages: Messages
    pictures: list[Picture]
    completion: str
    solution: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows, and why cases are not among them: how often each rule was broken."""

    rows: list[Row]
    left_out: Counter[str] = field(default_factory=Counter)


def ruling_rows(evidence: Iterable[Evidence], budget: Budget) -> Rows:
    """A row for each case whose reasoning is by states and concludes its category."""
    made = Rows([])
    for item in evidence:
        reasoning = parse_states(item.case.reasoning, item.case.category)
        if isinstance(reasoning, Unparsed):
            made.left_out[reasoning.reason] += 1
        else:
            made.rows.append(ruling_row(item, budget, reasoning))
    return made


def ruling_row(item: Evidence, budget: Budget, reasoning: Reasoning | None = None) -> Row:
    """What a model is asked of one case, and what is right; without a reasoning only its category."""
    question = question_of(item.case, item.frames)
    return Row(
        item.case.case_id,
        "ruling",
        messages_of(question, budget),
        shown(question, budget),
        "" if reasoning is None else render(reasoning),
        item.case.category.value,
    )


def question_of(case: DecidedCase, frames: Picture | None) -> Question:
    """A decided case as it was put, before it was ruled on."""
    return Question(case.case_id, case.upload, frames, None)


def chat_of(messages: Messages) -> Messages:
    """Messages as chat templates of transformers take them: every content a list, a picture only its place."""
    return [
        {
            "role": message["role"],
            "content": [{"type": "text", "text": content}]
            if isinstance(content := message["content"], str)
            else [part if part["type"] == "text" else {"type": "image"} for part in content],
        }
        for message in messages
    ]


def pictures_of(row: Row) -> list[Any]:
    """A row's pictures as PIL's."""
    from PIL import Image

    return [Image.fromarray(picture) for picture in row.pictures]


def said_by(text: str) -> Messages:
    """A text as what the model answers."""
    return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]


def texts_of(rows: Sequence[Row]) -> list[str]:
    """Every text that stands in the rows: what a tokenizer is trained on."""
    found = list[str]()
    for row in rows:
        parts: list[dict[str, Any]] = [part for message in chat_of(row.messages) for part in message["content"]]
        found += [part["text"] for part in parts if part["type"] == "text"]
        found += [row.completion] if row.completion else []
    return found
