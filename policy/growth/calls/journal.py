"""What was answered for a piece of work that is not whole yet: a line an answer, written before it counts.

A killed process loses what was under way and nothing else; a machine that loses its power, a second more. When the work
is whole and written, its journal goes. Its first line names the work: answers to another are refused.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import orjson

from contracts.errors import BadInputError
from policy.growth.calls.ask import Said
from policy.kept import cut_half_line

SYNCED_EVERY_S = 1.0


class Journal:
    """The answers of one piece of work, by request; of one process."""

    def __init__(self, path: Path, digest: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Open or begin it; raises `BadInputError` where it is of other work, or damaged before its end."""
        cut_half_line(path)
        self.path = path
        self.answers: dict[str, Said] = {}
        begins = not path.exists() or path.stat().st_size == 0
        if not begins:
            self._read(digest)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._clock = clock
        self._synced = clock()
        if begins:
            os.write(self._file, orjson.dumps({"of": digest}) + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def add(self, key: str, said: Said) -> None:
        """Keep an answer; it outlives this process when this returns. Raises `OSError` where it cannot be written."""
        line = orjson.dumps([key, *said]) + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError(f"{self.path}: an answer was written by half, is the disk full?")
        self.answers[key] = said
        if self._clock() - self._synced > SYNCED_EVERY_S:
            os.fsync(self._file)
            self._synced = self._clock()

    def _read(self, digest: str) -> None:
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    read: Any = orjson.loads(line)
                    if number == 1:
                        found = read["of"]
                    else:
                        key, text, unusable, prompt, completion = read
                        self.answers[key] = Said(text, unusable, int(prompt), int(completion))
                except (ValueError, LookupError, TypeError) as error:
                    raise BadInputError(f"{self.path}:{number}: is not an answer that was kept: {error}") from error
                if number == 1 and found != digest:
                    raise BadInputError(f"{self.path}: is of {found}, must be of {digest}; take another folder")
