"""An author in, the docket without what they uploaded and wrote out.

Cases, rulings and the audit stay: they are about a video, and the audit knows content by its digest alone. A case whose
evidence is gone waits for nobody, and its ruling is no precedent any more. Who ruled stays named: a court must be able
to say who decided.

What was learned from them leaves in steps, and this is where it lies until then:

    ROOT/casebooks/, held/      words and frames of precedents. The next publication leaves them out (the clerk
                                publishes for an erasure as for a ruling); older casebooks go by `policy prune`
    ROOT/releases/, datasets/   words and frames that taught a release. The next refresh leaves them out of its data,
                                so that the release which follows neither cites nor learns them. Older releases keep
                                theirs, to be rolled back to: who deletes the folder of one that has no seat, and was
                                not live before, lets `policy prune --snapshots` delete its data
    RUN/fresh/, RUN/candidate/  of refreshes that are over: theirs who ran them to delete

A case that taught a release from a file, and is not on the docket by the same id, is not known here to be the author's:
it is replayed until it is taken out of that file's snapshot. The warehouse erases by itself.
"""

import sqlite3
from datetime import datetime
from typing import NamedTuple

from contracts.cases import CaseAppealed
from contracts.errors import BadInputError
from contracts.records import is_id
from contracts.topics import CASES_APPEALS
from contracts.videos import VideoUploaded
from policy.docket.register.store import instant

ERASED = "erased"
"""What stands in place of an author's id, as in the warehouse."""


class Erased(NamedTuple):
    """The cases and appeals that were emptied, and the frames that nothing refers to any more."""

    cases: tuple[str, ...]
    appeals: tuple[str, ...]
    frames: tuple[str, ...]


def erase(db: sqlite3.Connection, author_id: str, *, now: datetime) -> Erased:
    """Empty what names the author, in a transaction; the frames' files are the caller's to remove."""
    if not is_id(author_id) or author_id == ERASED:
        raise BadInputError(f"author_id == {author_id!r}, must be the id of an author")
    at = instant(now)
    cases = db.execute("SELECT case_id, upload, frames_digest FROM cases WHERE author_id = ?", (author_id,)).fetchall()
    for case_id, upload, _ in cases:
        db.execute(
            "UPDATE cases SET erased_at = ?, author_id = ?, upload = ?, frames_digest = NULL, waiting = 0 "
            "WHERE case_id = ?",
            (at, ERASED, _emptied(VideoUploaded.model_validate_json(upload)), case_id),
        )
    appeals = db.execute("SELECT appeal_id, appeal FROM appeals WHERE author_id = ?", (author_id,)).fetchall()
    for appeal_id, text in appeals:
        appeal = CaseAppealed.model_validate_json(text).model_copy(update={"author_id": ERASED, "statement": ""})
        db.execute(
            "UPDATE appeals SET erased_at = ?, author_id = ?, appeal = ? WHERE appeal_id = ?",
            (at, ERASED, appeal.model_dump_json(), appeal_id),
        )
    unsent = "DELETE FROM outbox WHERE topic = ? AND json_extract(CAST(value AS TEXT), '$.author_id') = ?"
    db.execute(unsent, (CASES_APPEALS.name, author_id))
    still = {digest for (digest,) in db.execute("SELECT DISTINCT frames_digest FROM cases")}
    frames = {digest for _, _, digest in cases if digest is not None} - still
    return Erased(tuple(one for one, *_ in cases), tuple(one for one, _ in appeals), tuple(sorted(frames)))


def _emptied(upload: VideoUploaded) -> str:
    """The same version of the same video, of which nothing else is known."""
    return VideoUploaded(
        event_id=upload.event_id,
        video_id=upload.video_id,
        author_id=ERASED,
        occurred_at=upload.occurred_at,
        title="",
    ).model_dump_json()
