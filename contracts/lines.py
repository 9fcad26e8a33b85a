"""A file of JSON lines in, its records one by one out, each by its contract."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.records import Record

R = TypeVar("R", bound=Record)


def read_lines(path: Path, contract: type[R]) -> Iterator[R]:
    """Yield a file's records in order, empty lines passed over; raises `BadInputError` naming file, line and rule."""
    try:
        lines = path.open("rb")
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}, must be a file of JSON lines") from error
    with lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield contract.model_validate_json(line)
            except ValidationError as error:
                raise BadInputError(f"{path}:{number}: {first_reason(error)}") from error
