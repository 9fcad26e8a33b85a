"""Answers that were paid for, on disk as they come, so that a run that was ended goes on from where it was.

The file's first line says by which settings it was begun; each further line is one answer and its key. Of a line that
was cut off when the run ended nothing is kept.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

import orjson
from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.records import Record
from policy.reasoning.asking import each_answer

R = TypeVar("R", bound=Record)
Q = TypeVar("Q")
Settings = Mapping[str, str | int | None]


def beside(predictions: Path) -> Path:
    """Where the answers are kept that a file of predictions is made of: PREDICTIONS.answers."""
    return predictions.with_name(f"{predictions.name}.answers")


class Journal(Generic[R]):
    """Answers by key, kept at `path`; open it as a context.

    Raises `BadInputError` where the file was begun by other settings, or holds something else.
    """

    def __init__(self, path: Path, contract: type[R], settings: Settings) -> None:
        self.kept: dict[str, R] = {}
        self._path = path
        self._head = dict(settings)
        size = self._read(contract) if path.exists() else 0
        self._lines = path.open("ab")
        self._lines.truncate(size)
        if size == 0:
            self._write(self._head)

    def note(self, key: str, answer: R) -> None:
        """Keep an answer: it is in the file when this returns."""
        self.kept[key] = answer
        self._write({"key": key, "answer": answer.model_dump(mode="json")})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()

    def _read(self, contract: type[R]) -> int:
        """Take in the whole lines of the file; how many bytes they are."""
        raw = self._path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                fields = orjson.loads(line)
                if number == 1:
                    self._require_same(fields)
                else:
                    self.kept[str(fields["key"])] = contract.model_validate(fields["answer"], strict=False)
            except (orjson.JSONDecodeError, ValidationError, KeyError, TypeError) as error:
                reason = first_reason(error) if isinstance(error, ValueError) else "must be an answer and its key"
                raise BadInputError(f"{self._path}:{number}: {reason}") from error
        return len(whole)

    def _require_same(self, head: object) -> None:
        if not isinstance(head, dict):
            raise BadInputError(f"{self._path}:1: must say by which settings the answers were asked for")
        for name in [*self._head, *sorted(head.keys() - self._head.keys())]:
            if (was := head.get(name)) != (now := self._head.get(name)):
                raise BadInputError(
                    f"{self._path}: was begun with {name} == {was!r}, now {name} == {now!r}: answers to different "
                    "questions are not mixed, take another file or delete this one"
                )

    def _write(self, fields: Mapping[str, object]) -> None:
        self._lines.write(orjson.dumps(fields) + b"\n")
        self._lines.flush()


def answer_all(
    questions: Mapping[str, Q],
    ask: Callable[[Q], R],
    *,
    parallel: int,
    kept: Journal[R] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, R]:
    """The answer to each question by its key, those already kept not asked again and the others kept as they come.

    Raises what `ask` raises: what was answered by then is kept.
    """
    before = {} if kept is None else kept.kept
    answers = {key: before[key] for key in questions if key in before}
    advance(len(answers))
    left = [key for key in questions if key not in answers]
    for position, answer in each_answer(lambda key: ask(questions[key]), left, parallel=parallel):
        if kept is not None:
            kept.note(left[position], answer)
        answers[left[position]] = answer
        advance(1)
    return answers
