"""A batch of values in, Prometheus buckets out: counted in one vectorised step, not value by value."""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


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
