"""A viewer and their candidates in; one ordered list out, as their arms ask, and the exposures to log.

    running experiments -> the viewer's arms -> policy, whose decisions -> rank -> { list, exposures }

A viewer is exposed to an experiment where its arm took effect: where another of its arms would have shown them
another list. Every arm is ranked for, all else as it is served, so the condition is the same whichever arm the viewer
has: the exposed of the arms can be compared, and users whose lists no arm touches do not dilute what is estimated.
(From the first exposure on a user counts for good, so that what later lists do to the condition does not matter.)
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from contracts.experiments import Experiment, Experiments, Variant
from contracts.viewers import ExperimentExposure, Surface
from features.lookup import AuthorFeatures, VideoFeatures, ViewerFeatures
from features.rank import DEFAULT_POLICY, Candidates, Decisions, Ranked, RankPolicy, rank

Assign = Callable[[Experiment, Sequence[str]], npt.NDArray[np.int8]]


@dataclass(frozen=True, slots=True)
class Arm:
    """The variant of an experiment that a viewer has."""

    experiment: Experiment
    variant: Variant


@dataclass(frozen=True, slots=True)
class Served:
    """A list as served, and the exposures to experiments whose other arms would have served another."""

    ranked: Ranked
    exposures: tuple[ExperimentExposure, ...]


class Feed:
    """Serves lists under a set of experiments; `assign` gives the place of a user's variant, or -1.

    Raises `BadInputError` at once when a variant overrides what is no field of the ranker's policy.
    """

    def __init__(self, experiments: Experiments, assign: Assign, *, policy: RankPolicy = DEFAULT_POLICY) -> None:
        self._experiments = experiments
        self._assign = assign
        self._policy = policy
        for experiment in experiments.experiments:
            for variant in experiment.variants:
                self._policy_of([Arm(experiment, variant)])

    def arms_of(self, user_id: str, surface: Surface, now: datetime) -> tuple[Arm, ...]:
        """The viewer's arms in the experiments that run on this surface today, in UTC."""
        return tuple(
            Arm(experiment, experiment.variants[place])
            for experiment in self._experiments.running_on(now.astimezone(UTC).date())
            if surface in experiment.surfaces and (place := int(self._assign(experiment, [user_id])[0])) >= 0
        )

    def serve(
        self,
        candidates: Candidates,
        features: VideoFeatures,
        viewer: ViewerFeatures,
        *,
        surface: Surface,
        now: datetime,
        authors: AuthorFeatures | None = None,
        length: int | None = None,
    ) -> Served:
        """Rank for a viewer; `length` is how much of the list they can see, None for all of it."""
        arms = self.arms_of(viewer.user_id, surface, now)

        def list_under(those: Sequence[Arm]) -> Ranked:
            return rank(candidates, features, viewer, self._policy_of(those), authors=authors, **_decisions_of(those))

        served = list_under(arms)
        exposures = []
        for place, arm in enumerate(arms):
            others = (variant for variant in arm.experiment.variants if variant is not arm.variant)
            lists = (list_under([*arms[:place], Arm(arm.experiment, other), *arms[place + 1 :]]) for other in others)
            if any(each.video_ids[:length] != served.video_ids[:length] for each in lists):
                exposures.append(_exposure(arm, viewer.user_id, surface, now))
        return Served(served, tuple(exposures))

    def _policy_of(self, arms: Iterable[Arm]) -> RankPolicy:
        """The policy that arms ask for together; experiments that run together never override the same field."""
        policy = self._policy
        for arm in arms:
            place = f"experiment {arm.experiment.experiment_id!r}, variant {arm.variant.name!r}"
            policy = policy.overridden(arm.variant.ranking, place=place)
        return policy


class _Obeyed(TypedDict):
    decisions: Decisions
    candidate_release: int | None


def _decisions_of(arms: Iterable[Arm]) -> _Obeyed:
    """Whose decisions the arms obey: at most one experiment on moderation runs for a viewer at a time."""
    for arm in arms:
        if arm.variant.decisions == "candidate":
            return {"decisions": "candidate", "candidate_release": arm.experiment.candidate_release}
    return {"decisions": "live", "candidate_release": None}


class Unsent:
    """Lets each exposure through once, as far as it remembers; the warehouse drops what comes twice after all."""

    def __init__(self, *, remembered: int = 500_000) -> None:
        self._remembered = remembered
        self._sent: OrderedDict[str, None] = OrderedDict()

    def of(self, exposures: Iterable[ExperimentExposure]) -> list[ExperimentExposure]:
        """Those that did not come before; the ones not met for longest are forgotten first."""
        new = []
        for exposure in exposures:
            if exposure.event_id not in self._sent:
                new.append(exposure)
            self._sent[exposure.event_id] = None
            self._sent.move_to_end(exposure.event_id)
        while len(self._sent) > self._remembered:
            self._sent.popitem(last=False)
        return new


def _exposure(arm: Arm, user_id: str, surface: Surface, now: datetime) -> ExperimentExposure:
    return ExperimentExposure.once_a_day(
        user_id=user_id,
        experiment_id=arm.experiment.experiment_id,
        variant=arm.variant.name,
        exposed_at=now,
        surface=surface,
    )
