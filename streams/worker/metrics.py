"""What a worker did, batch by batch, as Prometheus metrics; and whether its commits still make progress."""

from collections.abc import Mapping, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contracts.releases import Pin
from contracts.verdicts import Verdict
from streams.watching.histogram import BatchHistogram
from streams.watching.progress import Progress

LATENCY_BUCKETS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 60.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class WorkerMetrics:
    """A worker's metrics in a registry of its own; times in seconds."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.progress = Progress()
        self._events = Counter("precedent_events", "events by outcome", ["outcome"], registry=registry)
        self._dead = Counter("precedent_dead_letters", "events refused", ["reason"], registry=registry)
        self._batch = Histogram("precedent_batch_events", "events in a batch", buckets=BATCH_BUCKETS, registry=registry)
        self._stage = Counter(
            "precedent_stage_seconds", "time spent in a stage, waiting included", ["stage"], registry=registry
        )
        self._latency = BatchHistogram(
            "precedent_feature_latency_seconds",
            "from the upload's occurred_at to its features being written",
            LATENCY_BUCKETS_S,
            registry,
        )
        self._waiting = Gauge(
            "precedent_waiting_seconds", "how long a part has been waited for", ["part"], registry=registry
        )
        self._lag = Gauge("precedent_lag_events", "events not yet committed", ["partition"], registry=registry)
        self._release = Gauge("precedent_release_version", "release that judges", registry=registry)
        self._casebook = Gauge("precedent_casebook_version", "casebook it cites", registry=registry)
        self._candidate = Gauge("precedent_candidate_version", "release tried beside it, or 0", registry=registry)
        self._opinions = Counter(
            "precedent_candidate_decisions",
            "agrees, differs or missing beside the live one; decided or fell_back where it is the canary's to decide",
            ["outcome"],
            registry=registry,
        )
        Gauge("precedent_commit_idle_seconds", "work and no commit for so long", registry=registry).set_function(
            lambda: self.progress.idle_s
        )
        self._waited_for: dict[str, float] = {}
        self._held: set[int] = set()

    def waiting(self, part: str, seconds: float) -> None:
        self._waited_for[part] = seconds
        self._waiting.labels(part).set(seconds)

    def count_batch(self, events: int, *, repeated: int, stale: int) -> None:
        """Count a batch, the events that were in it twice, and those that were let go."""
        self._batch.observe(events)
        for outcome, count in (("repeated", repeated), ("stale", stale)):
            if count:
                self._events.labels(outcome).inc(count)

    def count_dead(self, reasons: Sequence[str]) -> None:
        for reason in reasons:
            self._events.labels("dead").inc()
            self._dead.labels(reason).inc()

    def count_stage(self, stage: str, seconds: float) -> None:
        self._stage.labels(stage).inc(seconds)

    def observe_verdicts(self, latencies_s: Sequence[float]) -> None:
        """Count verdicts by how long after their upload their features were written."""
        if latencies_s:
            self._events.labels("verdict").inc(len(latencies_s))
            self._latency.observe(np.array(latencies_s, np.float64))

    def judged_by(self, release_version: int, casebook_version: int, *, candidate: int = 0) -> None:
        """Show what judges, and the release that is tried beside it, 0 for none."""
        self._release.set(release_version)
        self._casebook.set(casebook_version)
        self._candidate.set(candidate)

    def count_candidate(self, verdicts: Sequence[Verdict], *, tried: Pin, fell_back: int) -> None:
        """Count how a candidate's decisions compare with the live ones, and those of its own videos.

        `fell_back` of its videos the live release judged, because the candidate did not answer.
        """
        theirs = sum(
            (verdict.release_version, verdict.casebook_version) == (tried.release_version, tried.casebook_version)
            for verdict in verdicts
        )
        missing = sum(verdict.candidate is None for verdict in verdicts) - theirs
        agrees = sum(verdict.candidate_decision is verdict.decision for verdict in verdicts)
        for outcome, count in (
            ("agrees", agrees),
            ("differs", len(verdicts) - theirs - missing - agrees),
            ("missing", missing - fell_back),
            ("decided", theirs),
            ("fell_back", fell_back),
        ):
            self._opinions.labels(outcome).inc(count)

    def see_offsets(self, committed: Mapping[int, int], lag: Mapping[int, int]) -> None:
        """Note committed offset and lag of each partition that this worker holds."""
        for partition in self._held - lag.keys():
            self._lag.labels(str(partition)).set(0)  # another worker's now
        for partition, events in lag.items():
            self._lag.labels(str(partition)).set(events)
        self._held = set(lag)
        waiting = any(seconds > 0 for seconds in self._waited_for.values())
        self.progress.see(committed, sum(lag.values()), waiting=waiting)
