"""Committed offsets and lag in, whether a part still gets on with its work out."""

import time
from collections.abc import Callable, Mapping

STALLED_AFTER_S = 60.0


class Progress:
    """Liveness by commits: alive while they advance, while nothing is left to do, or while a part is awaited."""

    def __init__(self, *, stalled_after_s: float = STALLED_AFTER_S, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._stalled_after_s = stalled_after_s
        self._committed: dict[int, int] = {}
        self._advanced_at = now()

    def see(self, committed: Mapping[int, int], lag: int, *, waiting: bool) -> None:
        """Note the committed offsets, and how many events are behind them."""
        if lag == 0 or waiting or dict(committed) != self._committed:
            self._advanced_at = self._now()
        self._committed = dict(committed)

    @property
    def idle_s(self) -> float:
        """Seconds for which there was work, nobody to wait for, and no commit."""
        return self._now() - self._advanced_at

    @property
    def alive(self) -> bool:
        return self.idle_s < self._stalled_after_s
