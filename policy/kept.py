"""Records in files: one whole or not at all, or lines of which a crash leaves at most one half, which is cut off."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.records import Record

R = TypeVar("R", bound=Record)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is seen whole or not at all, and is on the disk when this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def write_whole(path: Path, record: Record) -> None:
    """Write a record in the place of what was there."""
    write_text(path, record.model_dump_json(indent=2) + "\n")


def read_whole(path: Path, kind: type[R]) -> R:
    """Read a record; raises `BadInputError` where it is missing or is none of its kind."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInputError(f"{path}: is missing, its step has not run") from None
    except (OSError, ValidationError) as error:
        reason = first_reason(error) if isinstance(error, ValidationError) else error
        raise BadInputError(f"{path}: {reason}") from error


@contextmanager
def turn_in(folder: Path, name: str) -> Iterator[None]:
    """Wait for a turn in a folder: processes that take it by one name are there one after another."""
    with (folder / f".{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cut_half_line(path: Path) -> int:
    """Cut off what follows the last end of a line; the number of bytes that went."""
    if not path.exists():
        return 0
    with path.open("r+b") as lines:
        size = lines.seek(0, os.SEEK_END)
        whole = size
        for start, block in _blocks_from_the_end(path, size):
            if (at := block.rfind(b"\n")) >= 0:
                whole = start + at + 1
                break
            whole = start
        lines.truncate(whole)
        os.fsync(lines.fileno())
    return size - whole


def _blocks_from_the_end(path: Path, size: int, block: int = 1 << 16) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as lines:
        for start in range((size - 1) // block * block, -1, -block):
            lines.seek(start)
            yield start, lines.read(min(block, size - start))
