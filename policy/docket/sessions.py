"""A judge's words in, a ruling or an appeal on the docket out: what commands and the court's API both do."""

import hashlib
from datetime import datetime

from contracts.cases import CaseAppealed, Ruling
from contracts.errors import BadInputError, first_reason
from contracts.taxonomy import Category
from policy.docket.docket import Docket
from policy.docket.files import CaseFile
from policy.docket.principals import Action, NotAllowedError, Principal
from policy.docket.rules import ruling_id
from policy.growth.leaves.accepted import AcceptedLeaves


def rule_on(
    docket: Docket,
    case_id: str,
    category: Category,
    reasoning: str,
    principal: Principal,
    *,
    confidence: float = 1.0,
    overrules: str | None = None,
    leaf: str = "",
    leaves: AcceptedLeaves | None = None,
    now: datetime,
) -> CaseFile:
    """Enter what a principal rules now; said again it changes nothing. Raises as `Docket.rule`.

    `leaf` names one of the accepted `leaves` below the category, by id or name; raises `BadInputError` for any other.
    """
    kind = principal.kind
    if kind == "service":
        principal.require(Action.RULE)
        raise NotAllowedError(f"{principal.name} is a service, to rule one must be a person or an adjudicator")
    file = docket.file(case_id)
    named = _leaf_named(leaf, category, leaves)
    try:
        ruling = Ruling(
            event_id=ruling_id(case_id, principal.name, now),
            case_id=case_id,
            video_id=file.opened.video_id,
            ruled_at=now,
            ruled_by=principal.name,
            by=kind,
            category=category,
            reasoning=reasoning,
            confidence=confidence,
            overrules=overrules,
            leaf=named,
        )
    except ValueError as error:
        raise BadInputError(f"ruling: {first_reason(error)}") from error
    return docket.rule(ruling, principal)


def label_case(
    docket: Docket, case_id: str, leaf: str, principal: Principal, *, leaves: AcceptedLeaves, now: datetime
) -> CaseFile:
    """Name the leaf of the ruling in force on a case; empty takes it away. Raises as `rule_on` and `Docket.label`."""
    principal.require(Action.RULE)
    file = docket.file(case_id)
    if file.ruling is None:
        raise BadInputError(f"case {case_id}: nothing was ruled on video {file.opened.video_id}, rule on it first")
    docket.label({case_id: _leaf_named(leaf, file.ruling.category, leaves)}, principal, now=now)
    return docket.file(case_id)


def _leaf_named(leaf: str, category: Category, leaves: AcceptedLeaves | None) -> str:
    """The id of the leaf that is named, empty for none."""
    if not leaf:
        return ""
    if leaves is None:
        raise BadInputError(f"leaf == {leaf!r}, must be empty: no taxonomy is at hand")
    return leaves.find(leaf, category).node_id


def ruling_to_overrule(file: CaseFile) -> str:
    """The id of the ruling in force on a case's video; raises `BadInputError` where nothing was ruled."""
    if file.ruling is None:
        video = file.opened.video_id
        raise BadInputError(f"case {file.opened.case_id}: nothing was ruled on video {video}, rule on it first")
    return file.ruling.event_id


def appeal_against(
    docket: Docket, video_id: str, author_id: str, statement: str, principal: Principal, *, now: datetime
) -> CaseAppealed:
    """Enter an author's appeal; the same words by the same author about the same decisions are the same appeal.

    It names the latest case on the video; of a video without one, the one that the clerk will open. Raises as
    `Docket.appeal`.
    """
    principal.require(Action.APPEAL)
    files = docket.cases_on(video_id)
    standing = files[-1].ruling.event_id if files and files[-1].ruling else ""
    told = f"{video_id}/{author_id}/{standing}/{statement}"
    identity = f"appeal-{hashlib.blake2b(told.encode(), digest_size=16).hexdigest()}"
    if said := next((appeal for appeal in docket.appeals_on(video_id) if appeal.event_id == identity), None):
        return said
    try:
        appeal = CaseAppealed(
            event_id=identity,
            case_id=files[-1].opened.case_id if files else identity,
            video_id=video_id,
            author_id=author_id,
            appealed_at=now,
            statement=statement,
        )
    except ValueError as error:
        raise BadInputError(f"appeal: {first_reason(error)}") from error
    docket.appeal(appeal, principal)
    return appeal
