"""A dead letter: an event that was refused, why, where it lay, and its own bytes."""

import base64
import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field

from contracts.records import Count, Record, Time

MAX_KEPT_BYTES = 500_000
"""Longer events are kept up to here, with the digest of the whole: a letter must itself fit a topic (1 MB)."""


class DeadReason(StrEnum):
    """Why an event was refused: the code to count and route by; the letter's `text` says it in words."""

    EMPTY = "empty"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_JSON = "invalid_json"
    CONTRACT = "contract"
    CLOCK = "clock"
    MEDIA = "media"
    REFUSED = "refused"
    UNEXPECTED = "unexpected"


class DeadLetter(Record):
    """A refused event with its reason; `place` is the field, or the media error's code, that broke the rule."""

    reason: DeadReason
    place: str
    text: str
    topic: str
    partition: Count
    offset: Count
    sent_at: Time | None
    refused_at: Time
    key_base64: str | None
    raw_base64: str
    raw_bytes: Count
    raw_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @classmethod
    def bury(
        cls,
        raw: bytes,
        *,
        reason: DeadReason,
        place: str,
        text: str,
        key: bytes | None,
        topic: str,
        partition: int,
        offset: int,
        sent_at: datetime | None,
        refused_at: datetime,
    ) -> Self:
        return cls(
            reason=reason,
            place=place[:200],
            text=text[:2_000],
            topic=topic,
            partition=partition,
            offset=offset,
            sent_at=sent_at,
            refused_at=refused_at,
            key_base64=None if key is None else base64.b64encode(key[:1_000]).decode(),
            raw_base64=base64.b64encode(raw[:MAX_KEPT_BYTES]).decode(),
            raw_bytes=len(raw),
            raw_sha256=hashlib.sha256(raw).hexdigest(),
        )

    @property
    def raw(self) -> bytes:
        """The event's bytes, as far as they were kept."""
        return base64.b64decode(self.raw_base64)
