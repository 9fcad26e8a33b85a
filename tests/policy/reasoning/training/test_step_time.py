"""The step-time bench in short: both trainers are timed step by step, in turn."""

import time
from statistics import median
from threading import Thread

import pytest

from bench.step_time import OURS, THEIRS, Turns, measure
from policy.reasoning.training.settings import Parts, ReinforceSettings


def test_two_take_turns_and_one_that_leaves_lets_the_other_go_on() -> None:
    turns, order = Turns(), list[str]()

    def go(name: str, times: int) -> None:
        for _ in range(times):
            turns.take(name)
            order.append(name)
            time.sleep(0.001)
        turns.leave(name)

    threads = [Thread(target=go, args=given) for given in ((OURS, 5), (THEIRS, 3))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert order[:6] == [THEIRS, OURS] * 3
    assert order[6:] == [OURS] * 2
    assert len(turns.seconds[OURS]) == 4, "the last turn is left, not ended"


def test_both_are_timed_in_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ReinforceSettings(rollout_batch=16, train_batch=8, micro_batch=8, parts=Parts(True, True, False))
    figures = measure(rollouts=2, most_tokens=4, settings=settings)
    assert len(figures["ratios"]) == 2
    assert all(ratio > 0 for ratio in figures["ratios"])
    assert figures["ratio"] == median(figures["ratios"])
    assert "asked for 1.10" in capsys.readouterr().out
