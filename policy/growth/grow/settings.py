"""How a taxonomy grows: how far, until when, and what counts as there already."""

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum

from contracts.errors import BadInputError
from contracts.growth import MOST_LEVELS
from policy.growth.grow.prompts import SYSTEM
from policy.growth.parts import plan_digest

VISUAL_TASKS = "visual tasks: kinds of questions that a picture can be asked about"
VIOLATIONS = "kinds of short videos that break a platform's rules"


class Scope(StrEnum):
    """Where no two types may be spelled alike."""

    SIBLINGS = "siblings"
    ANYWHERE = "anywhere"


@dataclass(frozen=True, slots=True)
class GrowthSettings:
    """How a taxonomy grows.

    model: who proposes, as the types' provenance names it. subject: what the types are, for the prompt.
    levels: of the deepest types. rounds: at most, of a level. least_new: a level ends with the round that adds less
    than this share of the types that were on the next level. target: growing ends with the round that reaches so many
    leaves. tries: of an answer without a single name. most_lines: read of an answer. shown: names at most of what is
    there, of the children and of the siblings. near: the cosine from which on two types of one root mean the same.
    spelled: where types are spelled apart.
    """

    model: str = "default"
    subject: str = VISUAL_TASKS
    levels: int = 4
    rounds: int = 3
    least_new: float = 0.05
    target: int | None = None
    part: int = 500
    tries: int = 2
    most_lines: int = 30
    shown: int = 100
    near: float = 0.9
    spelled: Scope = Scope.ANYWHERE

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("levels", self.levels, 2, MOST_LEVELS),
            ("rounds", self.rounds, 1, 1_000),
            ("least_new", self.least_new, 0.0, 1.0),
            ("target", 1 if self.target is None else self.target, 1, 10_000_000),
            ("part", self.part, 1, 1_000_000),
            ("tries", self.tries, 1, 20),
            ("most_lines", self.most_lines, 1, 1_000),
            ("shown", self.shown, 0, 10_000),
            ("near", self.near, 0.0, 1.0),
        ):
            if not low <= value <= high:
                raise BadInputError(f"{name} == {value:g}, must be in [{low:g}, {high:g}] (growing)")
        if len(self.model) > 200:
            raise BadInputError(f"model has {len(self.model)} characters, must have at most 200 (growing)")

    def plan(self, encoder: str, closed: Collection[str]) -> str:
        """The digest of all that what a round adds hangs on; how far growing goes may change in a run."""
        free = {"levels", "target"}
        told = {name: value for name, value in asdict(self).items() if name not in free}
        prompt = hashlib.sha256(SYSTEM.encode()).hexdigest()
        return plan_digest("grow", {**told, "encoder": encoder, "closed": sorted(closed), "prompt": prompt})
