"""The docket's SQLite file: its tables, and transactions that several threads and processes may run at a time.

A transaction begins by taking the one writer's place, so that what it read is still so when it writes. It is on disk
when it returns. What was ruled and what was audited can be added to alone: triggers refuse anything else.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError, DependencyError

FILE = "docket.db"
_VERSION = 3
_BUSY_S = 20.0
_SCHEMA = """
CREATE TABLE cases (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    case_id TEXT NOT NULL UNIQUE,
    video_id TEXT NOT NULL,
    author_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    audited REAL NOT NULL,
    opened TEXT NOT NULL,
    upload TEXT NOT NULL,
    upload_sha256 TEXT NOT NULL,
    frames_digest TEXT,
    expected_harm REAL NOT NULL,
    weighed_at TEXT,
    waiting INTEGER NOT NULL CHECK (waiting IN (0, 1)),
    erased_at TEXT
);
CREATE INDEX cases_by_video ON cases (video_id);
CREATE INDEX cases_by_author ON cases (author_id);
CREATE INDEX cases_waiting ON cases (expected_harm DESC, sequence) WHERE waiting;
CREATE INDEX cases_audited ON cases (opened_at, sequence) WHERE waiting AND audited > 0;

CREATE TABLE rulings (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    ruling_id TEXT NOT NULL UNIQUE,
    case_id TEXT NOT NULL REFERENCES cases (case_id),
    video_id TEXT NOT NULL,
    overrules TEXT UNIQUE REFERENCES rulings (ruling_id) CHECK (overrules <> ruling_id),
    ruling TEXT NOT NULL
);
CREATE INDEX rulings_by_video ON rulings (video_id, sequence);

CREATE TABLE appeals (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    appeal_id TEXT NOT NULL UNIQUE,
    video_id TEXT NOT NULL,
    author_id TEXT NOT NULL,
    appeal TEXT NOT NULL,
    appeal_sha256 TEXT NOT NULL,
    erased_at TEXT
);
CREATE INDEX appeals_by_video ON appeals (video_id, sequence);
CREATE INDEX appeals_by_author ON appeals (author_id);

-- What became of an appeal: the case that hears it, or why there is none.
CREATE TABLE hearings (
    appeal_id TEXT PRIMARY KEY REFERENCES appeals (appeal_id),
    case_id TEXT REFERENCES cases (case_id),
    dismissed TEXT,
    CHECK ((case_id IS NULL) <> (dismissed IS NULL))
) WITHOUT ROWID;

CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL
);

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    content TEXT NOT NULL,
    before TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE
);

CREATE TRIGGER rulings_stay BEFORE UPDATE ON rulings BEGIN SELECT RAISE(ABORT, 'a ruling is never changed'); END;
CREATE TRIGGER rulings_remain BEFORE DELETE ON rulings BEGIN SELECT RAISE(ABORT, 'a ruling is never deleted'); END;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END;
CREATE TRIGGER audit_remains BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is never deleted'); END;
CREATE TRIGGER cases_remain BEFORE DELETE ON cases BEGIN SELECT RAISE(ABORT, 'a case is never deleted'); END;
CREATE TRIGGER uploads_are_frozen BEFORE UPDATE OF upload, author_id, frames_digest ON cases
WHEN NEW.erased_at IS NULL BEGIN SELECT RAISE(ABORT, 'the evidence of a case is frozen'); END;
CREATE TRIGGER evidence_is_frozen
BEFORE UPDATE OF case_id, video_id, reason, opened_at, audited, opened, upload_sha256 ON cases
BEGIN SELECT RAISE(ABORT, 'the evidence of a case is frozen'); END;
"""
_LABELS = """
-- Leaves that were named for rulings later; the last of a ruling counts.
CREATE TABLE IF NOT EXISTS labels (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    label_id TEXT NOT NULL UNIQUE,
    ruling_id TEXT NOT NULL REFERENCES rulings (ruling_id),
    leaf TEXT NOT NULL,
    label TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS labels_by_ruling ON labels (ruling_id, sequence);
CREATE TRIGGER IF NOT EXISTS labels_stay BEFORE UPDATE ON labels
BEGIN SELECT RAISE(ABORT, 'a label is never changed'); END;
CREATE TRIGGER IF NOT EXISTS labels_remain BEFORE DELETE ON labels
BEGIN SELECT RAISE(ABORT, 'a label is never deleted'); END;
"""
_FROM_1 = """
ALTER TABLE cases ADD COLUMN audited REAL NOT NULL DEFAULT 0;
UPDATE cases SET audited = json_extract(opened, '$.selection_probability') WHERE reason = 'audit';
DROP TRIGGER evidence_is_frozen;
CREATE TRIGGER evidence_is_frozen
BEFORE UPDATE OF case_id, video_id, reason, opened_at, audited, opened, upload_sha256 ON cases
BEGIN SELECT RAISE(ABORT, 'the evidence of a case is frozen'); END;
CREATE INDEX cases_audited ON cases (opened_at, sequence) WHERE waiting AND audited > 0;
"""
_TO_NEWEST = {0: _SCHEMA + _LABELS, 1: _FROM_1 + _LABELS, 2: _LABELS}
"""What makes the newest docket of an older one, by its version; of nothing at 0."""

Row = tuple[Any, ...]


class Store:
    """The tables of one docket, created where they are missing; one connection, used by one thread at a time.

    Raises `BadInputError` naming the file where it is no docket, `DependencyError` when others keep it busy too long.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._turn = threading.RLock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
        except (OSError, sqlite3.Error) as error:
            raise BadInputError(f"{self._path}: cannot be opened: {error}") from error
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "trusted_schema = OFF"):
                self._db.execute(f"PRAGMA {pragma}")
            with self.writing() as db:
                (version,) = db.execute("PRAGMA user_version").fetchone()
                tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                ours = not tables if version == 0 else "rulings" in tables
                if ours and version in _TO_NEWEST:
                    for statement in _statements(_TO_NEWEST[version]):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {_VERSION}")
                elif not ours or version != _VERSION:
                    rule = f"must be {_VERSION}, that of a docket of this program"
                    raise BadInputError(f"{self._path}: user_version == {version}, {rule}")
        except sqlite3.DatabaseError as error:
            raise BadInputError(f"{self._path}: is not a docket: {error}") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes beside; committed where the block ends, undone where it raises."""
        with self._turn, self._failures():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The docket as it is at one moment, whatever others write meanwhile."""
        with self._turn, self._failures():
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """The rows of one question."""
        with self._turn, self._failures():
            return self._db.execute(statement, values).fetchall()

    def truncate_log(self) -> None:
        """Empty the write-ahead log, which would keep what was erased; others that read now may keep it a while."""
        with self._turn, self._failures():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with self._turn:
            self._db.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise DependencyError(f"{self._path}: {error}") from error


def instant(at: datetime) -> str:
    """A moment in UTC as text that sorts by time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
