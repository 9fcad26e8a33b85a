"""What every member of a consumer group shows: batches, refusals, lag, commits, rebalances, its process.

The same names in each part, told apart by the `job` that scrapes them: a rule about lag holds for all of them.
"""

from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from streams.watching.progress import Progress
from streams.watching.readiness import Readiness

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 10_000)


class ConsumingMetrics:
    """A consumer's metrics in a registry of its own; `needs` are what it must have before it is ready."""

    def __init__(self, *needs: str) -> None:
        self.registry = registry = CollectorRegistry()
        self.progress = Progress()
        self.readiness = Readiness("partitions", *needs)
        ProcessCollector(registry=registry)
        self._events = Counter("precedent_events", "events by outcome", ["outcome"], registry=registry)
        self._dead = Counter("precedent_dead_letters", "events refused", ["reason"], registry=registry)
        self._batch = Histogram("precedent_batch_events", "events in a batch", buckets=BATCH_BUCKETS, registry=registry)
        self._under_way = Gauge("precedent_batches_in_flight", "batches not acknowledged yet", registry=registry)
        self._waiting = Gauge(
            "precedent_waiting_seconds", "how long a part has been waited for", ["part"], registry=registry
        )
        self._lag = Gauge("precedent_lag_events", "events not yet committed", ["partition"], registry=registry)
        self._rebalances = Counter("precedent_rebalances", "changes of the group's generation", registry=registry)
        Gauge("precedent_commit_idle_seconds", "work and no commit for so long", registry=registry).set_function(
            lambda: self.progress.idle_s
        )
        self._waited_for: dict[str, float] = {}
        self._held: set[int] = set()
        self._generation: int | None = None

    def waiting(self, part: str, seconds: float) -> None:
        """Show for how long a part has been waited for; 0 when it is there."""
        self._waited_for[part] = seconds
        self._waiting.labels(part).set(seconds)
        self.readiness.waiting(part, seconds)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a batch as under way while the block runs."""
        self._under_way.inc()
        try:
            yield
        finally:
            self._under_way.dec()

    def count_batch(self, events: int, *, repeated: int = 0, stale: int = 0) -> None:
        """Count a batch, the events that were in it twice, and those that were let go."""
        self._batch.observe(events)
        for outcome, count in (("repeated", repeated), ("stale", stale)):
            if count:
                self._events.labels(outcome).inc(count)

    def count_dead(self, reasons: Sequence[str]) -> None:
        """Count refused events by their reasons."""
        if reasons:
            self._events.labels("dead").inc(len(reasons))
            for reason, count in Tally(reasons).items():
                self._dead.labels(reason).inc(count)

    def see_offsets(self, committed: Mapping[int, int], lag: Mapping[int, int]) -> None:
        """Note committed offset and lag of each partition that this member holds."""
        for partition in self._held - lag.keys():
            self._lag.labels(str(partition)).set(0)  # another member's now
        for partition, events in lag.items():
            self._lag.labels(str(partition)).set(events)
        self._held = set(lag)
        self.readiness.has("partitions", there=bool(lag))
        waiting = any(seconds > 0 for seconds in self._waited_for.values())
        self.progress.see(committed, sum(lag.values()), waiting=waiting)

    def see_generation(self, generation: int) -> None:
        """Note the group's generation; another one than before is a rebalance."""
        if self._generation is not None and generation != self._generation:
            self._rebalances.inc()
        self._generation = generation
