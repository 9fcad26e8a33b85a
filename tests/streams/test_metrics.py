"""Batches in, Prometheus text out; alive while commits make progress, ready while the part can be counted on."""

import socket
import struct
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from contracts.errors import BadInputError
from streams.watching.histogram import BatchHistogram
from streams.watching.progress import Progress
from streams.watching.readiness import Readiness
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


def test_a_worker_whose_release_is_published_an_hour_after_its_start_is_alive_all_along():
    clock = Clock()
    progress = Progress(stalled_after_s=10.0, now=clock)
    clock.now = 3_600.0
    assert progress.alive
    progress.see({0: 0}, lag=100, waiting=False)
    clock.now += 9.0
    assert progress.alive
    clock.now += 2.0
    assert not progress.alive


def test_a_worker_is_ready_when_it_has_models_and_partitions_and_says_what_it_lacks():
    readiness = Readiness("partitions", "models", short_s=10.0, now=Clock())
    assert readiness.lacks == "has no partitions, has no models"
    readiness.has("models")
    assert readiness.lacks == "has no partitions"
    readiness.has("partitions")
    assert not readiness.lacks
    readiness.drain()
    assert readiness.lacks == "draining: no more work is taken"


def test_a_worker_without_partitions_stays_ready_through_a_rebalance_and_not_for_longer():
    clock = Clock()
    readiness = Readiness("partitions", short_s=10.0, now=clock)
    readiness.has("partitions")
    readiness.has("partitions", there=False)
    clock.now = 10.0
    readiness.has("partitions", there=False)
    assert not readiness.lacks
    clock.now = 10.1
    assert readiness.lacks == "has no partitions"
    readiness.has("partitions")
    assert not readiness.lacks


def test_a_worker_that_waits_for_triton_is_live_and_after_a_while_not_ready():
    metrics = WorkerMetrics()
    metrics.readiness.has("models")
    metrics.see_offsets({0: 1}, {0: 5})
    metrics.waiting("scorer", 10.0)
    assert not metrics.readiness.lacks
    metrics.waiting("scorer", 12.4)
    metrics.see_offsets({0: 1}, {0: 5})
    assert metrics.readiness.lacks == "waits for scorer since 12 s"
    assert metrics.progress.alive
    metrics.waiting("scorer", 0.0)
    assert not metrics.readiness.lacks


def test_what_a_worker_counts_is_in_its_exposition():
    metrics = WorkerMetrics()
    metrics.count_batch(4, repeated=1, stale=2)
    metrics.count_dead(["media", "media", "clock"])
    metrics.observe_verdicts([0.03, 0.2, 0.2])
    metrics.waiting("scorer", 2.5)
    metrics.see_offsets({0: 10, 1: 4}, {0: 0, 1: 6})
    metrics.count_stage("score", 0.02)
    for generation in (4, 4, 5, 7):
        metrics.see_generation(generation)
    with metrics.under_way():
        text = generate_latest(metrics.registry).decode()

    for line in (
        'precedent_events_total{outcome="verdict"} 3.0',
        'precedent_events_total{outcome="dead"} 3.0',
        'precedent_events_total{outcome="stale"} 2.0',
        'precedent_dead_letters_total{reason="media"} 2.0',
        'precedent_waiting_seconds{part="scorer"} 2.5',
        'precedent_lag_events{partition="1"} 6.0',
        'precedent_feature_latency_seconds_bucket{le="0.05"} 1.0',
        'precedent_stage_seconds_bucket{le="0.01",stage="score"} 0.0',
        'precedent_stage_seconds_bucket{le="0.025",stage="score"} 1.0',
        "precedent_rebalances_total 2.0",
        "precedent_batches_in_flight 1.0",
    ):
        assert line in text
    assert metrics.registry.get_sample_value("precedent_batches_in_flight") == 0
    assert 1e6 < (metrics.registry.get_sample_value("process_resident_memory_bytes") or 0) < 1e11


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_watchers_are_answered_on_the_address_that_was_given(host: str):
    metrics = WorkerMetrics()
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    server = serve_metrics(metrics, host=host)
    try:
        assert get(server.address, "/live") == (200, "no progress for 0.0 s\n")
        assert get(server.address, "/ready") == (503, "has no partitions, has no models\n")
        metrics.readiness.has("models")
        metrics.readiness.has("partitions")
        assert get(server.address, "/ready") == (200, "ready\n")
        assert "precedent_batches_in_flight 0.0" in get(server.address, "/metrics")[1]
        assert get(server.address, "/etc/passwd") == (404, "only /metrics, /live and /ready\n")
    finally:
        server.close()


def test_a_watcher_that_goes_away_amid_its_question_is_no_news(capsys: pytest.CaptureFixture[str]):
    server = serve_metrics(WorkerMetrics())
    try:
        host, _, port = server.address.rpartition(":")
        with socket.create_connection((host, int(port))) as watcher:
            watcher.sendall(b"GET /met")
            assert get(server.address, "/ready")[0] == 503  # so that the question before it is being read
            watcher.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # cut off, not closed
        time.sleep(0.2)
    finally:
        server.close()
    assert capsys.readouterr().err == ""


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadInputError, match=f"--metrics-port {port}: Address already in use"):
            serve_metrics(WorkerMetrics(), port=port)
