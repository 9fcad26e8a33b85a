"""A person in, the warehouse without them out: rows about what they did leave, records about others lose their name.

Whoever viewed, reported, visited or was exposed is deleted with these rows, daily and experiments' rows included. An
author is a person too: what they uploaded and what they wrote in appeals is deleted. So is who ruled: verdicts and
rulings are about a video and stay, with `ERASED` in place of the name. Cases and counts by video hold nobody's name
and stay as they are.

A topic that still holds the person's events brings them back when it is replayed: erase again afterwards.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from contracts.errors import BadInputError, DependencyError, first_reason
from contracts.records import Id
from warehouse.address import asking
from warehouse.daily import STAGING, Commands

ERASED = "erased"
"""What stands in place of a person's id in records that stay."""


class Trace(NamedTuple):
    """A column that names persons, and what becomes of a row that names an erased one."""

    table: str
    column: str
    fate: Literal["deleted", "renamed"]


class Erased(NamedTuple):
    """How many rows of a table were deleted, or had the name replaced; copies of replayed events count too."""

    trace: Trace
    rows: int


TRACES: tuple[Trace, ...] = (
    Trace("impressions", "user_id", "deleted"),
    Trace("sessions", "user_id", "deleted"),
    Trace("reports", "reporter_id", "deleted"),
    Trace("exposures", "user_id", "deleted"),
    Trace("uploads", "author_id", "deleted"),
    Trace("appeals", "author_id", "deleted"),
    Trace("user_days", "user_id", "deleted"),
    Trace("experiment_users", "user_id", "deleted"),
    Trace("verdicts", "author_id", "renamed"),
    Trace("rulings", "ruled_by", "renamed"),
)
_ID = TypeAdapter(Id)


def erase_users(client: Commands, user_ids: Sequence[str]) -> tuple[Erased, ...]:
    """Erase these persons from every table, rewriting the parts that name them; safe to repeat, all ids in one pass.

    The engine keeps rewritten parts on the disk for another 8 minutes. Raises `BadInputError` for what is no id;
    `DependencyError` when the warehouse does not answer, or tables are being built meanwhile that may still hold the
    persons: erase again when they are done.
    """
    for user_id in user_ids:
        _check(user_id)
    with asking(f"erasing {len(user_ids)} users"):
        erased = tuple(Erased(trace, _erase(client, trace, user_ids)) for trace in TRACES)
        building = "SELECT name FROM system.tables WHERE database = currentDatabase() AND position(name, {part:String})"
        tables = [name for (name,) in client.query(building, {"part": STAGING}).result_rows]
    if tables:
        raise DependencyError(f"{tables[0]} is being built and may hold the users still, erase again when it is gone")
    return erased


def _check(user_id: str) -> None:
    try:
        _ID.validate_python(user_id)
    except ValidationError as error:
        raise BadInputError(f"user {user_id!r}: {first_reason(error)}") from error


def _erase(client: Commands, trace: Trace, user_ids: Sequence[str]) -> int:
    given = {"ids": list(user_ids), "name": ERASED}
    named = f"{trace.column} IN {{ids:Array(String)}}"
    rows = int(client.command(f"SELECT count() FROM {trace.table} WHERE {named}", given))
    if rows:
        change = "DELETE" if trace.fate == "deleted" else f"UPDATE {trace.column} = {{name:String}}"
        client.command(f"ALTER TABLE {trace.table} {change} WHERE {named} SETTINGS mutations_sync = 2", given)
    return rows
