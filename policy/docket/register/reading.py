"""Rows of the docket in, files of cases and rulings in force out."""

import json
import sqlite3
from collections.abc import Collection, Sequence

from contracts.cases import CaseAppealed, CaseOpened, Ruling
from contracts.videos import VideoUploaded
from policy.docket.files import CaseFile, Decided, Fallen
from policy.docket.rules import standing

_AMONG = "IN (SELECT value FROM json_each(?))"


def files_in(db: sqlite3.Connection, which: str, values: Sequence[object]) -> list[CaseFile]:
    """The files of the cases that a condition names, in its order."""
    rows = db.execute(f"SELECT opened, upload, expected_harm, waiting FROM cases WHERE {which}", values).fetchall()
    files = [
        CaseFile(
            CaseOpened.model_validate_json(opened),
            VideoUploaded.model_validate_json(upload),
            expected_harm=harm,
            waiting=bool(waiting),
        )
        for opened, upload, harm, waiting in rows
    ]
    videos = {file.opened.video_id for file in files}
    rulings, appeals, leaves = _rulings(db, videos), _appeals(db, videos), leaves_in(db, videos)
    return [
        file.with_history(standing([r for _, r in rulings[video]]), tuple(appeals[video]), leaves.get(video, ""))
        for file in files
        for video in (file.opened.video_id,)
    ]


def rulings_on(db: sqlite3.Connection, video_id: str) -> list[Ruling]:
    """All rulings on a video, in the order of entry."""
    return [ruling for _, ruling in _rulings(db, [video_id])[video_id]]


def decided_in(db: sqlite3.Connection, after: int) -> list[Decided]:
    """The rulings in force of cases that were not erased, entered after a place."""
    rows = db.execute(
        "SELECT r.sequence, r.ruling, c.opened, c.upload, c.audited * (c.opened_at < coalesce("
        "(SELECT min(opened_at) FROM cases WHERE waiting AND audited > 0), '~')) "
        "FROM rulings r JOIN cases c USING (case_id) "
        "WHERE r.sequence > ? AND c.erased_at IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM rulings later WHERE later.video_id = r.video_id AND later.sequence > r.sequence) "
        "ORDER BY r.sequence",
        (after,),
    ).fetchall()
    leaves = leaves_in(db)
    return [
        Decided(
            sequence,
            (given := Ruling.model_validate_json(ruling)),
            CaseOpened.model_validate_json(opened),
            VideoUploaded.model_validate_json(upload),
            audited,
            leaves.get(given.video_id, ""),
        )
        for sequence, ruling, opened, upload, audited in rows
    ]


def fallen_in(db: sqlite3.Connection, after: int) -> list[Fallen]:
    """What fell by rulings that were entered after a place."""
    rows = db.execute("SELECT video_id FROM rulings WHERE overrules IS NOT NULL AND sequence > ?", (after,)).fetchall()
    fell = list[Fallen]()
    for entered in _rulings(db, {video_id for (video_id,) in rows}).values():
        places, rulings = [place for place, _ in entered], [ruling for _, ruling in entered]
        fell += (one for one in standing(rulings, places).fell if one.sequence > after)
    return sorted(fell, key=lambda one: one.sequence)


def leaves_in(db: sqlite3.Connection, videos: Collection[str] | None = None) -> dict[str, str]:
    """The leaf in force on each of these videos that has one; of all, where none are named."""
    which = "" if videos is None else "WHERE r.video_id IN (SELECT value FROM json_each(?))"
    question = (
        "SELECT r.video_id, r.overrules IS NOT NULL, coalesce("
        "(SELECT leaf FROM labels WHERE labels.ruling_id = r.ruling_id ORDER BY labels.sequence DESC LIMIT 1), "
        f"json_extract(r.ruling, '$.leaf')) FROM rulings r {which} ORDER BY r.sequence"
    )
    found = dict[str, str]()
    for video_id, overrules, leaf in db.execute(question, () if videos is None else (json.dumps(list(videos)),)):
        if leaf is not None or overrules:
            found[video_id] = leaf or ""
    return {video_id: leaf for video_id, leaf in found.items() if leaf}


def _rulings(db: sqlite3.Connection, videos: Collection[str]) -> dict[str, list[tuple[int, Ruling]]]:
    """Rulings by video, in the order of entry, each with its place in it."""
    found: dict[str, list[tuple[int, Ruling]]] = {video: [] for video in videos}
    question = f"SELECT video_id, sequence, ruling FROM rulings WHERE video_id {_AMONG} ORDER BY sequence"
    for video, sequence, text in db.execute(question, (json.dumps(list(videos)),)):
        found[video].append((sequence, Ruling.model_validate_json(text)))
    return found


def _appeals(db: sqlite3.Connection, videos: Collection[str]) -> dict[str, list[CaseAppealed]]:
    found: dict[str, list[CaseAppealed]] = {video: [] for video in videos}
    question = f"SELECT video_id, appeal FROM appeals WHERE video_id {_AMONG} ORDER BY sequence"
    for video, text in db.execute(question, (json.dumps(list(videos)),)):
        found[video].append(CaseAppealed.model_validate_json(text))
    return found
