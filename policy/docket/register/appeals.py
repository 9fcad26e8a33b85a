"""Appeals in a transaction of the docket: entered once, heard by a case on their video, or dismissed with a reason."""

import sqlite3

from contracts.cases import CaseAppealed, CaseReason
from policy.docket.register.audit import sha256_of
from policy.docket.rules import AppealRefusedError, UnknownCaseError, appeal_refusal


def enter(db: sqlite3.Connection, appeal: CaseAppealed) -> bool:
    """Enter an appeal, heard by an appeal's case on the video that still waits; whether it is new.

    Raises `AppealRefusedError` with the rule that it breaks.
    """
    text = appeal.model_dump_json()
    there = db.execute("SELECT appeal_sha256 FROM appeals WHERE appeal_id = ?", (appeal.event_id,)).fetchone()
    if there is not None:
        if there[0] != sha256_of(text):
            raise AppealRefusedError(f"event_id == {appeal.event_id!r} is that of another appeal")
        return False
    known = db.execute("SELECT author_id FROM cases WHERE video_id = ? AND erased_at IS NULL", (appeal.video_id,))
    authors = {author for (author,) in known}
    (count,) = db.execute("SELECT count(*) FROM appeals WHERE video_id = ?", (appeal.video_id,)).fetchone()
    if reason := appeal_refusal(appeal, authors, count):
        raise AppealRefusedError(reason)
    db.execute(
        "INSERT INTO appeals (appeal_id, video_id, author_id, appeal, appeal_sha256) VALUES (?, ?, ?, ?, ?)",
        (appeal.event_id, appeal.video_id, appeal.author_id, text, sha256_of(text)),
    )
    db.execute(
        "INSERT INTO hearings (appeal_id, case_id) SELECT ?, case_id FROM cases "
        "WHERE video_id = ? AND reason = ? AND waiting LIMIT 1",
        (appeal.event_id, appeal.video_id, CaseReason.APPEAL.value),
    )
    return True


def hear(db: sqlite3.Connection, case_id: str, video_id: str) -> None:
    """Let a new case hear all appeals on its video that no other hears."""
    db.execute(
        "INSERT INTO hearings (appeal_id, case_id) SELECT appeal_id, ? FROM appeals "
        "WHERE video_id = ? AND appeal_id NOT IN (SELECT appeal_id FROM hearings)",
        (case_id, video_id),
    )


def unheard(db: sqlite3.Connection, at_most: int) -> list[CaseAppealed]:
    """Appeals that no case hears and that nobody dismissed, oldest first."""
    waiting = "erased_at IS NULL AND appeal_id NOT IN (SELECT appeal_id FROM hearings)"
    return _read(db, f"{waiting} ORDER BY sequence LIMIT ?", at_most)


def on_video(db: sqlite3.Connection, video_id: str) -> list[CaseAppealed]:
    return _read(db, "video_id = ? ORDER BY sequence", video_id)


def dismiss(db: sqlite3.Connection, appeal_id: str, reason: str) -> bool:
    """Note why an appeal is not heard; whether that is new. Raises `UnknownCaseError`."""
    if not db.execute("SELECT 1 FROM appeals WHERE appeal_id = ?", (appeal_id,)).fetchone():
        raise UnknownCaseError(f"appeal {appeal_id!r} is not on the docket")
    statement = "INSERT OR IGNORE INTO hearings (appeal_id, dismissed) VALUES (?, ?)"
    return db.execute(statement, (appeal_id, reason)).rowcount > 0


def _read(db: sqlite3.Connection, which: str, value: object) -> list[CaseAppealed]:
    rows = db.execute(f"SELECT appeal FROM appeals WHERE {which}", (value,)).fetchall()
    return [CaseAppealed.model_validate_json(text) for (text,) in rows]
