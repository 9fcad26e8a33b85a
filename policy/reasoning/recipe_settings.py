"""A TOML file in, what each stage of the recipe does out; and the settings of the tiny VLM."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError
from policy.reasoning.question import Budget
from policy.reasoning.training.dpo import DpoSettings
from policy.reasoning.training.settings import PARTS, ReinforceSettings
from policy.reasoning.training.sft import SftSettings


@dataclass(frozen=True, slots=True)
class Recipe:
    """What each stage does. samples: answers a row at `temperature`, among which DPO finds what the model gets wrong.

    held_out: share of the rows that nothing is learned from. answer_tokens: the most that an answer may have.
    frame_px: side of the frames that are read.
    """

    sft: SftSettings = field(default_factory=SftSettings)
    dpo: DpoSettings = field(default_factory=DpoSettings)
    rl: ReinforceSettings = field(default_factory=ReinforceSettings)
    rl_steps: int = 100
    budget: Budget = field(default_factory=Budget)
    samples: int = 4
    sampled_rows: int = 1_000
    temperature: float = 1.0
    answer_tokens: int = 512
    held_out: float = 0.15
    frame_px: int = 64
    seed: int = 0


TINY = Recipe(
    sft=SftSettings(steps=160, batch=16, learning_rate=3e-3, save_every=80),
    dpo=DpoSettings(steps=16, batch=12, learning_rate=2e-5, save_every=16),
    rl=ReinforceSettings(learning_rate=1e-4, rollout_batch=64, train_batch=32, micro_batch=32, answers=4, iterations=1),
    rl_steps=32,
    budget=Budget(frames=1, chars=200),
    samples=4,
    sampled_rows=300,
    answer_tokens=48,
)
"""For the tiny VLM on two cores: minutes."""

REFINE_TINY = replace(
    TINY,
    sft=SftSettings(steps=60, batch=16, learning_rate=1e-3, save_every=60),
    dpo=DpoSettings(steps=8, batch=12, learning_rate=2e-5, save_every=8),
    rl_steps=16,
)
"""For a night of the tiny VLM: gentler, it knows most of it."""

_TABLES = {"sft": SftSettings, "dpo": DpoSettings, "rl": ReinforceSettings, "budget": Budget}


def read_recipe(path: Path) -> Recipe:
    """A recipe from TOML: tables sft, dpo, rl and budget, the other settings beside them; what is left out is usual.

    `algorithm` in the table rl is `stable_reinforce` or `reinforce_plus_plus`. Raises `BadInputError` naming the file,
    the table and the setting.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInputError(f"{path}: {error}, must be a recipe in TOML") from error
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _TABLES:
            made[name] = value
            continue
        if not isinstance(value, dict):
            raise BadInputError(f"{path}: {name} == {value!r}, must be a table")
        made[name] = _settings(path, f"[{name}]", _TABLES[name], _with_parts(path, value) if name == "rl" else value)
    recipe: Recipe = _settings(path, "the recipe", Recipe, made)
    return recipe


def _with_parts(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(table)
    named = found.pop("algorithm", "stable_reinforce")
    if named not in PARTS:
        raise BadInputError(f"{path}: [rl] algorithm == {named!r}, must be one of {', '.join(PARTS)}")
    return {**found, "parts": PARTS[named]}


def _settings(path: Path, place: str, kind: Any, given: Mapping[str, Any]) -> Any:
    usual = kind()
    known = {one.name: getattr(usual, one.name) for one in fields(kind)}
    for name, value in given.items():
        if name not in known:
            raise BadInputError(f"{path}: {place} has {name!r}, must be one of {', '.join(known)}")
        wanted = float if isinstance(known[name], float) else type(known[name])
        allowed = (int, float) if wanted is float else (wanted,)
        if not isinstance(value, allowed) or isinstance(value, bool):
            raise BadInputError(f"{path}: {place} {name} == {value!r}, must be of type {wanted.__name__}")
    try:
        return kind(**given)
    except BadInputError as error:
        raise BadInputError(f"{path}: {place}: {error}") from error
