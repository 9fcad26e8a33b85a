"""Batches in, Prometheus text out; alive while commits make progress."""

import socket

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from contracts.errors import BadInputError
from streams.watching.histogram import BatchHistogram
from streams.watching.progress import Progress
from streams.watching.serving import serve_metrics
from streams.worker.metrics import WorkerMetrics


def test_a_batch_is_counted_into_the_buckets_that_prometheus_would_count_it_into():
    registry = CollectorRegistry()
    histogram = BatchHistogram("seconds", "of waiting", (0.1, 0.2), registry)
    histogram.observe(np.array([0.05, 0.1, 0.15, 0.25]))
    histogram.observe(np.array([0.2]))

    assert registry.get_sample_value("seconds_bucket", {"le": "0.1"}) == 2
    assert registry.get_sample_value("seconds_bucket", {"le": "0.2"}) == 4
    assert registry.get_sample_value("seconds_bucket", {"le": "+Inf"}) == 5
    assert registry.get_sample_value("seconds_count") == 5
    assert registry.get_sample_value("seconds_sum") == pytest.approx(0.75)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_is_alive_while_its_commits_advance_and_dead_when_work_waits_for_none():
    clock = Clock()
    progress = Progress(stalled_after_s=10.0, now=clock)
    for step in range(5):
        clock.now += 8.0
        progress.see({0: step}, lag=100, waiting=False)
        assert progress.alive
    clock.now += 9.0
    progress.see({0: 4}, lag=100, waiting=False)
    assert progress.alive
    clock.now += 2.0
    progress.see({0: 4}, lag=100, waiting=False)
    assert not progress.alive
    progress.see({0: 5}, lag=100, waiting=False)
    assert progress.alive


@pytest.mark.parametrize(("lag", "waiting"), [(0, False), (100, True)], ids=["nothing to do", "a part is awaited"])
def test_a_worker_that_has_no_reason_to_commit_is_alive(lag: int, waiting: bool):
    clock = Clock()
    progress = Progress(stalled_after_s=10.0, now=clock)
    for _ in range(5):
        clock.now += 60.0
        progress.see({0: 7}, lag=lag, waiting=waiting)
    assert progress.alive


def test_every_metric_of_a_worker_is_in_its_exposition():
    metrics = WorkerMetrics()
    metrics.count_batch(4, repeated=1, stale=0)
    metrics.count_dead(["media", "media", "clock"])
    metrics.observe_verdicts([0.03, 0.2, 0.2])
    metrics.waiting("scorer", 2.5)
    metrics.see_offsets({0: 10, 1: 4}, {0: 0, 1: 6})
    text = generate_latest(metrics.registry).decode()

    for line in (
        'precedent_events_total{outcome="verdict"} 3.0',
        'precedent_events_total{outcome="dead"} 3.0',
        'precedent_dead_letters_total{reason="media"} 2.0',
        'precedent_waiting_seconds{part="scorer"} 2.5',
        'precedent_lag_events{partition="1"} 6.0',
        'precedent_feature_latency_seconds_bucket{le="0.05"} 1.0',
    ):
        assert line in text


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInputError, match=f"--metrics-port {port}: Address already in use"):
            serve_metrics(WorkerMetrics(), port=port)
