"""The step-time bench in short: both trainers are timed, in pairs of turns."""

import pytest

from bench.step_time import measure
from policy.reasoning.training.settings import Parts, ReinforceSettings


def test_both_are_timed_in_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ReinforceSettings(rollout_batch=16, train_batch=8, micro_batch=8, parts=Parts(True, True, False))
    figures = measure(turns=2, rollouts=1, most_tokens=4, settings=settings)
    ratios = figures["processor_s_ratios"]
    assert len(ratios) == len(figures["clock_s_ratios"]) == 2
    assert figures["ratio"] == pytest.approx(sum(ratios) / 2), "the median of two"
    assert all(ratio > 0 for ratio in ratios)
    assert "asked for 1.10" in capsys.readouterr().out
