"""A record in a file of its own: written so that it is seen whole or not at all, and read with its errors named."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.records import Record

R = TypeVar("R", bound=Record)


def write_whole(path: Path, record: Record) -> None:
    """Write a record in the place of what was there, by one rename."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def read_whole(path: Path, kind: type[R]) -> R:
    """Read a record; raises `BadInputError` where it is missing or is none of its kind."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInputError(f"{path}: is missing, its step has not run") from None
    except (OSError, ValidationError) as error:
        reason = first_reason(error) if isinstance(error, ValidationError) else error
        raise BadInputError(f"{path}: {reason}") from error
