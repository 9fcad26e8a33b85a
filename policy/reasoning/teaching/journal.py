"""Every answer that was paid for, a line each, on the disk before it counts: what was answered is not asked again.

JOURNAL is appended to and never rewritten. A process that is killed while it writes leaves at most one line without its
end: that line is cut off when the journal is opened again, and its request is the only one that is asked twice.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Annotated, Self

from pydantic import Field

from contracts.errors import BadInputError
from contracts.lines import read_lines
from contracts.reasoning import MOST_CHARS
from contracts.records import Count, Digest, Id, Record
from policy.kept import cut_half_line
from policy.reasoning.question import Messages
from policy.reasoning.teaching.prompts import Stage


class Answer(Record):
    """What came back for one request of one case: its text, or by which rule it cannot be used; tokens as counted."""

    key: Digest
    case_id: Id
    stage: Stage
    attempt: Annotated[int, Field(strict=True, ge=1)]
    text: Annotated[str, Field(max_length=MOST_CHARS)] = ""
    unusable: str | None = None
    prompt_tokens: Count = 0
    completion_tokens: Count = 0


def key_of(
    case_id: str, stage: str, attempt: int, model: str, messages: Messages, *, temperature: float, most_tokens: int
) -> str:
    """`sha256:` of a request's content and its place: equal requests of two cases, or two tries, are two requests."""
    request = [case_id, stage, attempt, model, temperature, most_tokens, messages]
    return f"sha256:{hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()}"


class Journal:
    """The answers of a run, by request; may be shared by threads, not by processes."""

    def __init__(self, path: Path, *, warn: Callable[[str], None] = lambda _: None) -> None:
        """Open the journal, or begin it; raises `BadInputError` by line where it is damaged before its end."""
        if (cut := cut_half_line(path)) > 0:
            warn(f"{path}: the last line was half written, {cut} bytes of it were cut off")
        self._answers: dict[str, Answer] = {}
        self._places: dict[tuple[str, str, int], Answer] = {}
        for answer in read_lines(path, Answer) if path.exists() else ():
            if answer.key in self._answers:
                raise BadInputError(f"{path}: key == {answer.key!r} stands twice, a request is answered once")
            self._note(answer)
        begins = not path.exists()
        self._lines = path.open("ab")
        self._lock = Lock()
        self._failed: OSError | None = None
        if begins:
            _sync_folder(path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def find(self, key: str) -> Answer | None:
        """The answer to a request that was asked before."""
        return self._answers.get(key)

    def find_at(self, case_id: str, stage: str, attempt: int) -> Answer | None:
        """The last answer of a case at one of its tries, whatever was shown of it."""
        return self._places.get((case_id, stage, attempt))

    def add(self, answer: Answer) -> None:
        """Keep an answer; it is on the disk when this returns. After an `OSError` nothing more is taken: a line may be
        half there, and no other must follow it.
        """
        line = answer.model_dump_json().encode() + b"\n"
        with self._lock:
            if self._failed is not None:
                raise self._failed
            try:
                self._lines.write(line)
                self._lines.flush()
                os.fsync(self._lines.fileno())
            except OSError as error:
                self._failed = error
                raise
            self._note(answer)

    def _note(self, answer: Answer) -> None:
        self._answers[answer.key] = answer
        self._places[answer.case_id, answer.stage, answer.attempt] = answer

    @property
    def answers(self) -> Sequence[Answer]:
        with self._lock:
            return tuple(self._answers.values())


def _sync_folder(folder: Path) -> None:
    """Have a new file's name on the disk too."""
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
