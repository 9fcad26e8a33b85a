"""A part that is away is asked until it is back, or until the batch is not ours any more."""

import asyncio
from dataclasses import dataclass, field

import pytest

from contracts.errors import BadInputError, DependencyError
from streams.worker.patience import AbandonedError, Patience


@dataclass
class Gauge:
    shown: list[tuple[str, bool]] = field(default_factory=list)

    def waiting(self, part: str, seconds: float) -> None:
        self.shown.append((part, seconds > 0))


@dataclass
class Flaky:
    failures: int
    calls: int = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise DependencyError("away")
        return "done"


def patience(gauge: Gauge, **options) -> Patience:
    return Patience(gauge, first_s=0.001, longest_s=0.002, **options)


def test_a_part_that_answers_is_asked_once_and_never_called_waiting():
    gauge, part = Gauge(), Flaky(0)

    assert asyncio.run(patience(gauge).until_done("scorer", part)) == "done"
    assert (part.calls, gauge.shown) == (1, [])


def test_a_part_that_fails_five_times_is_asked_six_times_and_shown_as_awaited_meanwhile(caplog):
    gauge, part = Gauge(), Flaky(5)

    assert asyncio.run(patience(gauge).until_done("scorer", part)) == "done"
    assert part.calls == 6
    assert gauge.shown == [("scorer", True)] * 5 + [("scorer", False)]
    assert [record.message.split(":")[0][:26] for record in caplog.records] == [
        "ALERT waiting for scorer s",
        "scorer is back after 0.0 s",
    ]


def test_a_batch_that_is_not_ours_any_more_is_let_go():
    gauge, part = Gauge(), Flaky(10**9)
    calls_left = iter([False, False, True])

    with pytest.raises(AbandonedError, match="features"):
        asyncio.run(patience(gauge, abandoned=lambda: next(calls_left, True)).until_done("features", part))
    assert gauge.shown[-1] == ("features", False)


def test_other_errors_are_not_waited_for():
    async def refuses() -> None:
        raise BadInputError("no such version")

    with pytest.raises(BadInputError):
        asyncio.run(patience(Gauge()).until_done("scorer", refuses))
