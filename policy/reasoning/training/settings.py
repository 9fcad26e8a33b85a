"""What reinforcement is asked to do, checked: reference values of R1-Reward (arXiv 2505.02835), its parts on or off.

A setting under which a part would silently do nothing is refused, so that no run carries a name that it does not earn.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from contracts.errors import BadInputError

Algorithm = Literal["stable_reinforce", "reinforce_plus_plus"]


class Parts(NamedTuple):
    """What StableReinforce adds to Reinforce++: Pre-Clip, the advantage filter, the reward of consistency."""

    pre_clip: bool
    advantage_filter: bool
    consistency: bool


PARTS: Mapping[Algorithm, Parts] = MappingProxyType(
    {"stable_reinforce": Parts(True, True, True), "reinforce_plus_plus": Parts(False, False, False)}
)


@dataclass(frozen=True, slots=True)
class ReinforceSettings:
    """Settings of a run; batches are counted in answers, over all processes.

    `rollout_batch` answers are sampled, `answers` to each prompt, and learned from `iterations` times in steps of
    `train_batch`, each made of micro-batches of `micro_batch` a process. `kl`: weight of the KL to the start policy.
    `clip`: the half-width of PPO's clip. `ratio_clamp`: Pre-Clip keeps ratios in [1 / it, it]. `sigmas`: advantages
    beyond it are filtered. The reference's `clip` is 0.2, its clamp 1e3, its filter 3.
    """

    learning_rate: float = 3e-7
    kl: float = 1e-3
    rollout_batch: int = 256
    train_batch: int = 128
    micro_batch: int = 8
    answers: int = 2
    iterations: int = 1
    temperature: float = 1.0
    clip: float = 0.2
    ratio_clamp: float = 1e3
    sigmas: float = 3.0
    parts: Parts = PARTS["stable_reinforce"]

    def __post_init__(self) -> None:
        for name in ("learning_rate", "temperature", "ratio_clamp", "sigmas"):
            _refuse_unless(0.0 < getattr(self, name) < math.inf, name, getattr(self, name), "finite and positive")
        _refuse_unless(0.0 <= self.kl < math.inf, "kl", self.kl, "finite and not negative")
        _refuse_unless(0.0 < self.clip < 1.0, "clip", self.clip, "in (0, 1)")
        for name in ("rollout_batch", "train_batch", "micro_batch", "iterations"):
            _refuse_unless(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _refuse_unless(self.answers >= 2, "answers", self.answers, "at least 2")
        _divides("answers", self.answers, "rollout_batch", self.rollout_batch)
        _divides("micro_batch", self.micro_batch, "train_batch", self.train_batch)
        _divides("micro_batch", self.micro_batch, "rollout_batch", self.rollout_batch)
        if self.parts.pre_clip:
            self._refuse_idle_pre_clip()
        if self.parts.advantage_filter and largest_standardised(self.rollout_batch) <= self.sigmas:
            most = largest_standardised(self.rollout_batch)
            raise BadInputError(
                f"rollout_batch == {self.rollout_batch}, must be larger for a filter at {self.sigmas:g} sigma to act: "
                f"none of so many standardised rewards exceeds {most:.3f}"
            )

    def _refuse_idle_pre_clip(self) -> None:
        """Ratios differ from 1 only from the second step on a rollout; a clamp within PPO's clip would replace it."""
        if self.rollout_batch * self.iterations <= self.train_batch:
            raise BadInputError(
                f"rollout_batch == {self.rollout_batch}, must be more than train_batch == {self.train_batch} at "
                f"iterations == {self.iterations}: with one step a rollout Pre-Clip does nothing"
            )
        least = max(1.0 + self.clip, 1.0 / (1.0 - self.clip))
        if self.ratio_clamp <= least:
            raise BadInputError(
                f"ratio_clamp == {self.ratio_clamp:g}, must be more than {least:g}: PPO clips at {self.clip:g}"
            )

    def accumulation(self, *, processes: int = 1) -> int:
        """Micro-batches a step; raises `BadInputError` where the processes do not divide them."""
        _divides("micro_batch x processes", self.micro_batch * processes, "train_batch", self.train_batch)
        return self.train_batch // (self.micro_batch * processes)

    def steps_per_rollout(self, *, processes: int = 1) -> int:
        """Micro-batches a rollout; raises `BadInputError` where the processes do not divide them."""
        _divides("micro_batch x processes", self.micro_batch * processes, "rollout_batch", self.rollout_batch)
        return self.rollout_batch // (self.micro_batch * processes)


def largest_standardised(n: int) -> float:
    """The most that one of n values can be when they are standardised by their sample deviation: (n - 1) / sqrt(n).

    Let one value lie x above the mean. The others sum to -x below it, and their squares are least when all are equal:
    x^2 / (n - 1). So the variance is at least (x^2 + x^2 / (n - 1)) / (n - 1) = x^2 n / (n - 1)^2, and x over its root
    at most (n - 1) / sqrt(n). That exceeds 3 from n = 11 on: of 10 or fewer rewards none is ever filtered.
    """
    return (n - 1) / math.sqrt(n) if n > 0 else 0.0


def _refuse_unless(holds: bool, name: str, value: float, rule: str) -> None:
    if not holds:
        raise BadInputError(f"{name} == {value}, must be {rule}")


def _divides(name: str, value: int, whole: str, of: int) -> None:
    if of % value:
        raise BadInputError(f"{name} == {value}, must divide {whole} == {of}")
