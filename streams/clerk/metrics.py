"""What the clerk did, duty by duty, as Prometheus metrics; and whether each duty still gets done."""

import time
from collections.abc import Callable, Mapping
from functools import partial

from prometheus_client import Counter, Gauge

from streams.watching.consuming import ConsumingMetrics

LATE_AFTER_PERIODS = 10.0
LATE_AFTER_AT_LEAST_S = 60.0


class DutyProgress:
    """Liveness by duties: alive while each is done in its time, or waits for a part; `every_s` are their periods."""

    def __init__(self, every_s: Mapping[str, float], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._every_s = dict(every_s)
        self._done_at = dict.fromkeys(every_s, clock())
        self._waiting: set[str] = set()

    def done(self, duty: str) -> None:
        self._done_at[duty] = self._clock()

    def waiting(self, duty: str, seconds: float) -> None:
        (self._waiting.add if seconds else self._waiting.discard)(duty)

    def since(self, duty: str) -> float:
        """Seconds since a duty was done last, or since the clerk began."""
        return self._clock() - self._done_at[duty]

    @property
    def idle_s(self) -> float:
        """By how much the latest duty is late; what waits for another part is not late."""
        late = (
            self.since(duty) - max(LATE_AFTER_PERIODS * every_s, LATE_AFTER_AT_LEAST_S)
            for duty, every_s in self._every_s.items()
            if duty not in self._waiting
        )
        return max(0.0, max(late, default=0.0))

    @property
    def alive(self) -> bool:
        return self.idle_s == 0.0


class ClerkMetrics:
    """The clerk's registry; `every_s` is the period of each duty."""

    def __init__(self, every_s: Mapping[str, float], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.consuming = ConsumingMetrics()  # of appeals
        self.registry = registry = self.consuming.registry
        self.readiness = self.consuming.readiness
        self.progress = DutyProgress(every_s, clock)
        self._opened = Counter("precedent_clerk_cases_opened", "cases put on the docket", ["reason"], registry=registry)
        self._done = Counter("precedent_clerk_done", "what a duty did", ["duty"], registry=registry)
        self._unseen = Counter(
            "precedent_clerk_cases_without_frames", "cases whose media could not be decoded again", registry=registry
        )
        self._appeals = Counter("precedent_clerk_appeals", "appeals heard or refused", ["outcome"], registry=registry)
        self._cases = Gauge("precedent_clerk_cases_waiting", "cases nobody has ruled on", registry=registry)
        self._oldest = Gauge("precedent_clerk_oldest_waiting_seconds", "how long the oldest waits", registry=registry)
        self._outbox = Gauge("precedent_clerk_outbox_events", "events not delivered yet", registry=registry)
        self._deferred = Gauge(
            "precedent_clerk_deferred_rescores", "wait until the workers caught up", ["duty"], registry=registry
        )
        self._behind = Gauge("precedent_clerk_uploads_behind", "uploads that no worker scored yet", registry=registry)
        since = Gauge("precedent_clerk_since_success_seconds", "since a duty was done", ["duty"], registry=registry)
        for duty in every_s:
            since.labels(duty).set_function(partial(self.progress.since, duty))

    def waiting(self, part: str, seconds: float) -> None:
        """Show for how long a duty, or another part, has been waited for; 0 when it is there."""
        self.progress.waiting(part, seconds)
        self.consuming.waiting(part, seconds)

    def done(self, duty: str, count: int) -> None:
        """Note that a duty was done, and how much of it there was to do."""
        self.progress.done(duty)
        self._done.labels(duty).inc(count)

    def opened(self, reasons: Mapping[str, int], *, without_frames: int) -> None:
        for reason, count in reasons.items():
            self._opened.labels(reason).inc(count)
        self._unseen.inc(without_frames)

    def appealed(self, *, heard: int, refused: int) -> None:
        self._appeals.labels("heard").inc(heard)
        self._appeals.labels("refused").inc(refused)

    def see_lag(self, events: int) -> None:
        """Show how far behind the workers are."""
        self._behind.set(events)

    def deferred(self, duty: str, waiting: int) -> None:
        """Show how many videos a duty would have scored again, and leaves for later."""
        self._deferred.labels(duty).set(waiting)

    def see_docket(self, *, waiting: int, oldest_s: float, outbox: int) -> None:
        self._cases.set(waiting)
        self._oldest.set(oldest_s)
        self._outbox.set(outbox)
