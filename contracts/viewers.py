"""What viewers do: impressions, reports, sessions, and exposures to an experiment."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.records import Count, Event, Id, Probability, Time, Version
from contracts.taxonomy import Category

LONGEST_VISIT = timedelta(days=1)
"""Of watching one video (86,400,000 ms) and of a session: one absurd clock would outweigh an arm's usage time."""


class Surface(StrEnum):
    RECOMMEND = "recommend"
    FOLLOWING = "following"
    SEARCH = "search"


class Impression(Event):
    """A video was shown to a user; `watch_ms` is how long they stayed."""

    user_id: Id
    video_id: Id
    session_id: Id
    shown_at: Time
    surface: Surface
    watch_ms: Annotated[int, Field(ge=0, le=86_400_000)]
    release_version: Version | None = None
    toxicity: Probability | None = None


class UserReport(Event):
    """A user says that a video breaks a rule, and perhaps which."""

    video_id: Id
    reporter_id: Id
    reported_at: Time
    surface: Surface
    category: Category | None = None


class UserSession(Event):
    """One visit of a user, from opening the app to leaving it."""

    user_id: Id
    session_id: Id
    started_at: Time
    ended_at: Time
    impressions: Count

    @model_validator(mode="after")
    def _ends_within_a_day(self) -> Self:
        if self.ended_at < self.started_at:
            msg = f"ended_at == {self.ended_at}, must not be before started_at == {self.started_at}"
            raise ValueError(msg)
        if self.ended_at - self.started_at > LONGEST_VISIT:
            msg = f"ended_at == {self.ended_at}, must be within 24 hours of started_at == {self.started_at}"
            raise ValueError(msg)
        return self


class ExperimentExposure(Event):
    """A user met an experiment's arm where it took effect."""

    user_id: Id
    experiment_id: Id
    variant: Id
    exposed_at: Time
    surface: Surface

    @classmethod
    def once_a_day(
        cls, *, user_id: str, experiment_id: str, variant: str, exposed_at: datetime, surface: Surface
    ) -> Self:
        """The exposure whose id says experiment, arm, user and day (UTC), so that a day's repeats are one event."""
        return cls(
            event_id=exposure_id(experiment_id, variant, user_id, exposed_at.astimezone(UTC).date()),
            user_id=user_id,
            experiment_id=experiment_id,
            variant=variant,
            exposed_at=exposed_at,
            surface=surface,
        )


def exposure_id(experiment_id: str, variant: str, user_id: str, day: date) -> str:
    """The event id of a user's exposure to an arm on a day: no part of it may hold a slash, so no two share one.

    The arm is part of it: a user who met two arms on one day must not look like one who met one.
    """
    digest = hashlib.blake2b(f"{experiment_id}/{variant}/{user_id}/{day.isoformat()}".encode(), digest_size=16)
    return f"exposure-{digest.hexdigest()}"
