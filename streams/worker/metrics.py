"""What a worker did, batch by batch, as Prometheus metrics; and whether its commits still make progress."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from contracts.errors import BadInputError
from contracts.releases import Pin
from contracts.verdicts import Verdict

LATENCY_BUCKETS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 60.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
STALLED_AFTER_S = 60.0


class BatchHistogram(Collector):
    """A histogram that takes a whole batch at once, in one vectorised step."""

    def __init__(self, name: str, words: str, buckets_s: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._words = name, words
        self._bounds = np.array(buckets_s)
        self._counts = np.zeros(len(buckets_s) + 1, np.int64)
        self._sum = 0.0
        self._lock = threading.Lock()
        registry.register(self)

    def observe(self, values: npt.NDArray[np.float64]) -> None:
        """Count B values."""
        counts = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._counts))
        with self._lock:
            self._counts += counts
            self._sum += float(values.sum())

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            cumulative = np.cumsum(self._counts).tolist()
            total = self._sum
        names = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        yield HistogramMetricFamily(
            self._name, self._words, buckets=list(zip(names, cumulative, strict=True)), sum_value=total
        )


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


class Liveness(Protocol):
    """Whether there is progress, and for how long there was none."""

    @property
    def alive(self) -> bool: ...
    @property
    def idle_s(self) -> float: ...


class Observed(Protocol):
    """What a part shows of itself."""

    @property
    def registry(self) -> CollectorRegistry: ...
    @property
    def progress(self) -> Liveness: ...


def serve_metrics(metrics: Observed, *, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """Serve /metrics, and /live (200 while there is progress, else 503), from a daemon thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/live":
                status = 200 if metrics.progress.alive else 503
                body, kind = f"no progress for {metrics.progress.idle_s:.1f} s\n".encode(), "text/plain"
            elif self.path == "/metrics":
                status, body, kind = 200, generate_latest(metrics.registry), CONTENT_TYPE_LATEST
            else:
                status, body, kind = 404, b"only /metrics and /live\n", "text/plain"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a scrape is not news."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise BadInputError(f"--metrics-port {port}: {error.strerror}") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
