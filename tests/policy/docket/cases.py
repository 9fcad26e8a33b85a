"""Cases, judges and rulings that the docket's tests share."""

from datetime import UTC, datetime, timedelta

import numpy as np

from contracts.cases import CaseAppealed, CaseEvidence, CaseOpened, CaseReason, Ruling
from contracts.taxonomy import Category
from contracts.verdicts import Decision
from contracts.videos import VideoUploaded
from policy.docket.docket import CaseFile, NewCase
from policy.docket.principals import Principal, Role
from policy.docket.rules import ruling_id

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ANN = Principal("ann", Role.REVIEWER)
BOB = Principal("bob", Role.REVIEWER)
SUE = Principal("sue", Role.SENIOR)
VLM = Principal("vlm", Role.ADJUDICATOR)
PLATFORM = Principal("platform", Role.PLATFORM)
FRAUD, GOOD = Category.FALSE_BENEFITS, Category.POSITIVE


def new_case(
    name: str,
    *,
    video: str = "v-1",
    author: str = "a-1",
    reason: CaseReason = CaseReason.UNCERTAIN,
    shade: int | None = 7,
    title: str = "a title",
) -> NewCase:
    evidence = CaseEvidence(
        probabilities=(1 / 16,) * 16, classifier=(1 / 16,) * 16, category=FRAUD, decision=Decision.DEMOTE
    )
    opened = CaseOpened(
        event_id=f"opened-{name}",
        case_id=name,
        video_id=video,
        opened_at=NOW,
        reason=reason,
        selection_probability=1.0,
        toxicity=0.9375,
        release_version=3,
        casebook_version=7,
        evidence=evidence,
    )
    upload = VideoUploaded(event_id=f"upload-{video}", video_id=video, author_id=author, occurred_at=NOW, title=title)
    return NewCase(opened, upload, None if shade is None else np.full((2, 8, 8, 3), shade, np.uint8))


def ruling(
    case: str,
    category: Category,
    by: Principal = ANN,
    *,
    minute: int = 1,
    video: str = "v-1",
    overrules: Ruling | None = None,
    reasoning: str = "",
) -> Ruling:
    at = NOW + timedelta(minutes=minute)
    return Ruling(
        event_id=ruling_id(case, by.name, at),
        case_id=case,
        video_id=video,
        ruled_at=at,
        ruled_by=by.name,
        by="adjudicator" if by.kind == "adjudicator" else "person",
        category=category,
        reasoning=reasoning,
        overrules=overrules.event_id if overrules else None,
    )


def appealed(name: str, *, video: str = "v-1", author: str = "a-1", statement: str = "mine") -> CaseAppealed:
    return CaseAppealed(
        event_id=name, case_id="c-1", video_id=video, author_id=author, appealed_at=NOW, statement=statement
    )


def frames_digest(file: CaseFile) -> str | None:
    """The digest of a case's frozen frames, None where it has none."""
    assert file.opened.evidence is not None
    return file.opened.evidence.frames_digest
