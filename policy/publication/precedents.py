"""Rulings in force in, the precedents that they make out, and why the others make none: pure.

A person's ruling speaks with weight 1, an adjudicator's with half of its confidence; an adjudicator alone makes no
`positive` precedent and changes nothing that a release was taught. What one author's videos can say is capped, by the
newest rulings, persons' before adjudicators'; what the release was taught of that author speaks softly and is not
counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from contracts.cases import CaseOpened, DecidedCase, Ruling
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded

ADJUDICATOR_WEIGHT = 0.5
"""What a unanimous adjudicator weighs beside a person."""
AUTHOR_CAP = 20


class Decided(Protocol):
    """A ruling in force, with the case and the inputs that it was ruled on."""

    @property
    def sequence(self) -> int: ...

    @property
    def ruling(self) -> Ruling: ...

    @property
    def opened(self) -> CaseOpened: ...

    @property
    def upload(self) -> VideoUploaded: ...

    @property
    def audited(self) -> float: ...

    @property
    def leaf(self) -> str: ...


class Rulings(Protocol):
    """The part of the docket that publication reads."""

    def decided(self) -> Sequence[Decided]: ...

    def frames(self, digest: str) -> npt.NDArray[np.uint8]: ...

    def erased(self) -> set[str]: ...


class LeftOut(NamedTuple):
    """A ruling in force that makes no precedent, and why."""

    case_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Precedent:
    """A ruling in force that may speak: the case, who ruled, when in the order of rulings, and its frozen frames."""

    case: DecidedCase
    by_person: bool
    sequence: int
    frames_digest: str | None

    @property
    def rank(self) -> tuple[bool, int]:
        """Whom to hear first, highest first: a person before an adjudicator, then the newer."""
        return self.by_person, self.sequence


class Selected(NamedTuple):
    """What may speak, oldest ruling first, and what may not."""

    precedents: list[Precedent]
    left_out: list[LeftOut]


def weight_of(ruling: Ruling) -> float:
    """How loud a ruling speaks: 1 for a person's, at most 1/2 for an adjudicator's."""
    return 1.0 if ruling.by == "person" else ADJUDICATOR_WEIGHT * ruling.confidence


def select(
    decided: Sequence[Decided], taught: Mapping[str, Category], *, an_author_at_most: int = AUTHOR_CAP
) -> Selected:
    """Choose who speaks; `taught` is what the release was taught of each video, by video id."""
    candidates, left_out = list[Precedent](), list[LeftOut]()
    for one in decided:
        already = taught.get(one.ruling.video_id)
        if already is one.ruling.category:
            continue  # the student was taught this very ruling
        if (reason := _unfit(one.ruling, already)) is not None:
            left_out.append(LeftOut(one.ruling.case_id, reason))
            continue
        evidence = one.opened.evidence
        candidates.append(
            Precedent(
                _case_of(one),
                by_person=one.ruling.by == "person",
                sequence=one.sequence,
                frames_digest=None if evidence is None else evidence.frames_digest,
            )
        )
    heard, silent = _capped(candidates, an_author_at_most)
    return Selected(heard, left_out + silent)


def overruled(decided: Sequence[Decided], cases: Sequence[DecidedCase]) -> list[int]:
    """Rows of a release's own precedents that fall: a person since ruled otherwise on their videos."""
    now = {one.ruling.video_id: one.ruling.category for one in decided if one.ruling.by == "person"}
    return [row for row, case in enumerate(cases) if now.get(case.upload.video_id, case.category) is not case.category]


def _unfit(ruling: Ruling, already: Category | None) -> str | None:
    if ruling.by == "person":
        return None
    if ruling.category is Category.POSITIVE:
        return f"{ruling.ruled_by} is an adjudicator: a positive precedent needs a person's ruling"
    if already is not None:
        return (
            f"{ruling.ruled_by} is an adjudicator, and the release was taught {already.value}: a person must overrule"
        )
    if weight_of(ruling) <= 0.0:
        return f"{ruling.ruled_by} ruled with confidence == {ruling.confidence:g}, must be over 0 to be heard"
    return None


def _case_of(one: Decided) -> DecidedCase:
    ruling = one.ruling
    return DecidedCase(
        case_id=ruling.case_id,
        upload=one.upload,
        category=ruling.category,
        reasoning=ruling.reasoning,
        weight=weight_of(ruling),
        sampled=one.audited,
        decided_at=ruling.ruled_at,
        leaf=one.leaf,
    )


def _capped(candidates: Sequence[Precedent], most: int) -> tuple[list[Precedent], list[LeftOut]]:
    per_author: Counter[str] = Counter()
    heard, silent = list[Precedent](), list[LeftOut]()
    for one in sorted(candidates, key=lambda one: one.rank, reverse=True):
        author = one.case.upload.author_id
        per_author[author] += 1
        if per_author[author] <= most:
            heard.append(one)
        else:
            silent.append(LeftOut(one.case.case_id, f"author {author} has {most} precedents already, at most {most}"))
    return sorted(heard, key=lambda one: one.sequence), sorted(silent)
