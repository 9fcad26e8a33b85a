"""The next policy from its parent, in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import BadInputError, CheckFailedError
from policy.fusion import FusionSettings, begin_from, read_weights, weights_of, write_weights
from policy.refresh import RefreshSettings, refresh_policy
from policy.train import train
from tests.policy.conftest import SETTINGS, Trained


def test_a_refresh_begins_from_its_parent_and_keeps_its_share_of_violative_videos(trained: Trained) -> None:
    old, new = trained.evidence[:90], trained.evidence[90:]
    policy = refresh_policy(trained.policy, old, new, settings=RefreshSettings(epochs=1), seed=1)
    share = sum(item.case.category.value != "positive" for item in old) / len(old)
    assert policy.metrics["violative_share"] == pytest.approx(share)
    assert len(policy.casebook) == len(trained.evidence)
    far = [
        float(np.abs(a - b).max())
        for (_, a), (_, b) in zip(
            sorted(weights_of(policy.student).items()), sorted(weights_of(trained.policy.student).items()), strict=True
        )
    ]
    assert 0.0 < max(far) < 5.0


def test_weights_are_read_as_they_were_written_and_nothing_else_is(trained: Trained, tmp_path: Path) -> None:
    student = trained.policy.student
    write_weights(student, tmp_path / "weights.npz")
    read = read_weights(tmp_path / "weights.npz")
    assert all(np.array_equal(read[name], array) for name, array in weights_of(student).items())
    (tmp_path / "weights.npz").write_bytes(b"not arrays")
    with pytest.raises(BadInputError, match=r"weights\.npz: holds no weights to begin from"):
        read_weights(tmp_path / "weights.npz")
    with pytest.raises(BadInputError, match=r"'head\.bias' is missing or too much"):
        begin_from(student, {name: array for name, array in weights_of(student).items() if name != "head.bias"})


def test_a_training_that_diverges_is_refused(trained: Trained) -> None:
    wild = replace(SETTINGS, fusion=FusionSettings(epochs=2, learning_rate=1e30))
    with pytest.raises(CheckFailedError, match="training diverged"):
        train(trained.evidence, settings=wild, seed=0)
