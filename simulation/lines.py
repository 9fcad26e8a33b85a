"""Records -> a file of JSON lines, written whole or not at all."""

from collections.abc import Iterable
from pathlib import Path

from contracts.errors import BadInputError
from contracts.records import Record


def folder_to_write(out: Path) -> Path:
    """The folder, made where it is not there; raises `BadInputError` when it cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"--out {out}: {error.strerror}, must be a folder to write to") from error
    return out.resolve()


def write_lines(path: Path, records: Iterable[Record]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as lines:
        lines.writelines(record.model_dump_json(exclude_none=True) + "\n" for record in records)
    partial.replace(path)
