"""The objective against closed forms by hand and a second writing of it in NumPy, where numbers are kind and not."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from policy.reasoning.training.objectives import (
    advantages_of,
    kl_k3,
    loss_of,
    mean_over_tokens,
    reinforce_plus_plus_loss,
    stable_reinforce_loss,
    standardised,
    without_outliers,
)
from policy.reasoning.training.settings import PARTS, Parts, ReinforceSettings

Floats = npt.NDArray[np.float64]


def by_hand(
    logps: Floats, old: Floats, advantages: Floats, mask: Floats, clip: float, clamp: float | None
) -> tuple[float, Floats]:
    """Loss and its gradient by the log-probabilities, token by token: -A r / n where r moves and counts, else 0."""
    n, loss, gradient = mask.sum(), 0.0, np.zeros_like(logps)
    for row, column in np.argwhere(mask == 1):
        d, a = logps[row, column] - old[row, column], advantages[row]
        moves = clamp is None or 1 / clamp < math.exp(min(d, 700.0)) < clamp
        r = math.exp(d) if clamp is None else min(max(math.exp(min(d, 700.0)), 1 / clamp), clamp)
        cut = min(max(r, 1 - clip), 1 + clip)
        loss -= min(r * a, cut * a) / n
        if moves and (r * a < cut * a or r == cut):
            gradient[row, column] = -a * r / n
    return loss, gradient


def batch(seed: int, spread: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    logps = torch.tensor(rng.normal(-3, 1, (6, 9)), requires_grad=True)
    old = logps.detach() + torch.tensor(rng.normal(0, spread, (6, 9)))
    mask = torch.tensor((np.arange(9)[None] < rng.integers(1, 10, 6)[:, None]).astype(np.int64))
    return logps, old, torch.tensor(rng.normal(0, 2, 6)), mask


@pytest.mark.parametrize("spread", [0.05, 0.5, 5.0, 60.0])
@pytest.mark.parametrize("seed", range(5))
def test_loss_and_gradient_of_both_are_those_of_the_written_formula(seed: int, spread: float) -> None:
    for clamp in (1e3, None) if spread < 10 else (1e3,):
        logps, old, advantages, mask = batch(seed, spread)
        if clamp is None:
            loss = reinforce_plus_plus_loss(logps, old, advantages, mask)
        else:
            loss = stable_reinforce_loss(logps, old, advantages, mask, ratio_clamp=clamp)
        loss.backward()
        given = (tensor.detach().numpy().astype(np.float64) for tensor in (logps, old, advantages, mask))
        expected, gradient = by_hand(*given, clip=0.2, clamp=clamp)
        assert loss.item() == pytest.approx(expected, rel=1e-10, abs=1e-10)
        np.testing.assert_allclose(logps.grad.numpy(), gradient, rtol=1e-10, atol=1e-10)
        assert (gradient != 0).any() or spread > 10, "at a spread of 60 all may be beyond the clamp"
        assert (gradient[mask.numpy() == 1] == 0).any() or spread < 0.1


def test_four_tokens_by_hand() -> None:
    """Ratios 1, 2, 1/2 and 1e6, advantages 1 and -1: -1 - 1.2 and 0.8 + 1000, the mean over four tokens."""
    logps = torch.tensor([[-1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    old = logps.detach() - torch.tensor([[0.0, math.log(2)], [-math.log(2), math.log(1e6)]], dtype=torch.float64)
    advantages, mask = torch.tensor([1.0, -1.0], dtype=torch.float64), torch.ones(2, 2)
    loss = stable_reinforce_loss(logps, old, advantages, mask)
    loss.backward()
    assert loss.item() == pytest.approx((-1 - 1.2 + 0.8 + 1000) / 4, abs=1e-9)
    assert logps.grad.tolist() == [[-0.25, 0.0], [0.0, 0.0]], "clipped, clipped, beyond the clamp"


@pytest.mark.parametrize("advantage", [2.0, -2.0, 0.0])
def test_at_log_ratios_of_200_pre_clip_stays_finite_where_the_plain_loss_overflows(advantage: float) -> None:
    advantages, mask = torch.tensor([advantage]), torch.ones(1, 3)
    old = torch.tensor([[-300.0, -1.0, -1.0]])
    finite = {}
    for loss_function in (stable_reinforce_loss, reinforce_plus_plus_loss):
        logps = torch.tensor([[-100.0, -201.0, -1.0]], requires_grad=True)  # log-ratios 200, -200 and 0
        loss = loss_function(logps, old, advantages, mask)
        loss.backward()
        finite[loss_function] = bool(torch.isfinite(loss)) and bool(torch.isfinite(logps.grad).all())
    assert finite == {stable_reinforce_loss: True, reinforce_plus_plus_loss: False}


def test_what_stands_in_padding_reaches_neither_loss_nor_gradient() -> None:
    logps = torch.tensor([[-1.0, math.nan]], requires_grad=True)
    mask = torch.tensor([[1, 0]])
    loss = loss_of(
        logps, torch.tensor([[-1.0, 5.0]]), torch.tensor([[-1.0, math.inf]]), torch.ones(1), mask, ReinforceSettings()
    )
    loss.total.backward()
    assert loss.total.item() == -1.0
    assert logps.grad.tolist() == [[-1.0, 0.0]]


def test_k3_is_zero_at_the_reference_and_what_it_is_by_hand_elsewhere() -> None:
    """x = log 2: 2 - log 2 - 1; x = -log 2: 1/2 + log 2 - 1; their mean is 1/4. By logp it falls with 1 - exp(x)."""
    mask = torch.ones(1, 2)
    logps = torch.tensor([[-2.0, -2.0]], dtype=torch.float64, requires_grad=True)
    reference = logps.detach() + torch.tensor([[math.log(2), -math.log(2)]], dtype=torch.float64)
    assert kl_k3(logps, logps.detach(), mask).item() == 0.0
    kl = kl_k3(logps, reference, mask)
    kl.backward()
    assert kl.item() == pytest.approx(0.25, abs=1e-12)
    assert logps.grad.tolist() == [[pytest.approx((1 - 2) / 2), pytest.approx((1 - 0.5) / 2)]]
    logps = torch.tensor([[-250.0, -1.0]], requires_grad=True)
    kl_k3(logps, torch.tensor([[-1.0, -250.0]]), mask).backward()
    assert logps.grad.tolist() == [[0.0, 0.5]], "no overflow; a token that it likes too much is still pulled down"


def test_rewards_0_0_0_4_standardise_to_minus_a_half_and_one_and_a_half() -> None:
    """Mean 1, squares 1 + 1 + 1 + 9 = 12, over 3: deviation 2."""
    assert standardised(torch.tensor([0.0, 0.0, 0.0, 4.0])).tolist() == [-0.5, -0.5, -0.5, 1.5]


def test_equal_rewards_have_no_advantage_though_their_mean_rounds() -> None:
    for value in (0.1, 0.5, 2.0):
        rewards = torch.full((7,), value)
        assert standardised(rewards).tolist() == [0.0] * 7
    assert standardised(torch.tensor([3.0])).tolist() == [0.0]


def test_one_right_answer_among_many_is_beyond_three_sigma_from_eleven_on() -> None:
    """(n - 1) / sqrt(n): 2.846 of 10, 3.015 of 11."""
    for n, kept in ((10, True), (11, False)):
        advantages = standardised(torch.tensor([1.0] + [0.0] * (n - 1), dtype=torch.float64))
        assert advantages[0].item() == pytest.approx((n - 1) / math.sqrt(n), abs=1e-12)
        filtered = without_outliers(advantages)
        assert (filtered[0] != 0) == kept
        assert filtered[1:].tolist() == advantages[1:].tolist()
    assert without_outliers(torch.tensor([-3.5, -3.0, 3.0, 3.5])).tolist() == [0.0, -3.0, 3.0, 0.0]


def test_each_part_acts_where_its_setting_says() -> None:
    rewards = torch.tensor([1.0] + [0.0] * 255)
    off = ReinforceSettings(parts=PARTS["reinforce_plus_plus"])
    assert advantages_of(rewards, ReinforceSettings())[0] == 0.0
    assert advantages_of(rewards, off)[0] == pytest.approx(255 / 16)
    logps, old = torch.tensor([[-100.0]]), torch.tensor([[-300.0]])
    mask, advantages = torch.ones(1, 1), -torch.ones(1)
    for parts, policy in ((Parts(True, False, False), 1e3), (PARTS["reinforce_plus_plus"], math.inf)):
        found = loss_of(logps, old, None, advantages, mask, ReinforceSettings(parts=parts))
        assert found.policy.item() == pytest.approx(policy)
        assert (found.kl.item(), found.pre_clipped.item()) == (0.0, 1.0)
    found = loss_of(logps, old, logps - math.log(2), advantages, mask, ReinforceSettings(kl=0.5))
    assert found.total.item() == pytest.approx(1e3 + 0.5 * (0.5 + math.log(2) - 1))
    assert found.clipped.item() == 0.0, "a ratio above the clip is not cut where the advantage is negative"


def test_no_token_is_no_loss() -> None:
    assert mean_over_tokens(torch.ones(2, 2), torch.zeros(2, 2)).item() == 0.0
