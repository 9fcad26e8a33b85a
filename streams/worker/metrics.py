"""What a worker did, batch by batch, as Prometheus metrics: stages, latency to features, the releases that judge."""

from collections.abc import Sequence

import numpy as np
from prometheus_client import Counter, Gauge, Histogram

from contracts.releases import Pin
from contracts.verdicts import Verdict
from streams.watching.consuming import ConsumingMetrics
from streams.watching.histogram import BatchHistogram
from streams.worker.stages import STAGES

LATENCY_BUCKETS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 60.0)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class WorkerMetrics(ConsumingMetrics):
    """A worker's metrics; times in seconds. It is not ready before it holds partitions and its models are ready."""

    def __init__(self) -> None:
        super().__init__("models")
        registry = self.registry
        stage = Histogram(
            "precedent_stage_seconds",
            "time that a batch spent in a stage, waiting for its part included",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self._stages = {name: stage.labels(name) for name in STAGES}
        self._latency = BatchHistogram(
            "precedent_feature_latency_seconds",
            "from the upload's occurred_at to its features being written",
            LATENCY_BUCKETS_S,
            registry,
        )
        self._release = Gauge("precedent_release_version", "release that judges", registry=registry)
        self._casebook = Gauge("precedent_casebook_version", "casebook it cites", registry=registry)
        self._candidate = Gauge("precedent_candidate_version", "release tried beside it, or 0", registry=registry)
        self._opinions = Counter(
            "precedent_candidate_decisions",
            "agrees, differs or missing beside the live one; decided or fell_back where it is the canary's to decide",
            ["outcome"],
            registry=registry,
        )

    def count_stage(self, stage: str, seconds: float) -> None:
        """Count a batch's time in one of `STAGES`."""
        self._stages[stage].observe(seconds)

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
