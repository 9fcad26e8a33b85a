"""Pictures that are moved and trainings that are averaged: by hand."""

import numpy as np
import pytest
import torch

from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from policy.fusion import mean_of, moderation_loss, moved


def _one_pixel() -> torch.Tensor:
    frames = torch.zeros((1, 2, 20, 20, 3), dtype=torch.uint8)
    frames[0, :, 10, 10] = 200
    return frames


def test_a_picture_is_moved_by_at_most_a_tenth_of_its_side_all_frames_alike() -> None:
    seen = set()
    for seed in range(40):
        frames = moved(_one_pixel(), np.random.default_rng(seed), 0.1)
        assert torch.equal(frames[0, 0], frames[0, 1])
        ((row, column, _), *_) = torch.nonzero(frames[0, 0]).tolist()
        assert abs(row - 10) <= 2
        assert min(abs(column - 10), abs(column - 9)) <= 2  # mirrored, 10 becomes 9
        seen.add((row, column))
    assert len(seen) > 10


def test_what_is_moved_out_is_gone_and_black_comes_in() -> None:
    white = torch.full((1, 1, 20, 20, 3), 255, dtype=torch.uint8)
    left = {int((moved(white, np.random.default_rng(seed), 0.1) > 0).sum()) // 3 for seed in range(40)}
    assert left <= {(20 - down) * (20 - right) for down in range(3) for right in range(3)}
    assert min(left) == 18 * 18


def test_a_picture_that_may_not_move_is_mirrored_or_as_it_was() -> None:
    columns = {
        int(torch.nonzero(moved(_one_pixel(), np.random.default_rng(seed), 0.0)[0, 0])[0, 1]) for seed in range(10)
    }
    assert columns == {9, 10}


def test_the_mean_of_trainings_is_taken_name_by_name() -> None:
    one, other = {"head.bias": np.array([1.0, 3.0], np.float32)}, {"head.bias": np.array([3.0, 5.0], np.float32)}
    assert mean_of([one, other])["head.bias"].tolist() == [2.0, 4.0]


def test_the_loss_of_shared_votes_is_the_mean_of_what_each_vote_would_cost() -> None:
    logits = torch.randn(1, N_CATEGORIES, generator=torch.Generator().manual_seed(0))
    certain = torch.eye(N_CATEGORIES)
    votes = 0.6 * certain[2] + 0.4 * certain[POSITIVE_INDEX]

    def loss(targets: torch.Tensor) -> float:
        return float(moderation_loss(logits, targets[None], binary_weight=0.5))

    assert loss(votes) == pytest.approx(0.6 * loss(certain[2]) + 0.4 * loss(certain[POSITIVE_INDEX]), abs=1e-6)


def test_the_loss_of_a_certain_label_is_its_cross_entropy_and_that_of_violative_or_not() -> None:
    logits = torch.randn(3, N_CATEGORIES, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 5, POSITIVE_INDEX])
    p = torch.softmax(logits, dim=1)
    named = -torch.log(p[torch.arange(3), labels]).mean()
    good = p[:, POSITIVE_INDEX]
    two = -torch.log(torch.stack([1 - good[0], 1 - good[1], good[2]])).mean()
    found = moderation_loss(logits, torch.eye(N_CATEGORIES)[labels], binary_weight=0.5)
    assert float(found) == pytest.approx(float(named + 0.5 * two), abs=1e-6)
