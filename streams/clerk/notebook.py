"""Where each duty got to, kept in the docket's folder: cursors, verdicts left for later, uploads to be sent again.

FOLDER/clerk.db      SQLite, one writer: what a duty did is written in the transaction that moves its cursor
FOLDER/audit.salt    decides which verdicts are audited: who knew it could tell, so only its owner may read it
"""

import os
import secrets
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from contracts.errors import BadInputError, DependencyError
from contracts.secrets import secret_in
from contracts.videos import VideoUploaded
from policy.cases.rescoring import Counted

FILE = "clerk.db"
SALT_FILE = "audit.salt"
SALT_VARIABLE = "PRECEDENT_AUDIT_SALT"
_LEAST_SALT = 16
_AT_ONCE = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS marks (duty TEXT PRIMARY KEY, mark TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS postponed (video_id TEXT PRIMARY KEY, since TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rescored (
    video_id TEXT PRIMARY KEY, impressions INTEGER NOT NULL, reports REAL NOT NULL, at TEXT NOT NULL,
    unsent BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rescored_unsent ON rescored (at) WHERE unsent IS NOT NULL;
"""


class Rescored(NamedTuple):
    """A version of an upload with the feedback that it carries, as it was weighed."""

    upload: VideoUploaded
    counted: Counted


class Notebook:
    """The clerk's own notes in a docket's folder; several threads may share it, two processes may not."""

    def __init__(self, folder: Path, *, wait_s: float = 5.0) -> None:
        self._path = folder / FILE
        self._turn = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=wait_s)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise BadInputError(f"{self._path}: {error}: is another clerk at work on this docket?") from error
        except (OSError, sqlite3.DatabaseError) as error:
            raise BadInputError(f"{self._path}: is not a clerk's notebook: {error}") from error

    def mark(self, duty: str) -> str:
        """How far a duty got, in its own words; empty where it has not begun."""
        with self._writing() as db:
            row = db.execute("SELECT mark FROM marks WHERE duty = ?", (duty,)).fetchone()
        return str(row[0]) if row else ""

    def advance(self, duty: str, mark: str) -> None:
        """Note how far a duty got."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (duty, mark))

    def postponed(self) -> dict[str, datetime]:
        """Videos whose upload was not to be had when their verdict came, and since when."""
        with self._writing() as db:
            rows = db.execute("SELECT video_id, since FROM postponed").fetchall()
        return {video_id: datetime.fromisoformat(since) for video_id, since in rows}

    def opened(self, duty: str, mark: str, *, postponed: Collection[str], done: Collection[str], now: datetime) -> None:
        """Move the mark of opening, and note at once which videos are left for later and which no longer are."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (duty, mark))
            db.executemany("DELETE FROM postponed WHERE video_id = ?", [(one,) for one in done])
            at = now.astimezone(UTC).isoformat()
            db.executemany("INSERT OR IGNORE INTO postponed VALUES (?, ?)", [(one, at) for one in postponed])

    def rescored(self, video_ids: Collection[str]) -> dict[str, Counted]:
        """What each of these videos was scored with last, for those that the clerk had scored again."""
        wanted, found = list(video_ids), dict[str, Counted]()
        with self._writing() as db:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                sql = f"SELECT video_id, impressions, reports FROM rescored WHERE video_id IN ({_marks(some)})"
                found |= {video_id: Counted(seen, said) for video_id, seen, said in db.execute(sql, some)}
        return found

    def rescore(self, versions: Sequence[Rescored], *, now: datetime, keep_after: datetime) -> None:
        """Keep versions that are to be sent; what was scored again before `keep_after` is forgotten."""
        at = now.astimezone(UTC).isoformat()
        rows = [
            (one.upload.video_id, *one.counted, at, one.upload.model_dump_json(exclude_none=True).encode())
            for one in versions
        ]
        with self._writing() as db:
            db.executemany("INSERT OR REPLACE INTO rescored VALUES (?, ?, ?, ?, ?)", rows)
            old = keep_after.astimezone(UTC).isoformat()
            db.execute("DELETE FROM rescored WHERE at < ? AND unsent IS NULL", (old,))

    def counted(self, before: Mapping[str, Counted], *, now: datetime) -> None:
        """Note what videos were scored with that need no new version."""
        at = now.astimezone(UTC).isoformat()
        rows = [(video_id, *counted, at) for video_id, counted in before.items()]
        with self._writing() as db:
            db.executemany("INSERT OR REPLACE INTO rescored VALUES (?, ?, ?, ?, NULL)", rows)

    def unsent(self, *, at_most: int = 1 << 30) -> list[VideoUploaded]:
        """Versions whose delivery was not confirmed, oldest first."""
        sql = "SELECT unsent FROM rescored WHERE unsent IS NOT NULL ORDER BY at, video_id LIMIT ?"
        with self._writing() as db:
            rows = db.execute(sql, (max(0, at_most),)).fetchall()
        return [VideoUploaded.model_validate_json(row[0]) for row in rows]

    def n_unsent(self) -> int:
        """How many versions wait to be sent."""
        with self._writing() as db:
            return int(db.execute("SELECT count(*) FROM rescored WHERE unsent IS NOT NULL").fetchone()[0])

    def sent(self, versions: Sequence[VideoUploaded]) -> None:
        """Note that these were delivered."""
        with self._writing() as db:
            db.executemany("UPDATE rescored SET unsent = NULL WHERE video_id = ?", [(v.video_id,) for v in versions])

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """The connection inside a transaction of its own; raises `DependencyError` when the disk refuses."""
        with self._turn:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise DependencyError(f"{self._path}: {error}") from error
                raise


def audit_salt(folder: Path, environment: Mapping[str, str]) -> str:
    """The secret of the audit: PRECEDENT_AUDIT_SALT (or _FILE), or one that is made once and kept beside the docket.

    Raises `BadInputError` for one of fewer than 16 characters: it could be guessed from what is audited.
    """
    given, path = secret_in(environment, SALT_VARIABLE) or "", folder / SALT_FILE
    if not given:
        if not path.exists():
            _make_salt(path)
        given = path.read_text(encoding="utf-8").strip()
    if len(given) < _LEAST_SALT:
        elsewhere = any(environment.get(name) for name in (SALT_VARIABLE, f"{SALT_VARIABLE}_FILE"))
        place = SALT_VARIABLE if elsewhere else str(path)
        raise BadInputError(f"{place} has {len(given)} characters, must be a secret of at least {_LEAST_SALT}")
    return given


def _make_salt(path: Path) -> None:
    """Write a new salt, whole or not at all; one that came to be meanwhile stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(secrets.token_hex(16))
        stream.flush()
        os.fsync(stream.fileno())
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))
