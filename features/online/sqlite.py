"""Guarded rows in one SQLite file: one row per entity and view, replaced only by a newer one.

Feast's own SQLite store keeps one row per *feature* and lets an older event overwrite a newer one. Here the
guard is part of the upsert, so it holds within a batch, between batches and between processes. Two scorings of one
version at one microsecond are told apart by their bytes: whoever comes last, the same one stays. WAL keeps readers and
the writer out of each other's way; a commit is on disk when it returns.
"""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from features.online.rows import Row, Written, repeated
from features.views import PROJECT, VIEWS, View

_READ_KEYS = 10_000
_BUSY_MS = 5_000


class PackedRow(NamedTuple):
    """A row as SQLite keeps it: `values` is one serialized Feast `RepeatedValue`."""

    key: bytes
    event_us: int
    known_us: int
    values: bytes


class StoredRow(NamedTuple):
    """A row as read: the names of its fields, in the order of `values`."""

    event_us: int
    names: tuple[str, ...]
    values: bytes


def pack(rows: Iterable[Row]) -> list[PackedRow]:
    return [PackedRow(row.key, row.event_us, row.known_us, repeated(row.values)) for row in rows]


def table_name(view: View) -> str:
    """The name that Feast gives to a view's table."""
    return f"{PROJECT}_{view.name}"


class GuardedTables:
    """The tables of one SQLite file; raises `sqlite3.Error` when the file cannot be read or written.

    Tables are named, not views, because Feast's interface brings views of its own.
    """

    def __init__(self, path: Path, *, busy_ms: int = _BUSY_MS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute(f"PRAGMA busy_timeout = {busy_ms}")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._layouts: dict[int, tuple[str, ...]] = {}
        self._created: set[tuple[str, tuple[str, ...]]] = set()

    def has(self, table: str) -> bool:
        """Whether a table is there; asks without writing, so that it waits for no writer."""
        return bool(self._db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone())

    def create(self, table: str, names: Sequence[str]) -> int:
        """Make a table unless it is there; returns the number of the layout that `names` is."""
        layout = crc32(",".join(names).encode())
        known = (table, tuple(names))
        if known in self._created:
            return layout
        with self._lock:
            self._db.execute(
                f'CREATE TABLE IF NOT EXISTS "{table}" (entity_key BLOB PRIMARY KEY, event_us INTEGER NOT NULL, '
                "known_us INTEGER NOT NULL, layout INTEGER NOT NULL, feature_values BLOB NOT NULL)"
            )
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS feature_layouts (layout INTEGER PRIMARY KEY, names TEXT NOT NULL)"
            )
            self._db.execute("INSERT OR IGNORE INTO feature_layouts VALUES (?, ?)", (layout, ",".join(names)))
        self._created.add(known)
        return layout

    def create_all(self) -> None:
        for view in VIEWS:
            self.create(table_name(view), view.field_names)

    def upsert(self, batches: Sequence[tuple[str, Sequence[str], Sequence[PackedRow]]]) -> list[Written]:
        """Write batches of (table, field names, rows) in one transaction: all are on disk, or none is."""
        layouts = [self.create(table, names) for table, names, _ in batches]
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                results = [
                    self._upsert_one(table, layout, rows)
                    for layout, (table, _, rows) in zip(layouts, batches, strict=True)
                ]
                self._db.execute("COMMIT")
            except BaseException:
                self._db.rollback()
                raise
        return results

    def _upsert_one(self, table: str, layout: int, rows: Sequence[PackedRow]) -> Written:
        # The layout is part of the statement, so that rows travel to SQLite as they came.
        cursor = self._db.executemany(
            f'INSERT INTO "{table}" AS stored (entity_key, event_us, known_us, feature_values, layout) '
            f"VALUES (?, ?, ?, ?, {layout}) ON CONFLICT (entity_key) DO UPDATE SET "
            "event_us = excluded.event_us, known_us = excluded.known_us, layout = excluded.layout, "
            "feature_values = excluded.feature_values "
            "WHERE (excluded.event_us, excluded.known_us, excluded.feature_values)"
            " > (stored.event_us, stored.known_us, stored.feature_values)",
            rows,
        )
        written = max(cursor.rowcount, 0)
        return Written(written, len(rows) - written)

    def select(self, table: str, keys: Sequence[bytes]) -> dict[bytes, StoredRow]:
        """The rows that exist, by key."""
        found: dict[bytes, StoredRow] = {}
        for start in range(0, len(keys), _READ_KEYS):
            part = keys[start : start + _READ_KEYS]
            marks = ",".join("?" * len(part))
            rows = self._db.execute(
                f'SELECT entity_key, event_us, layout, feature_values FROM "{table}" WHERE entity_key IN ({marks})',
                part,
            ).fetchall()
            for key, event_us, layout, values in rows:
                found[key] = StoredRow(event_us, self._names(layout), values)
        return found

    def _names(self, layout: int) -> tuple[str, ...]:
        if layout not in self._layouts:
            stored = self._db.execute("SELECT names FROM feature_layouts WHERE layout = ?", (layout,)).fetchone()
            self._layouts[layout] = tuple(stored[0].split(","))
        return self._layouts[layout]

    def drop(self, table: str) -> None:
        with self._lock:
            self._db.execute(f'DROP TABLE IF EXISTS "{table}"')
        self._created = {known for known in self._created if known[0] != table}

    def close(self) -> None:
        self._db.close()
