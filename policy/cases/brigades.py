"""Brigades that a look at the reports found in, the list of those that are known out: who to look at themselves.

A brigade changes from look to look, as members come and go. It is one that is known when it shares at least half of
the members of the smaller of the two. The list names users, so that only its owner may read it.
"""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.records import Count, Id, Record, Time
from policy.cases.coordination import Brigade

FILE = "brigades.json"
FORGOTTEN_AFTER = timedelta(days=90)
"""A brigade that was not seen for so long is no longer listed."""
AT_MOST = 1_000
"""So many are listed, the largest first."""


class KnownBrigade(Record):
    """Reporters who report together, the videos that two or more of them reported, and when that was seen."""

    members: Annotated[tuple[Id, ...], Field(min_length=2)]
    videos: Count
    first_seen_at: Time
    last_seen_at: Time


class _File(Record):
    brigades: tuple[KnownBrigade, ...]


class Noted(NamedTuple):
    """The list after a look, and which of it were not known before."""

    known: tuple[KnownBrigade, ...]
    new: tuple[KnownBrigade, ...]


def fold_brigades(known: Sequence[KnownBrigade], found: Sequence[Brigade], *, now: datetime) -> Noted:
    """The list with what was found `now`; a known brigade that is found again has the members that it has now."""
    left = {frozenset(one.members): one for one in known if now - one.last_seen_at <= FORGOTTEN_AFTER}
    after, new = list[KnownBrigade](), list[KnownBrigade]()
    for brigade in found:
        members = frozenset(brigade.members)
        same = [of for of in left if 2 * len(of & members) >= min(len(of), len(members))]
        first = min((left.pop(of).first_seen_at for of in same), default=now)
        seen = KnownBrigade(
            members=brigade.members, videos=brigade.videos, first_seen_at=first, last_seen_at=max(first, now)
        )
        after.append(seen)
        if not same:
            new.append(seen)
    after += left.values()
    after.sort(key=lambda one: (-len(one.members), one.members))
    return Noted(tuple(after[:AT_MOST]), tuple(new))


def note_brigades(folder: Path, found: Sequence[Brigade], *, now: datetime) -> tuple[KnownBrigade, ...]:
    """Keep in a docket's folder what was found, and return those that were not known; the file is replaced whole."""
    before = read_brigades(folder)
    noted = fold_brigades(before, found, now=now)
    if noted.known != before:
        draft = folder / f".{FILE}.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(_File(brigades=noted.known).model_dump_json(indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(folder / FILE)
    return noted.new


def read_brigades(folder: Path) -> tuple[KnownBrigade, ...]:
    """The brigades that are known, largest first; none where none was noted. Raises `BadInputError` naming the file."""
    path = folder / FILE
    if not path.exists():
        return ()
    try:
        return _File.model_validate_json(path.read_bytes()).brigades
    except ValidationError as error:
        raise BadInputError(f"{path}: {first_reason(error)}") from error
