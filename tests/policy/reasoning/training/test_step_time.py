"""The step-time bench in short: both trainers are timed, alternately, over as many rollouts."""

import pytest

from bench.step_time import measure
from policy.reasoning.training.settings import Parts, ReinforceSettings


def test_both_are_timed_over_as_many_rollouts(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ReinforceSettings(rollout_batch=16, train_batch=8, micro_batch=8, parts=Parts(True, True, False))
    figures = measure(turns=2, rollouts=1, most_tokens=4, settings=settings)
    assert {figures[name]["rollouts"] for name in ("TRL's GRPO", "StableReinforce")} == {2}
    medians = [figures[name]["median_s"] for name in ("StableReinforce", "TRL's GRPO")]
    assert figures["ratio"] == medians[0] / medians[1]
    assert "asked for 1.10" in capsys.readouterr().out
