"""Rows kept and rows dropped in, one part of a stage out: whole or not at all, and what it was made of written in it.

FOLDER/part-00000.parquet      the rows kept; its metadata holds `input` and `plan`, digests of what it was made from
FOLDER/dropped-00000.parquet   the rows dropped, each with its `reason`; there before the part is

So a part that is there is done, and a rerun skips it. Equal rows and digests give equal bytes.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import polars as pl
import polars.exceptions

from contracts.errors import BadInputError, printable

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

_PART = re.compile(r"^part-(\d{5,})\.parquet$")
_DAMAGED = (OSError, polars.exceptions.PolarsError, polars.exceptions.PanicException)


class Totals(NamedTuple):
    """Rows of a stage: how many its parts keep, and how many they dropped by reason, sorted by reason."""

    kept: int
    dropped: dict[str, int]

    @property
    def n_in(self) -> int:
        return self.kept + sum(self.dropped.values())


def write_part(
    folder: Path,
    i: int,
    kept: pl.DataFrame,
    dropped: pl.DataFrame,
    *,
    input: str,  # noqa: A002
    plan: str,
    notes: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write part `i`, which is done once this returns; `dropped` has a column `reason`.

    notes: what else stands in the part's metadata, such as what it cost.
    """
    if "reason" not in dropped.columns:
        raise ValueError(f"the dropped rows have columns {dropped.columns}, one must be 'reason' (part {i})")
    folder.mkdir(parents=True, exist_ok=True)
    made_of = {**notes, "input": input, "plan": plan}
    write_table(dropped_of(part_at(folder, i)), dropped, made_of)
    write_table(part_at(folder, i), kept, made_of)


def write_table(path: Path, table: pl.DataFrame, made_of: Mapping[str, str]) -> None:
    """Write a Parquet file whole or not at all, with what it was made of as its metadata; it is on the disk then."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as stream:
        # one row group and no statistics: pictures have no least and greatest, and the bytes hang on the rows alone
        table.write_parquet(
            stream,
            compression="zstd",
            compression_level=3,
            statistics=False,
            row_group_size=max(1, table.height),
            metadata=dict(made_of),
        )
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def is_done(folder: Path, i: int, *, input: str, plan: str) -> bool:  # noqa: A002
    """Whether part `i` is there; raises `BadInputError` where it was made of another input or with other settings."""
    path = part_at(folder, i)
    if not path.exists():
        return False
    made_of = made_of_what(path, ("input", "plan"))
    for name, asked, what in (("input", input, "of another input"), ("plan", plan, "with other settings")):
        if made_of[name] != asked:
            raise BadInputError(
                f"{path}: {name} == {made_of[name]!r}, must be {asked!r}: it was made {what}, take another folder"
            )
    _check_dropped(path)
    return True


def parts_of(folder: Path) -> list[Path]:
    """The parts that are done, in order; raises `BadInputError` where one is missing between them."""
    found = {int(match[1]): path for path in _inside(folder) if (match := _PART.match(path.name))}
    if missing := [i for i in range(len(found)) if i not in found]:
        raise BadInputError(f"{part_at(folder, missing[0])}: is missing, later parts of its stage are there")
    return [found[i] for i in range(len(found))]


def note_of(part: Path, name: str) -> str:
    """A note of a part, empty where it has none of this name."""
    with _reading(part):
        return pl.read_parquet_metadata(part).get(name, "")


def check_ends_at(folder: Path, n: int) -> None:
    """Raise `BadInputError` where a stage has more than the `n` parts that its input makes."""
    if len(found := parts_of(folder)) > n:
        raise BadInputError(f"{found[n]}: its input makes {n} parts, it was made of another input, take another folder")


def part_at(folder: Path, i: int) -> Path:
    return folder / f"part-{i:05d}.parquet"


def dropped_of(part: Path) -> Path:
    """Where the rows lie that a part dropped."""
    return part.with_name(part.name.replace("part-", "dropped-", 1))


def read_part(path: Path, schema: Schema, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows of a file of a stage, of some columns or all; raises `BadInputError` where it is missing or damaged.

    So it does where the file's columns are not those of `schema`.
    """
    found, wanted = schema_of(path), pl.Schema(schema)
    if found != wanted:
        raise BadInputError(f"{path}: columns == {_told(found)}, must be {_told(wanted)}")
    with _reading(path):
        return pl.read_parquet(path, columns=list(columns) if columns else None, memory_map=False)


def made_of_what(path: Path, names: Sequence[str]) -> dict[str, str]:
    """What a file's metadata says of it by `names`; raises `BadInputError` where it is damaged or lacks one of them."""
    with _reading(path):
        metadata = pl.read_parquet_metadata(path)
    if missing := [name for name in names if name not in metadata]:
        raise BadInputError(f"{path}: names no {missing[0]} in its metadata, must be a file of a growth folder")
    return {name: metadata[name] for name in names}


def schema_of(path: Path) -> pl.Schema:
    """The columns of a file of a stage; raises `BadInputError` where it is missing or damaged."""
    with _reading(path):
        return pl.Schema(pl.read_parquet_schema(path))


def n_rows(path: Path) -> int:
    """The rows of a file of a stage, told without reading what they hold; raises as `schema_of`."""
    with _reading(path):
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def digest_of_part(path: Path) -> str:
    """The sha256 of a part's file: what the part of the next stage names as its `input`."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror or error}") from error


def plan_digest(stage: str, settings: Mapping[str, object]) -> str:
    """The sha256 of a stage's settings, as JSON with sorted keys: what its parts name as their `plan`."""
    told = json.dumps({"stage": stage, **settings}, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(told.encode()).hexdigest()


def totals(folder: Path) -> Totals:
    """Count the rows of the parts that are done, without reading what they hold."""
    parts = parts_of(folder)
    if not parts:
        return Totals(0, {})
    for part in parts:
        _check_dropped(part)
    with _reading(folder):
        kept = int(pl.scan_parquet(parts).select(pl.len()).collect().item())
        reasons = pl.concat(
            [pl.scan_parquet(dropped_of(part)).select(pl.col("reason").cast(pl.String)) for part in parts]
        )
        counted = reasons.group_by("reason").len().sort("reason").collect()
    return Totals(kept, dict(zip(counted["reason"].to_list(), counted["len"].to_list(), strict=True)))


@contextmanager
def alone_in(home: Path) -> Iterator[None]:
    """Hold a growth folder while its stages run; raises `BadInputError` where another run holds it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".running").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInputError(f"{home}: another run works in it, one at a time may") from None
        yield


def _check_dropped(part: Path) -> None:
    if not dropped_of(part).exists():
        raise BadInputError(f"{dropped_of(part)}: is missing, {part.name} was written after it")


def _inside(folder: Path) -> Sequence[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadInputError(f"{folder}: {error.strerror or error}, must be a folder of parts") from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BadInputError(f"{error.filename or path}: is missing, its step has not run") from error
    except _DAMAGED as error:
        raise BadInputError(f"{path}: cannot be read, it is damaged: {printable(str(error), at_most=200)}") from error


def _told(schema: Mapping[str, pl.DataType]) -> str:
    return printable(", ".join(f"{name} {kind}" for name, kind in schema.items()), at_most=400)
