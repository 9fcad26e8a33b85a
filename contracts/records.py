"""What every contract shares: strict, frozen pydantic records with aware times."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:\-]{0,127}$"

Id = Annotated[str, Field(pattern=_ID_PATTERN, description="1 to 128 of letters, digits and _ . : -")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Version = Annotated[int, Field(ge=1)]
Time = AwareDatetime


class Record(BaseModel):
    """A frozen record that refuses unknown fields, NaN and naive times."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")


class Event(Record):
    """A record that travels on a topic; `event_id` makes every sink idempotent."""

    event_id: Id
