"""The process that owns the SQLite file, as watchers see it: commits, rows, and whether batches get through."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from streams.watching.progress import STALLED_AFTER_S
from streams.watching.readiness import Readiness

COMMIT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
SHARED_BUCKETS = (1, 2, 4, 8, 16, 32)


class WriterProgress:
    """Alive unless batches wait and not one was answered, for whatever reason, for a minute."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waits_since: float | None = None

    def arrived(self) -> None:
        self._waits_since = self._now() if self._waits_since is None else self._waits_since

    def answered(self) -> None:
        self._waits_since = None

    @property
    def idle_s(self) -> float:
        """Seconds for which the first of the batches has waited for an answer."""
        since = self._waits_since
        return 0.0 if since is None else self._now() - since

    @property
    def alive(self) -> bool:
        return self.idle_s < STALLED_AFTER_S


class WriterMetrics:
    """The owner's registry; it hears of each commit. Ready once it listens."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.registry = registry = CollectorRegistry()
        self.progress = WriterProgress(now)
        self.readiness = Readiness("listener")
        ProcessCollector(registry=registry)
        self._rows = Counter("precedent_writer_rows", "rows of features committed", registry=registry)
        self._failed = Counter("precedent_writer_failed_batches", "batches that could not be kept", registry=registry)
        self._seconds = Histogram(
            "precedent_writer_commit_seconds", "time of a commit", buckets=COMMIT_BUCKETS_S, registry=registry
        )
        self._shared = Histogram(
            "precedent_writer_commit_batches", "batches in a commit", buckets=SHARED_BUCKETS, registry=registry
        )

    def arrived(self) -> None:
        self.progress.arrived()

    def committed(self, batches: int, rows: int, seconds: float) -> None:
        """Note a commit that is on disk."""
        self.progress.answered()
        self._rows.inc(rows)
        self._seconds.observe(seconds)
        self._shared.observe(batches)

    def failed(self, batches: int) -> None:
        """Note batches that were refused and come again: their senders wait, with an alert of their own."""
        self.progress.answered()
        self._failed.inc(batches)
