"""Settings under which a part would be there in name only are refused."""

from typing import Any

import pytest

from contracts.errors import BadInputError
from policy.reasoning.training.settings import PARTS, Parts, ReinforceSettings, largest_standardised

NO_PRE_CLIP, NO_FILTER = Parts(False, True, True), Parts(True, False, True)


def test_the_defaults_are_the_reference_s() -> None:
    it = ReinforceSettings()
    assert (it.learning_rate, it.kl, it.rollout_batch, it.train_batch) == (3e-7, 1e-3, 256, 128)
    assert (it.temperature, it.clip, it.ratio_clamp, it.sigmas, it.parts) == (1.0, 0.2, 1e3, 3.0, (True, True, True))
    assert (it.accumulation(), it.steps_per_rollout()) == (16, 32)
    assert (it.accumulation(processes=4), it.steps_per_rollout(processes=4)) == (4, 8)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rollout_batch": 128}, "with one step a rollout Pre-Clip does nothing"),
        ({"rollout_batch": 64, "iterations": 2}, "Pre-Clip does nothing"),
        ({"ratio_clamp": 1.25}, "ratio_clamp == 1.25, must be more than 1.25: PPO clips at 0.2"),
        ({"rollout_batch": 10, "train_batch": 2, "micro_batch": 2}, "none of so many standardised rewards exceeds 2.8"),
        ({"learning_rate": float("nan")}, "learning_rate == nan, must be finite and positive"),
        ({"temperature": 0.0}, "temperature == 0.0"),
        ({"kl": -1e-3}, "kl == -0.001, must be finite and not negative"),
        ({"sigmas": float("inf")}, "sigmas == inf"),
        ({"sigmas": 16.0}, "none of so many standardised rewards exceeds 15.9"),
        ({"clip": 1.0}, "clip == 1.0, must be in"),
        ({"answers": 1}, "answers == 1, must be at least 2"),
        ({"answers": 3}, "answers == 3, must divide rollout_batch == 256"),
        ({"micro_batch": 48}, "micro_batch == 48, must divide train_batch == 128"),
        ({"iterations": 0}, "iterations == 0, must be at least 1"),
    ],
)
def test_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=said.replace("(", r"\(")):
        ReinforceSettings(**given)


def test_what_is_off_need_not_be_able_to_act() -> None:
    assert ReinforceSettings(rollout_batch=128, parts=NO_PRE_CLIP).iterations == 1
    assert ReinforceSettings(rollout_batch=10, train_batch=2, micro_batch=2, parts=NO_FILTER).rollout_batch == 10
    ReinforceSettings(rollout_batch=11, train_batch=1, micro_batch=1, answers=11)
    assert PARTS["reinforce_plus_plus"] == (False, False, False)


def test_ten_values_never_exceed_three_sigma_and_eleven_may() -> None:
    assert largest_standardised(10) == pytest.approx(2.846, abs=1e-3)
    assert largest_standardised(11) == pytest.approx(3.015, abs=1e-3)


def test_processes_must_divide_the_batches() -> None:
    with pytest.raises(BadInputError, match="micro_batch x processes == 24, must divide train_batch == 128"):
        ReinforceSettings().accumulation(processes=3)
