"""What is run and what counts as failed, fixed before the first run: variants, cells, divergence, collapse.

A cell is a kind of reward, the steps that are made on one rollout, a learning rate and how old the sampling policy is.

Why the age: a token is sampled with its own old probability, so that its log-ratio can hardly exceed the ten or so nats
that a sampled token is unlikely by, and the plain exponential never overflows while the policy that samples is the one
that scores. An older sampler, as in asynchronous training, shows tokens that the policy has since unlearned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from policy.reasoning.training.settings import PARTS, Parts

VARIANTS: Mapping[str, Parts] = MappingProxyType(
    {
        "Reinforce++": PARTS["reinforce_plus_plus"],
        "StableReinforce": PARTS["stable_reinforce"],
        "without Pre-Clip": Parts(False, True, True),
        "without the filter": Parts(True, False, True),
        "without consistency": Parts(True, True, False),
    }
)
"""StableReinforce without consistency and Reinforce++ learn from the same rewards: these two compare the loss alone."""

COLLAPSE_MARGIN = 0.1
LEAST_ENTROPY, POOR_REWARD = 0.05, 1.0


class Rewards(NamedTuple):
    """The share of answers that are right at the start, and of rewards that are replaced by `fault`, at random."""

    right: float
    faulty: float = 0.0
    fault: float = 20.0


REWARDS: Mapping[str, Rewards] = MappingProxyType(
    {
        "half right": Rewards(0.5),
        "one in ten right": Rewards(0.1),
        "one in fifty right": Rewards(0.02),
        "one in fifty wrong": Rewards(0.98),
        "half right, rare faults of 20": Rewards(0.5, faulty=1 / 64),
    }
)
"""The fourth is the paper's own example, a lone failure among successes."""


class Cell(NamedTuple):
    """One condition; `lag`: by how many rollouts the sampling policy is older than the one that learns."""

    rewards: str
    steps: int
    learning_rate: float
    lag: int


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells, and what all runs share: ten runs a cell and variant, each of its own start and draws."""

    rewards: tuple[str, ...] = tuple(REWARDS)
    steps: tuple[int, ...] = (1, 4, 16)
    learning_rates: tuple[float, ...] = (3e-3, 3e-2, 1e-1)
    lags: tuple[int, ...] = (0, 4)
    seeds: int = 10
    rollouts: int = 20
    rollout_batch: int = 64
    warm_up_steps: int = 200
    evaluated: int = 2_048
    kl: float = 1e-3
    clip: float = 0.2
    ratio_clamp: float = 1e3
    sigmas: float = 3.0
    most_gradient: float = 1.0

    def cells(self) -> list[Cell]:
        """Every condition, kinds of reward outermost."""
        return [
            Cell(rewards, steps, learning_rate, lag)
            for rewards in self.rewards
            for steps in self.steps
            for learning_rate in self.learning_rates
            for lag in self.lags
        ]


GRID = Grid()


class Run(NamedTuple):
    """How one run went: whether a number was not finite, what it earned before and after, its entropy a token in nats.

    Earned is measured alike for all variants: by R1-Reward's formula with consistency and without faults, of answers
    sampled from the policy.
    """

    not_finite: bool
    reward_before: float
    reward_after: float
    right_after: float
    entropy_after: float

    @property
    def diverged(self) -> bool:
        """A loss, a gradient or a weight was not finite; the run was stopped there."""
        return self.not_finite

    @property
    def collapsed(self) -> bool:
        """Did not diverge, and ends with less reward than it began with, or with one poor answer to everything.

        Less: by more than `COLLAPSE_MARGIN` of at most 2. Poor: entropy below `LEAST_ENTROPY` nats a token while the
        reward is below `POOR_REWARD`.
        """
        worse = self.reward_after < self.reward_before - COLLAPSE_MARGIN
        stuck = self.entropy_after < LEAST_ENTROPY and self.reward_after < POOR_REWARD
        return not self.diverged and (worse or stuck)

    @property
    def failed(self) -> bool:
        """Diverged or collapsed."""
        return self.diverged or self.collapsed
