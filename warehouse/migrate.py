"""Bring a warehouse's schema up to date: numbered SQL files, each applied once and never changed afterwards.

ClickHouse has no transactions over DDL, so every statement of a migration can be repeated: a run that was cut off is
simply run again, and two at a time do no harm.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from contracts.errors import BadInputError
from warehouse.address import WarehouseAddress, asking, connect

FOLDER = Path(__file__).parent / "migrations"
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_RECORD = """
CREATE TABLE IF NOT EXISTS migrations
(
    version UInt32, name String, digest String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(applied_at) ORDER BY version
"""


_APPLIED = """
INSERT INTO migrations (version, name, digest) SELECT {version:UInt32}, {name:String}, {digest:String}
"""


class Commands(Protocol):
    """The part of a client that migrations use."""

    def command(self, cmd: str, parameters: dict[str, Any] | None = None) -> Any: ...

    def query(self, query: str) -> Any: ...


class Migration(NamedTuple):
    """A numbered SQL file; `digest` is the SHA-256 of its text."""

    version: int
    name: str
    statements: tuple[str, ...]
    digest: str


def read_migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """The folder's migrations in order; raises `BadInputError` for a misnamed file or a gap in the numbers.

    A statement ends with a semicolon at the end of a line.
    """
    found: list[Migration] = []
    for number, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        name = _NAME.fullmatch(path.name)
        if name is None or int(name.group(1)) != number:
            raise BadInputError(f"{path}: must be called {number:04}_<name>.sql")
        text = path.read_text(encoding="utf-8")
        statements = tuple(part.strip() for part in re.split(r";\s*$", text, flags=re.MULTILINE) if part.strip())
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        found.append(Migration(number, name.group(2), statements, digest))
    return tuple(found)


def migrate(address: WarehouseAddress, migrations: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
    """Create the address's database if need be and apply what is new; returns what was applied.

    Raises `BadInputError` when a migration was changed after it was applied, or the warehouse is ahead of this
    version of the code; `CheckFailedError` when it refuses one; `DependencyError` when it does not answer.
    """
    server = connect(address, database="default")
    with asking(f"{address}: creating the database"):
        server.command(f"CREATE DATABASE IF NOT EXISTS `{address.database}`")
    return apply(connect(address), read_migrations() if migrations is None else migrations, place=str(address))


def apply(client: Commands, migrations: Sequence[Migration], *, place: str) -> tuple[Migration, ...]:
    """Apply what is new of `migrations`, in order; see `migrate`."""
    with asking(f"{place}: reading its migrations"):
        client.command(_RECORD)
        rows = client.query("SELECT version, name, digest FROM migrations FINAL ORDER BY version").result_rows
    known = {migration.version: migration for migration in migrations}
    for version, name, digest in rows:
        if version not in known:
            raise BadInputError(f"{place}: has migration {version:04}_{name}, this code ends at {len(migrations):04}")
        if known[version].digest != digest:
            rule = "an applied migration must not change, add a new one"
            raise BadInputError(f"{version:04}_{name}: digest == {known[version].digest}, applied was {digest}: {rule}")
    applied = {version for version, _, _ in rows}
    new = tuple(migration for migration in migrations if migration.version not in applied)
    for migration in new:
        with asking(f"{place}: {migration.version:04}_{migration.name}"):
            for statement in migration.statements:
                client.command(statement)
            client.command(
                _APPLIED, parameters={"version": migration.version, "name": migration.name, "digest": migration.digest}
            )
    return new
