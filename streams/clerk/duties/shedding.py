"""How far the workers are behind in, how many videos may be sent to be scored once more out: first scores go first.

Versions that are to be scored again travel among new uploads, and a worker takes them in the order in which they came.
So they are held back at their source: while the workers are far behind none is sent, and what waits stays written down.
Held back for too long, a trickle goes all the same, so that nothing waits for good.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from contracts.errors import BadInputError

log = logging.getLogger(__name__)
MARK = "shedding"


@dataclass(frozen=True, slots=True)
class SheddingSettings:
    """When re-scores wait, and how they come back.

    lag_events: uploads not scored yet beyond which they wait; they go again when it has fallen to half of that. 2,000
    are two seconds of a worker that scores 1,000 a second.
    share: of the room that is left below `lag_events`, so much may be filled by one round of re-scores.
    patience, trickle: after so long of waiting, so many go in each round however far behind the workers are.
    """

    lag_events: int = 2_000
    share: float = 0.25
    patience: timedelta = timedelta(minutes=15)
    trickle: int = 10

    def __post_init__(self) -> None:
        if not (self.lag_events > 1 and 0.0 < self.share <= 1.0 and self.patience >= timedelta(0) and self.trickle > 0):
            raise BadInputError(
                f"{self}: lag_events must be over 1, share in (0, 1], patience 0 or more, trickle over 0"
            )


class Allowed(NamedTuple):
    """How many may be sent in this round, and since when re-scores wait; None where they do not."""

    events: int
    waiting_since: datetime | None


def allow(
    lag: int, waiting_since: datetime | None, now: datetime, settings: SheddingSettings = SheddingSettings()
) -> Allowed:
    """Decide about one round, from the lag in events and what the round before decided."""
    limit = settings.lag_events if waiting_since is None else settings.lag_events // 2
    if lag <= limit:
        return Allowed(max(1, int(settings.share * (settings.lag_events - lag))), None)
    since = waiting_since or now
    return Allowed(settings.trickle if now - since >= settings.patience else 0, since)


class Marks(Protocol):
    """Where it is written down since when re-scores wait."""

    def mark(self, duty: str) -> str: ...
    def advance(self, duty: str, mark: str) -> None: ...


class SheddingGauges(Protocol):
    """Shows how far behind the workers are, and how many re-scores of a duty wait."""

    def see_lag(self, events: int) -> None: ...
    def deferred(self, duty: str, waiting: int) -> None: ...


class Shedding:
    """Asks for the lag once a round and lets re-scores through; each duty has a share of its own."""

    def __init__(
        self,
        lag: Callable[[], int],
        marks: Marks,
        gauges: SheddingGauges,
        settings: SheddingSettings = SheddingSettings(),
    ) -> None:
        self._lag = lag
        self._marks = marks
        self._gauges = gauges
        self._settings = settings

    def allowed(self, duty: str, now: datetime) -> int:
        """How many a duty may send now; raises `DependencyError` while the lag is not to be had."""
        name = f"{MARK} {duty}"
        mark = self._marks.mark(name)
        lag = self._lag()
        self._gauges.see_lag(lag)
        allowed = allow(lag, datetime.fromisoformat(mark) if mark else None, now, self._settings)
        after = allowed.waiting_since.isoformat() if allowed.waiting_since else ""
        if after != mark:
            self._marks.advance(name, after)
            what = "waits: first scores go first" if after else "goes on"
            log.warning("%s %s, %d uploads are not scored yet", duty, what, lag)
        return allowed.events

    def left(self, duty: str, waiting: int) -> None:
        """Note how many a round left for later."""
        self._gauges.deferred(duty, waiting)


class Gate(Protocol):
    """How many re-scores a duty may send now, and where it says how many it left."""

    def allowed(self, duty: str, now: datetime) -> int: ...
    def left(self, duty: str, waiting: int) -> None: ...


class Unlimited:
    """Lets everything through: for duties that share the workers with nobody."""

    def allowed(self, duty: str, now: datetime) -> int:
        del duty, now
        return 1 << 30

    def left(self, duty: str, waiting: int) -> None:
        """Note nothing."""


UNLIMITED = Unlimited()
