"""A cell in, its runs out: all variants from the same starts, trained by the functions that train the VLM."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from bench.stability.grid import REWARDS, VARIANTS, Cell, Grid, Rewards, Run
from bench.stability.policies import (
    ANSWER,
    CLASSES,
    FORM,
    LENGTH,
    MARKS,
    PROMPTS,
    REASONING,
    TOKENS,
    Parts,
    Policies,
    gumbel,
    judged,
    solutions,
)
from policy.reasoning.training.objectives import (
    kl_k3,
    reinforce_plus_plus_loss,
    stable_reinforce_loss,
    standardised,
    without_outliers,
)
from policy.reasoning.training.rewards import reward_of

KEEPS_FORM, CONSISTENT = 0.99, 0.7
WARM_UP_BATCH, WARM_UP_RATE = 256, 2e-2


def warmed_up(rewards: Rewards, grid: Grid, seed: int) -> Policies:
    """Start policies of all runs, taught by supervision: each mark right by 99%, consistent by 70%, right as asked."""
    rng = torch.Generator().manual_seed(seed)
    policies = Policies.drawn(grid.seeds, rng)
    weights = [one.requires_grad_() for one in policies.weights.values()]
    optimizer = torch.optim.Adam(weights, lr=WARM_UP_RATE)
    for _ in range(grid.warm_up_steps):
        prompts = torch.randint(PROMPTS, (grid.seeds, WARM_UP_BATCH), generator=rng)
        loss = -policies.logps(prompts, _taught(prompts, rewards.right, rng)).mean(dim=(1, 2)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return policies.copied()


def _taught(prompts_S_N: torch.Tensor, right: float, rng: torch.Generator) -> torch.Tensor:
    """Answers to learn from; what is wrong is wrong by one, so that a policy can be sure of it."""
    tokens = torch.empty((*prompts_S_N.shape, LENGTH), dtype=torch.long)

    def mostly(wanted: torch.Tensor, share: float, begin: int, among: int) -> torch.Tensor:
        other = begin + (wanted - begin + 1) % among
        return torch.where(torch.rand(wanted.shape, generator=rng) < share, wanted, other)

    tokens[..., ANSWER] = mostly(solutions(prompts_S_N), right, 0, CLASSES)
    tokens[..., REASONING] = mostly(tokens[..., ANSWER], CONSISTENT, 0, CLASSES)
    for place, mark in enumerate(FORM):
        if mark is not None:
            tokens[..., place] = mostly(torch.full_like(prompts_S_N, mark), KEEPS_FORM, CLASSES, MARKS)
    return tokens


def run_cell(cell: Cell, start: Policies, grid: Grid, seed: int) -> dict[str, list[Run]]:
    """Train every variant from `start` in one cell: the runs of each, equal starts and draws across variants.

    A policy with a loss, gradient or weight that is not finite is stopped before the step, and stays as it was.
    """
    rng = torch.Generator().manual_seed(seed)
    before = evaluated(start, grid, torch.Generator().manual_seed(seed + 1))
    many = len(VARIANTS) * grid.seeds
    policies = start.copied(len(VARIANTS))
    reference = policies.copied()
    weights = [one.requires_grad_() for one in policies.weights.values()]
    optimizer = torch.optim.Adam(weights, lr=cell.learning_rate)
    stopped_S = torch.zeros(many, dtype=torch.bool)
    samplers = deque([policies.copied()], maxlen=cell.lag + 1)
    for _ in range(grid.rollouts):
        prompts = torch.randint(PROMPTS, (grid.seeds, grid.rollout_batch), generator=rng).repeat(len(VARIANTS), 1)
        noise = gumbel((grid.seeds, grid.rollout_batch, LENGTH, TOKENS), rng).repeat(len(VARIANTS), 1, 1, 1)
        tokens = samplers[0].sample(prompts, noise).tokens_S_N_T
        faulty = torch.rand(grid.seeds, grid.rollout_batch, generator=rng).repeat(len(VARIANTS), 1)
        advantages = _advantages(judged(prompts, tokens), faulty, REWARDS[cell.rewards], grid)
        with torch.no_grad():
            old, known = policies.logps(prompts, tokens), reference.logps(prompts, tokens)
        order = torch.randperm(grid.rollout_batch, generator=rng).chunk(cell.steps)
        for rows in order:
            logps = policies.logps(prompts[:, rows], tokens[:, rows])
            losses_S = _losses(logps, old[:, rows], known[:, rows], advantages[:, rows], grid)
            optimizer.zero_grad()
            losses_S.sum().backward()
            stopped_S |= ~losses_S.detach().isfinite()
            _step(optimizer, weights, stopped_S, grid.most_gradient)
        samplers.append(policies.copied())
    after = evaluated(policies.copied(), grid, torch.Generator().manual_seed(seed + 2))
    return {
        name: [
            Run(
                bool(stopped_S[row]),
                before["reward"][seed_row],
                after["reward"][row],
                after["right"][row],
                after["entropy"][row],
            )
            for seed_row, row in enumerate(range(variant * grid.seeds, (variant + 1) * grid.seeds))
        ]
        for variant, name in enumerate(VARIANTS)
    }


def evaluated(policies: Policies, grid: Grid, rng: torch.Generator) -> dict[str, list[float]]:
    """Mean reward, share of right answers and entropy a token of answers that each policy samples."""
    many = len(next(iter(policies.weights.values())))
    prompts = torch.arange(grid.evaluated).remainder(PROMPTS).expand(many, -1)
    sampled = policies.sample(prompts, gumbel((1, grid.evaluated, LENGTH, TOKENS), rng).expand(many, -1, -1, -1))
    parts = judged(prompts, sampled.tokens_S_N_T)
    found = {"reward": reward_of(*parts), "right": parts.result, "entropy": sampled.entropy_S_N_T}
    return {name: values.flatten(1).mean(dim=1).tolist() for name, values in found.items()}


def _advantages(parts: Parts, faulty_S_N: torch.Tensor, rewards: Rewards, grid: Grid) -> torch.Tensor:
    """Advantages [S, N]: each variant's reward, faults put in, standardised over its rollout, filtered or not."""
    advantages = []
    for variant, asked in enumerate(VARIANTS.values()):
        rows = slice(variant * grid.seeds, (variant + 1) * grid.seeds)
        result, form, consistency = (one[rows] for one in parts)
        earned = reward_of(result, form, consistency if asked.consistency else torch.zeros_like(consistency))
        earned = torch.where(faulty_S_N[rows] < rewards.faulty, rewards.fault, earned)
        found = torch.vmap(standardised)(earned)
        advantages.append(without_outliers(found, grid.sigmas) if asked.advantage_filter else found)
    return torch.cat(advantages)


def _losses(
    logps: torch.Tensor, old: torch.Tensor, known: torch.Tensor, advantages: torch.Tensor, grid: Grid
) -> torch.Tensor:
    """The loss [S] of each policy, by its variant's objective."""
    mask, losses = torch.ones_like(logps), []
    for variant, asked in enumerate(VARIANTS.values()):
        rows = slice(variant * grid.seeds, (variant + 1) * grid.seeds)
        plain: Callable[..., Any] = partial(reinforce_plus_plus_loss, clip=grid.clip)
        clamped: Callable[..., Any] = partial(stable_reinforce_loss, clip=grid.clip, ratio_clamp=grid.ratio_clamp)
        loss = clamped if asked.pre_clip else plain
        losses.append(torch.vmap(loss)(logps[rows], old[rows], advantages[rows], mask[rows]))
    kl = torch.vmap(partial(kl_k3, ratio_clamp=grid.ratio_clamp))(logps, known, mask)
    return torch.cat(losses) + grid.kl * kl


@torch.no_grad()
def _step(optimizer: torch.optim.Optimizer, weights: list[torch.Tensor], stopped_S: torch.Tensor, most: float) -> None:
    """One step of the policies that go on, their gradients clipped to a norm of `most`, each by its own.

    Norms are taken in float64, in which no square of a float32 overflows: finite where all of a gradient is.
    """
    gradients = [one.grad for one in weights]
    norm_S = torch.stack([one.double().flatten(1).square().sum(dim=1) for one in gradients]).sum(dim=0).sqrt()
    stopped_S |= ~norm_S.isfinite()
    scale_S = (most / (norm_S + 1e-6)).clamp(max=1.0).float()
    kept = [one.clone() for one in weights]
    for one in gradients:
        shape = (-1, *[1] * (one.dim() - 1))
        one.copy_(torch.where(stopped_S.view(shape), 0.0, one * scale_S.view(shape)))
    optimizer.step()
    for one in weights:
        stopped_S |= ~one.flatten(1).sum(dim=1, dtype=torch.float64).isfinite()
    for one, old in zip(weights, kept, strict=True):
        one.copy_(torch.where(stopped_S.view(-1, *[1] * (one.dim() - 1)), old, one))
