"""What a load reports of its ledger, by hand."""

import numpy as np
import pytest

from streams.load import Ledger, LoadPlan


def ledger(produced_s: list[float]) -> Ledger:
    made = Ledger.empty("run", len(produced_s))
    made.intended_s[:] = made.sent_s[:] = 0.0
    made.produced_s[:] = made.seen_s[:] = produced_s
    return made


def plan(count: int, warm_up: int = 0) -> LoadPlan:
    return LoadPlan("nowhere", count, rate=None, warm_up=warm_up)


def test_the_rate_counts_from_the_verdict_that_ends_the_warm_up():
    report = ledger([1.0, 2.0, 3.0, 2.5, 3.5]).report(plan(5, warm_up=2))
    assert report["per_s"] == pytest.approx(3 / 1.5)
    assert report["seconds"] == 1.5


def test_without_a_warm_up_the_rate_counts_from_the_first_event_sent():
    assert ledger([1.0, 2.0, 4.0, 5.0]).report(plan(4))["per_s"] == pytest.approx(4 / 5.0)


def test_what_is_missing_counts_as_missing_and_not_towards_the_rate():
    report = ledger([1.0, 2.0, np.nan, 3.0]).report(plan(4, warm_up=1))
    assert (report["missing"], report["verdicts"]) == (1, 3)
    assert report["per_s"] == pytest.approx(2 / 2.0)
