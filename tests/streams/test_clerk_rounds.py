"""Duties on their periods: what fails is retried and said, the others go on, and nobody waits for a stuck one."""

import asyncio
import logging
import threading
import time
from collections import Counter

import pytest

from contracts.errors import BadInputError, DependencyError
from streams.clerk.metrics import ClerkMetrics
from streams.clerk.rounds import Duty, aside, keep


class Gauges:
    """Remembers what was done and what is waited for."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.waited: dict[str, float] = {}

    def done(self, duty: str, count: int) -> None:
        self.counts[duty] += count

    def waiting(self, part: str, seconds: float) -> None:
        self.waited[part] = seconds


class Fails:
    """A duty that fails with each of the errors in turn, and then does 1 a round."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return 1


def run(duties: list[Duty], gauges: Gauges, *, for_s: float) -> None:
    async def scene() -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().call_later(for_s, stopping.set)
        await keep(duties, stopping, gauges, longest_s=0.05)

    asyncio.run(scene())


def test_a_duty_that_fails_is_retried_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    gauges = Gauges()
    away = Fails(DependencyError("the warehouse is away"), BadInputError("a release is gone"), ZeroDivisionError("oh"))
    with caplog.at_level(logging.WARNING):
        run([Duty("open", 10.0, away), Duty("count", 0.01, Fails())], gauges, for_s=0.6)
    assert gauges.counts["open"] == 1
    assert gauges.counts["count"] > 10
    assert gauges.waited == {"open": 0.0}
    alerts = [record.getMessage() for record in caplog.records if "ALERT" in record.getMessage()]
    assert alerts == ["ALERT waiting for open since 0.0 s: the warehouse is away"]
    assert "a fault in duty open" in caplog.text


def test_a_stuck_duty_does_not_hold_up_the_end() -> None:
    never = threading.Event()

    async def stuck() -> int:
        return int(await aside(never.wait))

    began = time.monotonic()
    run([Duty("open", 1.0, stuck)], Gauges(), for_s=0.05)
    assert time.monotonic() - began < 1.0


def test_the_clerk_is_late_when_a_duty_is_and_nothing_is_waited_for() -> None:
    now = [0.0]
    metrics = ClerkMetrics({"open": 5.0, "watch": 10.0}, clock=lambda: now[0])
    now[0] = 59.0
    assert metrics.progress.alive
    now[0] = 70.0
    assert metrics.progress.idle_s == 10.0  # open was due by 60, watch is by 100
    metrics.waiting("open", 3.0)
    assert metrics.progress.alive
    metrics.waiting("open", 0.0)
    metrics.done("open", 4)
    assert metrics.progress.alive
    now[0] = 131.0
    assert metrics.progress.idle_s == 31.0
    shown = metrics.registry.get_sample_value
    assert shown("precedent_clerk_since_success_seconds", {"duty": "open"}) == 61.0
    assert shown("precedent_clerk_done_total", {"duty": "open"}) == 4.0
