"""A docket that is in use in, a whole copy of it in a new folder out: the register at one moment, then its frames.

The register is copied by SQLite's own online backup, while clerk, court and commands go on. Frames are frozen before
the case that names them is entered, and never changed: copied after the register, they are all there. The copy is
checked as a docket is, by its audit, before the folder gets its name. What the clerk noted (clerk.db) is not in it: its
owner holds it alone, and from an empty one its duties begin anew without opening a case twice.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from contracts.errors import BadInputError, DependencyError
from policy.docket.docket import Docket
from policy.docket.frames import PREFIX
from policy.docket.register.store import FILE

FRAMES = "frames"
_DATABASES = ".db"


class BackedUp(NamedTuple):
    """What a copy holds; `lost` are frames of cases that were not erased and were not there. `audit`: last digest."""

    cases: int
    rulings: int
    clips: int
    lost: int
    audit: str


def back_up(folder: Path, to: Path) -> BackedUp:
    """Copy the docket in `folder` to `to`, which must not exist; an interrupted copy leaves only a hidden draft.

    Raises `BadInputError` where there is no docket or something is there already, `CheckFailedError` where the copy is
    not what was audited, `DependencyError` where the disk refuses.
    """
    if not (folder / FILE).is_file():
        raise BadInputError(f"{folder}: has no {FILE}, must be a docket that the clerk or the court opened")
    if to.exists():
        raise BadInputError(f"{to}: exists, a backup is never written over another")
    draft = to.with_name(f".{to.name}.draft")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        _copy_register(folder / FILE, draft / FILE)
        for path in _others(folder):
            shutil.copy2(path, draft / path.name)
        clips = _copy_frames(folder / FRAMES, draft / FRAMES)
        copied = _checked(draft, clips)
        draft.rename(to)
    except (OSError, sqlite3.Error) as error:
        raise DependencyError(f"{to}: {error}") from error
    return copied


def _copy_register(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source, timeout=20.0)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def _others(folder: Path) -> Iterator[Path]:
    """Tokens, the audit's salt and what else lies beside the databases; not drafts, nor what SQLite keeps."""
    for path in folder.iterdir():
        if path.is_file() and not path.name.startswith(".") and _DATABASES not in path.name:
            yield path


def _copy_frames(source: Path, target: Path) -> set[str]:
    target.mkdir(mode=0o700)
    names = set[str]()
    for path in source.glob("[!.]*.npz"):
        try:
            shutil.copy2(path, target / path.name)
        except FileNotFoundError:
            continue  # erased meanwhile, which is what the next copy shows of its case, too
        names.add(path.stem)
    return names


def _checked(draft: Path, clips: set[str]) -> BackedUp:
    """Open the copy as a docket, hold it against its audit, and count."""
    docket = Docket(draft)
    try:
        audit = docket.verify_audit()
    finally:
        docket.close()
    with closing(sqlite3.connect(draft / FILE)) as copy:
        (cases,) = copy.execute("SELECT count(*) FROM cases").fetchone()
        (rulings,) = copy.execute("SELECT count(*) FROM rulings").fetchone()
        named = copy.execute("SELECT DISTINCT frames_digest FROM cases WHERE frames_digest <> '' AND erased_at IS NULL")
        lost = sum(digest.removeprefix(PREFIX) not in clips for (digest,) in named)
    return BackedUp(cases, rulings, len(clips), lost, audit)
