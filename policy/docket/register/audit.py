"""Who did what to the docket, when: entries that each carry the digest of the one before.

An entry names ids and the SHA-256 of what was entered, never the content itself, so that a person's words can be
erased without breaking the chain. Whoever keeps the last digest elsewhere sees a chain that was cut short, too.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from contracts.errors import CheckFailedError
from policy.docket.principals import Principal

FIRST = "0" * 64
"""What stands before the first entry."""
_COLUMNS = "sequence, at, who, role, action, subject, content, before, digest"
_PAGE = 1_000


class AuditEntry(NamedTuple):
    """One action: by whom in which role, on what (an id), the SHA-256 of the content, and both digests of the chain."""

    sequence: int
    at: str
    who: str
    role: str
    action: str
    subject: str
    content: str
    before: str
    digest: str


def sha256_of(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def chained(
    before: AuditEntry | None, *, at: datetime, by: Principal, action: str, subject: str, content: str
) -> AuditEntry:
    """The entry that follows `before`; `content` is what was entered, of which the digest alone is kept."""
    sequence, last = (before.sequence + 1, before.digest) if before else (1, FIRST)
    told = (at.astimezone(UTC).isoformat(), by.name, by.role.value, action, subject, sha256_of(content), last)
    return AuditEntry(sequence, *told, digest=_digest(sequence, *told))


def _digest(*told: object) -> str:
    return sha256_of(json.dumps(told, ensure_ascii=True, separators=(",", ":")))


def append(db: sqlite3.Connection, *, at: datetime, by: Principal, action: str, subject: str, content: str) -> None:
    """Add an entry in the transaction that does what it says."""
    row = db.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
    entry = chained(AuditEntry(*row) if row else None, at=at, by=by, action=action, subject=subject, content=content)
    db.execute(f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", entry)


def page(db: sqlite3.Connection, *, after: int) -> list[AuditEntry]:
    """The next entries after a sequence, oldest first; none at the end."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM audit WHERE sequence > ? ORDER BY sequence LIMIT {_PAGE}", (after,))
    return [AuditEntry(*row) for row in rows]


def verified(entries: Iterable[AuditEntry]) -> Iterator[AuditEntry]:
    """The entries as they come, each checked; raises `CheckFailedError` at the first that breaks the chain."""
    last = FIRST
    for sequence, entry in enumerate(entries, start=1):
        place = f"audit entry {entry.sequence} ({entry.action} {entry.subject} by {entry.who})"
        if entry.sequence != sequence:
            raise CheckFailedError(f"{place}: sequence must be {sequence}, entries are missing before it")
        if entry.before != last:
            raise CheckFailedError(f"{place}: before == {entry.before}, must be {last}, the digest of the one before")
        if (found := _digest(*entry[:-1])) != entry.digest:
            raise CheckFailedError(f"{place}: digest == {entry.digest}, must be {found}: it was changed")
        last = entry.digest
        yield entry
