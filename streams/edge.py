"""Raw records of a topic in; events that keep its contract out, and a dead letter for each that does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from pydantic import ValidationError

from contracts.dead_letters import DeadLetter, DeadReason
from contracts.errors import first_reason, place_of
from contracts.records import Event
from contracts.topics import Topic

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far ahead of this machine's clock a sender's may be."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

R_ = TypeVar("R_", bound="RawEvent")


class RawEvent(Protocol):
    """What a topic holds; `timestamp` is when it was sent, in seconds since 1970."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> float: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Read(Generic[R_]):
    """What the edge let in, each record with the event that it is, and what it refused."""

    accepted: list[tuple[R_, Event]]
    dead: list[DeadLetter]


def read(batch: Sequence[R_], topic: Topic, now: datetime) -> Read[R_]:
    """Validate records of one topic, against its contract and the clock."""
    validate = topic.event.__pydantic_validator__.validate_json
    happened = attrgetter(topic.time)
    latest = now + CLOCK_TOLERANCE
    accepted: list[tuple[R_, Event]] = []
    dead: list[DeadLetter] = []
    for raw in batch:
        if not raw.value:
            dead.append(bury(raw, DeadReason.EMPTY, "value", "the event has no bytes", now))
            continue
        try:
            event: Event = validate(raw.value)
        except ValidationError as error:
            dead.append(bury(raw, *_contract_reason(raw.value, error), now))
            continue
        if EARLIEST <= happened(event) <= latest:
            accepted.append((raw, event))
        else:
            text = (
                f"{topic.time} == {happened(event).isoformat()}, must be from {EARLIEST.date()} to"
                f" {CLOCK_TOLERANCE.total_seconds():.0f} s after this clock's {now.isoformat()}"
            )
            dead.append(bury(raw, DeadReason.CLOCK, topic.time, text, now))
    return Read(accepted, dead)


def bury(raw: RawEvent, reason: DeadReason, place: str, text: str, now: datetime) -> DeadLetter:
    """Make the letter of a record that was refused `now`."""
    return DeadLetter.bury(
        raw.value or b"",
        reason=reason,
        place=place,
        text=text,
        key=raw.key,
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        sent_at=_time_sent(raw.timestamp),
        refused_at=now,
    )


def _contract_reason(raw: bytes, error: ValidationError) -> tuple[DeadReason, str, str]:
    """Reason, place and words for what the contract refuses."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] != "json_invalid":
        return DeadReason.CONTRACT, place_of(first["loc"]), first_reason(error)
    try:
        raw.decode()
    except UnicodeDecodeError as undecodable:
        return DeadReason.INVALID_UTF8, f"byte {undecodable.start}", str(undecodable)
    return DeadReason.INVALID_JSON, "value", first["msg"]


def _time_sent(timestamp_s: float | None) -> datetime | None:
    """The record's own time; None where it has none or one outside the calendar."""
    try:
        return datetime.fromtimestamp(timestamp_s, UTC) if timestamp_s and timestamp_s > 0 else None
    except (OverflowError, OSError, ValueError):
        return None
