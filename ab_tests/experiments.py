"""A TOML or JSON file in, experiments out: sound alone and beside each other, or refused with the fault's place."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contracts.errors import BadInputError
from contracts.experiments import Experiment, Experiments


def read_experiments(path: Path) -> Experiments:
    """The experiments declared in a TOML file, or the one or more of a .json, as the simulated platform writes.

    Raises `BadInputError` naming file, experiment, field and rule.
    """
    form = "JSON" if path.suffix == ".json" else "TOML"
    try:
        text = path.read_text(encoding="utf-8")
        declared = json.loads(text) if form == "JSON" else tomllib.loads(text)
    except FileNotFoundError:
        raise BadInputError(f"{path}: is not a file") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        raise BadInputError(f"{path}: is not {form}: {error}") from error
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error
    if isinstance(declared, dict) and "experiment_id" in declared:
        declared = {"experiments": [declared]}
    try:
        return Experiments.model_validate(declared)
    except ValidationError as error:
        raise BadInputError(f"{path}: {_reason(error, declared)}") from error


def find(experiments: Experiments, experiment_id: str, *, place: str) -> Experiment:
    """The experiment of that id; `place` says in the error where it was looked for."""
    for experiment in experiments.experiments:
        if experiment.experiment_id == experiment_id:
            return experiment
    known = ", ".join(experiment.experiment_id for experiment in experiments.experiments) or "none"
    raise BadInputError(f"experiment == {experiment_id!r}, must be one of {known} ({place})")


def _reason(error: ValidationError, declared: dict[str, Any]) -> str:
    """One line for the first fault: the experiment by its id, the field, what was given, which rule it breaks."""
    first = error.errors(include_url=False)[0]
    where = list(first["loc"])
    named = ""
    if where[:1] == ["experiments"] and len(where) > 1 and isinstance(where[1], int):
        named = f"experiment {_id_of(declared, where[1])}: "
        where = where[2:]
    field = _dotted(where)
    rule = first["msg"].removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "value_error" and not field:
        return f"{named}{rule}{more}"
    if first["type"] in {"missing", "value_error"}:
        return f"{named}{field}: {rule}{more}"
    given = repr(first["input"])
    return f"{named}{field} == {given if len(given) <= 80 else f'{given[:77]}...'}: {rule}{more}"


def _id_of(declared: dict[str, Any], place: int) -> str:
    entry = declared["experiments"][place] if isinstance(declared["experiments"], list) else None
    name = entry.get("experiment_id") if isinstance(entry, dict) else None
    return repr(name) if isinstance(name, str) else f"number {place + 1}"


def _dotted(where: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")
