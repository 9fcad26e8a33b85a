"""What every contract shares: frozen pydantic records, closed to unknown fields, with aware times and whole counts."""

import re
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:\-]{0,127}$"

Id = Annotated[str, Field(pattern=_ID_PATTERN, description="1 to 128 of letters, digits and _ . : -")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Version = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
"""Of a release or casebook; the warehouse keeps it in 32 bits."""
Time = Annotated[AwareDatetime, Field(strict=True)]
"""Strict, as its JSON Schema says: a number would be guessed to be seconds or milliseconds, by its size."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
LeafId = Annotated[str, Field(pattern=rf"^$|{_ID_PATTERN}", description="an accepted leaf's node id, empty for none")]
"""A value like any other: a leaf that is accepted later changes no schema."""


def has_no_leaf(leaf: str) -> bool:
    """Whether to leave a leaf out of a record's JSON: one without stays, byte for byte, what older readers know."""
    return not leaf


class Record(BaseModel):
    """A frozen record that refuses unknown fields, NaN and naive times."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")


class Event(Record):
    """A record that travels on a topic; `event_id` makes every sink idempotent."""

    event_id: Id


def is_id(text: str) -> bool:
    """Whether a text could be an `Id` of any record."""
    return re.fullmatch(_ID_PATTERN, text) is not None
