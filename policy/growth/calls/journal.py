"""What was answered for a piece of work that is not whole yet: a line an answer, written before it counts.

A killed process loses what was under way and nothing else; a machine that loses its power, a second more. When the work
is whole and written, its journal goes. Its first line names the work: answers to another are refused.
"""

import errno
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
        self._file = path.open("ab", buffering=0)
        self._failed: OSError | None = None
        self._clock = clock
        self._synced = clock()
        if begins:
            try:
                self._write({"of": digest})
            except OSError:
                self._file.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            os.fsync(self._file.fileno())

    def add(self, key: str, said: Said) -> None:
        """Keep an answer; it outlives this process when this returns. After an `OSError` nothing more is taken: a line
        may be half there, and no other must follow it.
        """
        self._write([key, *said])
        self.answers[key] = said
        if self._clock() - self._synced > SYNCED_EVERY_S:
            os.fsync(self._file.fileno())
            self._synced = self._clock()

    def _write(self, told: object) -> None:
        if self._failed is not None:
            raise self._failed
        line = orjson.dumps(told) + b"\n"
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "an answer was written by half")
        except OSError as error:
            self._failed = OSError(error.errno, error.strerror, str(self.path))
            raise self._failed from error

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
