"""Waiting cases in, an adjudicator's rulings out; what it finds good, or cannot decide, goes on waiting for a person.

DOCKET/opinions.jsonl keeps what it thought of each case, so that no case is asked twice. Appeals are heard by people.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from contracts.cases import CaseReason, Ruling
from contracts.errors import BadInputError
from contracts.taxonomy import Category
from policy.docket.files import CaseFile
from policy.docket.opinions import NotedOpinion, Outcome, note_opinion, read_opinions
from policy.docket.principals import Principal
from policy.docket.rules import RulingRefusedError, ruling_id
from policy.reasoning.adjudicator import NO_OPINION, Adjudicator, Opinion
from policy.reasoning.question import Question

UNREADABLE: Outcome = "frames unreadable"


class Court(Protocol):
    """The part of the docket that an adjudicator uses."""

    def waiting(self, *, at_most: int = 100) -> Sequence[CaseFile]: ...

    def frames(self, digest: str) -> npt.NDArray[np.uint8]: ...

    def rule(self, ruling: Ruling, principal: Principal) -> CaseFile: ...


class Asked(NamedTuple):
    """A case, the opinion on it and what came of it."""

    case_id: str
    opinion: Opinion
    outcome: Outcome


def adjudicate(
    court: Court, adjudicator: Adjudicator, folder: Path, principal: Principal, *, at_most: int, now: datetime
) -> list[Asked]:
    """Ask about up to `at_most` waiting cases that were not asked about yet, in their order.

    Raises `BadInputError` unless `principal` is an adjudicator; `DependencyError` where the judge is away, and then
    what was ruled before stays ruled.
    """
    if principal.kind != "adjudicator":
        raise BadInputError(f"{principal.name} is {principal.role.value}, must be an adjudicator to rule by a judge")
    asked_before = {opinion.case_id for opinion in read_opinions(folder) if opinion.outcome != "to be ruled"}
    done = list[Asked]()
    for file in court.waiting(at_most=at_most + len(asked_before) + 1_000):
        if len(done) >= at_most:
            break
        if file.opened.reason is CaseReason.APPEAL or file.opened.case_id in asked_before or file.ruling is not None:
            continue
        try:
            question = _question(court, file)
        except BadInputError:  # the docket says so to whoever opens the case: a judge that sees half must not rule
            opinion, outcome = NO_OPINION, UNREADABLE
        else:
            opinion = adjudicator.opinion(question)
            outcome = _rule(court, folder, file, opinion, principal, now)
        _note(folder, file, opinion, outcome, principal, now)
        done.append(Asked(file.opened.case_id, opinion, outcome))
    return done


def _question(court: Court, file: CaseFile) -> Question:
    evidence = file.opened.evidence
    digest = None if evidence is None else evidence.frames_digest
    return Question(file.opened.case_id, file.upload, None if digest is None else court.frames(digest), evidence)


def _rule(court: Court, folder: Path, file: CaseFile, opinion: Opinion, principal: Principal, now: datetime) -> Outcome:
    if opinion.category is None:
        return "abstains"
    if opinion.category is Category.POSITIVE:
        return "positive waits for a person"
    ruling = Ruling(
        event_id=ruling_id(file.opened.case_id, principal.name, now),
        case_id=file.opened.case_id,
        video_id=file.opened.video_id,
        ruled_at=now,
        ruled_by=principal.name,
        by="adjudicator",
        category=opinion.category,
        reasoning=opinion.reasoning,
        confidence=opinion.confidence,
    )
    _note(folder, file, opinion, "to be ruled", principal, now)
    try:
        court.rule(ruling, principal)
    except RulingRefusedError:
        return "refused"  # a person ruled on the video meanwhile
    return "ruled"


def _note(
    folder: Path, file: CaseFile, opinion: Opinion, outcome: Outcome, principal: Principal, now: datetime
) -> None:
    noted = NotedOpinion(
        case_id=file.opened.case_id,
        adjudicator=principal.name,
        asked_at=now,
        category=opinion.category,
        confidence=opinion.confidence,
        asked=opinion.asked,
        unusable=sum(opinion.unparsed.values()),
        votes=dict(opinion.votes),
        unparsed=dict(opinion.unparsed),
        outcome=outcome,
        reasoning=opinion.reasoning,
    )
    note_opinion(folder, noted)
