"""Requests in, each let through when its turn comes: a token bucket of requests a minute, shared by threads."""

import time
from collections.abc import Callable
from threading import Lock

from contracts.errors import BadInputError


class Pace:
    """At most `per_minute` requests a minute on average, `burst` of them at once after a rest; None: as they come.

    A request takes its turn when it asks for it and then sleeps until it: threads never wake for the same turn.
    """

    def __init__(
        self,
        per_minute: float | None,
        *,
        burst: int = 1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if per_minute is not None and not 0.0 < per_minute < float("inf"):
            raise BadInputError(f"per_minute == {per_minute:g}, must be over 0 requests a minute")
        if burst < 1:
            raise BadInputError(f"burst == {burst}, must be at least 1 request")
        self._per_s = None if per_minute is None else per_minute / 60.0
        self._burst = float(burst)
        self._clock = clock
        self._sleep = sleep
        self._left = self._burst
        self._at = clock()
        self._lock = Lock()

    def wait(self) -> float:
        """Sleep until this request's turn; the seconds slept."""
        if self._per_s is None:
            return 0.0
        with self._lock:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._at) * self._per_s) - 1.0
            self._at = now
            pause = max(0.0, -self._left / self._per_s)
        if pause > 0.0:
            self._sleep(pause)
        return pause
