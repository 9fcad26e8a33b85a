"""Figures and limits of a ledger, by hand."""

from pathlib import Path

import numpy as np
import pytest

from streams.load.check import Findings, check_topics
from streams.load.report import Limits, in_words, report
from tests.streams.load.ledgers import ledger


def test_the_rate_counts_from_the_verdict_that_ends_the_warm_up(tmp_path: Path):
    made = ledger(tmp_path, "t t t t t", warm_up=2)
    made.rows["produced_s"][:] = [101.0, 102.0, 103.0, 102.5, 103.5]
    figures = report(made, Findings())
    assert (figures["seconds"], figures["per_s"]) == (1.5, 2.0)  # from 102.0: three more verdicts up to 103.5


def test_without_a_warm_up_the_rate_counts_from_the_first_event_sent(tmp_path: Path):
    made = ledger(tmp_path, "t t t t")
    made.rows["produced_s"][:] = [101.0, 102.0, 104.0, 105.0]
    assert report(made, Findings())["per_s"] == pytest.approx(4 / 5.0, abs=0.05)


def test_latency_counts_from_the_intended_time_however_late_an_event_was_sent(tmp_path: Path):
    made = ledger(tmp_path, "t t t p", warm_up=1)
    made.rows["sent_s"][1] += 0.3
    made.rows["produced_s"][2] = np.nan
    figures = report(made, Findings())
    assert figures["feature_latency_ms"]["max"] == figures["feature_latency_ms"]["p50"] == 500.0
    assert (figures["feature_latency_ms"]["n"], figures["sender_late_ms"]["max"]) == (1, 300.0)
    assert figures["readable_ms"] == {}


def test_limits_that_are_kept_cross_nothing_and_each_that_is_crossed_is_named(tmp_path: Path):
    made = ledger(tmp_path, "t t r0 p")
    made.rows["verdicts"][0] = 4
    figures = report(made, check_topics(made))
    assert Limits(p95_ms=500.0, p99_ms=500.0, repeated_verdicts=2).crossed(figures) == []
    assert Limits(p95_ms=499.0, p99_ms=500.0, repeated_verdicts=1).crossed(figures) == [
        "feature latency p95 == 500.0 ms, must be at most 499 ms",
        "repeated_verdicts == 2, must be at most 1",
    ]
    made.rows["verdicts"][1] = 0
    assert Limits().crossed(report(made, check_topics(made))) == ["lost == 1, must be 0"]


def test_a_limit_holds_for_what_the_probe_read_too(tmp_path: Path):
    made = ledger(tmp_path, "t t")
    made.rows["readable_s"][1] = made.rows["intended_s"][1] + 0.7
    assert Limits(p99_ms=600.0).crossed(report(made, Findings())) == ["read p99 == 700.0 ms, must be at most 600 ms"]


def test_no_latency_at_all_keeps_no_limit(tmp_path: Path):
    made = ledger(tmp_path, "t")
    made.rows["produced_s"][:] = np.nan
    assert Limits(p95_ms=500.0).crossed(report(made, Findings())) == [
        "feature latency p95 == None ms, must be at most 500 ms"
    ]


def test_a_person_reads_what_was_sent_and_what_was_found(tmp_path: Path):
    made = ledger(tmp_path, "t t p")
    made.rows["verdicts"][1] = 0
    words = in_words(report(made, check_topics(made)))
    assert "1 verdicts, 1 dead letters" in words
    assert "1 lost, 0 unconfirmed" in words
    assert "lost: run-00000001" in words
