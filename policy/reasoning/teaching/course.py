"""One ruled case in, its reasoning or why there is none out: Tag2CoT until it parses, then CoT2Tag.

Pure: what is asked comes back from `ask`, so that a case goes the same way however often it is interrupted.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.cases import DecidedCase
from contracts.reasoning import Reasoning, Unparsed, parse
from contracts.taxonomy import Category
from policy.casebook import Frames
from policy.reasoning.question import Messages, Question
from policy.reasoning.teaching.journal import Answer
from policy.reasoning.teaching.plan import TeachingSettings
from policy.reasoning.teaching.prompts import (
    COT2TAG,
    TAG2COT,
    Stage,
    read_tag,
    reading_messages,
    teaching_messages,
    tells_of_ruling,
)
from policy.reasoning.teaching.rows import Dropped, Outcome, Taught

NO_REASONING = "no usable reasoning"
NO_READING = "no usable reading of the reasoning"
ANOTHER = "the answer is another category than the ruling"
TELLS = "the reasoning tells that its ruling was given"
_VARIES = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\b\d+(?= (?:characters|times|tokens))")

Ask = Callable[[Stage, int, Callable[[], Messages]], Answer]
"""Gives the answer to a stage's try; the messages are made only where they must be sent."""


@dataclass(slots=True)
class _Answers:
    """What a case was answered so far, counted."""

    tokens: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)

    def add(self, answer: Answer) -> None:
        self.tokens.update(prompt=answer.prompt_tokens, completion=answer.completion_tokens)


def follow(
    case: DecidedCase, frames: Frames, ask: Ask, settings: TeachingSettings, *, teacher: str, reader: str
) -> Outcome:
    """Ask for a case's reasoning, then what follows from it, each up to `settings.tries` times."""
    answers = _Answers()
    question = Question(case.case_id, case.upload, frames, None)
    taught: Reasoning | Unparsed = Unparsed("")
    for tries in range(1, settings.tries + 1):
        answer = ask(TAG2COT, tries, lambda: teaching_messages(question, case.category, settings.budget))
        answers.add(answer)
        taught = _reasoning(answer, case.category)
        if isinstance(taught, Reasoning):
            break
        answers.unusable[rule_of(taught)] += 1
    if isinstance(taught, Unparsed):
        return _dropped(case, NO_REASONING, taught, answers)
    found: Category | Unparsed | None = None
    for readings in range(1, settings.tries + 1):
        answer = ask(COT2TAG, readings, lambda: reading_messages(taught, hide_names=settings.hide_names))
        answers.add(answer)
        found = Unparsed(answer.unusable) if answer.unusable else read_tag(answer.text)
        if not isinstance(found, Unparsed):
            break
        answers.unusable[rule_of(found)] += 1
    if isinstance(found, Unparsed):
        return _dropped(case, NO_READING, found, answers)
    return Taught(
        case_id=case.case_id,
        reasoning=taught,
        rederived=found,
        tries=tries,
        readings=readings,
        teacher=teacher,
        reader=reader,
        prompt_tokens=answers.tokens["prompt"],
        completion_tokens=answers.tokens["completion"],
        unusable=_sorted(answers.unusable),
    )


def rule_of(broken: Unparsed) -> str:
    """The rule alone, without what was found: by it answers are counted."""
    return _VARIES.sub("…", broken.reason)


def _reasoning(answer: Answer, ruled: Category) -> Reasoning | Unparsed:
    if answer.unusable:
        return Unparsed(answer.unusable)
    found = parse(answer.text)
    if isinstance(found, Unparsed):
        return found
    if found.category is not ruled:
        return Unparsed(ANOTHER)
    return Unparsed(TELLS) if tells_of_ruling(found) else found


def _dropped(case: DecidedCase, reason: str, last: Unparsed, answers: _Answers) -> Dropped:
    return Dropped(
        case_id=case.case_id,
        category=case.category,
        reason=reason,
        detail=last.reason,
        prompt_tokens=answers.tokens["prompt"],
        completion_tokens=answers.tokens["completion"],
        unusable=_sorted(answers.unusable),
    )


def _sorted(counted: Counter[str]) -> dict[str, int]:
    return dict(sorted(counted.items()))
