"""Rows in, the tables that TRL's trainers read out: conversational prompts, completions, lists of pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.errors import BadInputError
from policy.reasoning.rows import Row, chat_of, pictures_of, said_by


@dataclass(frozen=True, slots=True)
class Preferred:
    """A row with two whole texts, of which `chosen` is the better one."""

    row: Row
    chosen: str
    rejected: str


def sft_table(rows: Sequence[Row]) -> Any:
    """Columns prompt, completion, images; raises `BadInputError` for a row without a completion."""
    for row in rows:
        if not row.completion:
            raise BadInputError(f"row {row.row_id}: has no completion, must have one to be learned from")
    return _table({**_asked(row), "completion": said_by(row.completion)} for row in rows)


def dpo_table(pairs: Sequence[Preferred]) -> Any:
    """Columns prompt, chosen, rejected, images."""
    return _table(
        {**_asked(pair.row), "chosen": said_by(pair.chosen), "rejected": said_by(pair.rejected)} for pair in pairs
    )


def rl_table(rows: Sequence[Row]) -> Any:
    """Columns prompt, images, solution, task."""
    return _table({**_asked(row), "solution": row.solution, "task": row.task} for row in rows)


def _asked(row: Row) -> dict[str, Any]:
    return {"prompt": chat_of(row.messages), "images": pictures_of(row)}


def _table(records: Iterable[dict[str, Any]]) -> Any:
    from datasets import Dataset

    found = list(records)
    if not found:
        raise BadInputError("0 rows, training needs at least one")
    return Dataset.from_list(found)
