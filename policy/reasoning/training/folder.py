"""A training run's own folder: its settings, its steps, its curve; the same folder goes on with the same settings.

RUN/settings.json       what the run was begun with: another one is refused
RUN/steps/checkpoint-N  what it goes on from, as TRL writes them
RUN/curve.jsonl         one line for each step that was logged, to be looked at as RUN/curve.html
RUN/broken-batch.json   the texts of the batch at which a loss was not finite, where that happened
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError, CheckFailedError

SETTINGS, STEPS, CURVE, BROKEN = "settings.json", "steps", "curve.jsonl", "broken-batch.json"


class RunFolder:
    """A run that is begun or goes on; raises `BadInputError` where it was begun with other settings."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        told = {name: str(value) for name, value in settings.items()}
        file = path / SETTINGS
        if file.is_file():
            before = _read(file)
            other = sorted(name for name in before.keys() | told.keys() if before.get(name) != told.get(name))
            if other:
                told_other = ", ".join(f"{name} {before.get(name)!r} -> {told.get(name)!r}" for name in other)
                raise BadInputError(f"{path}: was begun with other settings: {told_other}; take another folder")
        else:
            path.mkdir(parents=True, exist_ok=True)
            draft = path / f".{SETTINGS}"
            draft.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            draft.rename(file)

    @property
    def steps(self) -> Path:
        return self.path / STEPS

    @property
    def last_step(self) -> Path | None:
        """The latest whole checkpoint among the steps, None before the first."""
        found = [path for path in self.steps.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
        return max(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)

    def broke(self, what: str, value: float, step: int, texts: list[str]) -> CheckFailedError:
        """The error of a step whose loss is not finite; the batch is kept to be looked at."""
        (self.path / BROKEN).write_text(
            json.dumps({"step": step, what: str(value), "batch": texts}, ensure_ascii=False, indent=2) + "\n",
            encoding="utf-8",
        )
        good = self.last_step
        return CheckFailedError(
            f"{what} == {value} at step {step}, must be finite: its batch of {len(texts)} is in {self.path / BROKEN}, "
            f"the last good checkpoint is {good if good is not None else 'where the run began'}"
        )


def _read(file: Path) -> dict[str, str]:
    try:
        return {str(name): str(value) for name, value in json.loads(file.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError) as error:
        raise BadInputError(f"{file}: is not a run's settings: {error}") from error
