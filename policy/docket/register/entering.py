"""A new case in, its evidence frozen out: frames by their digest, and the row that nothing changes any more."""

import sqlite3

from contracts.cases import CaseOpened, CaseReason
from contracts.errors import BadInputError
from contracts.videos import VideoUploaded
from policy.cases.priority import expected_harm
from policy.docket.files import NewCase
from policy.docket.frames import FrameStore
from policy.docket.register import appeals
from policy.docket.register.audit import sha256_of
from policy.docket.register.reading import rulings_on
from policy.docket.register.store import instant

UNWEIGHED_TO_COME = 100.0
"""Impressions that a video is taken to have before it until the clerk has weighed its case."""


def freeze(frames: FrameStore, new: NewCase) -> tuple[CaseOpened, NewCase]:
    """Keep a case's frames and name them in its evidence.

    Raises `BadInputError` where the case, its upload and its frames are not of one another.
    """
    opened, place = new.opened, f"case {new.opened.case_id}"
    if opened.video_id != new.upload.video_id:
        raise BadInputError(f"{place}: video_id == {opened.video_id!r}, its upload's is {new.upload.video_id!r}")
    named = opened.evidence.frames_digest if opened.evidence else None
    if new.frames is None:
        if named is not None and not frames.has(named):
            raise BadInputError(f"{place}: frames_digest == {named!r}, but no frames were given and none are kept")
        return opened, new
    if opened.evidence is None:
        raise BadInputError(f"{place}: has frames and no evidence, must have evidence that names them")
    digest = frames.keep(new.frames)
    if named not in {None, digest}:
        raise BadInputError(f"{place}: frames_digest == {named!r}, that of its frames is {digest!r}")
    evidence = opened.evidence.model_copy(update={"frames_digest": digest})
    return opened.model_copy(update={"evidence": evidence}), new


def insert(db: sqlite3.Connection, opened: CaseOpened, upload: VideoUploaded) -> str:
    """Write a case and let it hear its video's appeals, in a transaction; returns what is audited of it."""
    evidence, text, seen = opened.evidence, opened.model_dump_json(), upload.model_dump_json()
    appealed = opened.reason is CaseReason.APPEAL
    db.execute(
        "INSERT INTO cases (case_id, video_id, author_id, reason, opened_at, audited, opened, upload, upload_sha256, "
        "frames_digest, expected_harm, waiting) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            opened.case_id,
            opened.video_id,
            upload.author_id,
            opened.reason.value,
            instant(opened.opened_at),
            opened.audited,
            text,
            seen,
            sha256_of(seen),
            evidence.frames_digest if evidence else None,
            expected_harm(evidence, UNWEIGHED_TO_COME) if evidence else 0.0,
            appealed or not rulings_on(db, opened.video_id),
        ),
    )
    if appealed:
        appeals.hear(db, opened.case_id, opened.video_id)
    return f"{text}\n{sha256_of(seen)}"
