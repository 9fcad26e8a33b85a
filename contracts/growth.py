"""A grown taxonomy: types below fixed roots, where each came from, and ids that outlive their names.

The levels of a type are joined by `~`, as TaskGalaxy writes them (arXiv 2502.09925, section 3.1).
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.records import Count, Id, Record

SEPARATOR = "~"
MOST_LEVELS = 8
MOST_CHARS = 120
"""Of one level's name."""

Name = Annotated[str, Field(min_length=1, max_length=MOST_CHARS, pattern=r"^[^~\x00-\x1f\x7f]+$")]


class Origin(StrEnum):
    """Who put a type there."""

    SEED = "seed"
    GROWN = "grown"
    ACCEPTED = "accepted"


class TypeNode(Record):
    """One type: its names from the root down, and where it came from.

    node_id: of its path when it was made; it stays when the type is renamed or moved. round: of growing, 0 for a seed.
    proposed_by: the model, or empty. evidence: ids of the cases that made it needed, where cases did.
    """

    node_id: Id
    path: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MOST_LEVELS)]
    origin: Origin
    round: Count = 0
    proposed_by: Annotated[str, Field(max_length=200)] = ""
    evidence: tuple[Id, ...] = ()

    @model_validator(mode="after")
    def _names_are_trimmed(self) -> Self:
        if odd := [name for name in self.path if name != " ".join(name.split())]:
            raise ValueError(f"path has {odd[0]!r}, must be single-spaced and trimmed (type {self.node_id})")
        return self

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def label(self) -> str:
        """The whole path, as it is written: `root~child~leaf`."""
        return SEPARATOR.join(self.path)


def node_id_of(path: Sequence[str]) -> str:
    """The id of a type that is made at this path: equal spellings (`spelling_of`) give equal ids."""
    told = SEPARATOR.join(spelling_of(name) for name in path)
    return f"t-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def spelling_of(name: str) -> str:
    """How names compare: NFKC, no case, letters and digits alone, single spaces; Chinese as it is."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in plain).split())
