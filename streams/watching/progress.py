"""Committed offsets and lag in, whether a part still gets on with its work out."""

import time
from collections.abc import Callable, Mapping

STALLED_AFTER_S = 60.0


class Progress:
    """Liveness by commits: alive while they advance, while nothing is left to do, or while a part is awaited.

    Before the first look there is nothing to commit: a part that waits for a release to be published, or for its
    broker, is not stalled.
    """

    def __init__(self, *, stalled_after_s: float = STALLED_AFTER_S, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._stalled_after_s = stalled_after_s
        self._committed: dict[int, int] = {}
        self._advanced_at: float | None = None

    def see(self, committed: Mapping[int, int], lag: int, *, waiting: bool) -> None:
        """Note the committed offsets, and how many events are behind them."""
        if self._advanced_at is None or lag == 0 or waiting or dict(committed) != self._committed:
            self._advanced_at = self._now()
        self._committed = dict(committed)

    @property
    def idle_s(self) -> float:
        """Seconds for which there was work, nobody to wait for, and no commit."""
        return 0.0 if self._advanced_at is None else self._now() - self._advanced_at

    @property
    def alive(self) -> bool:
        return self.idle_s < self._stalled_after_s
