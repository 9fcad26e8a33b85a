"""A parent, what taught it and what was ruled since in; the next policy out, in memory.

old cases, the newly ruled left out -+
                                     +-> mixed -> words fitted anew, the fused part from the parent's weights
newly ruled cases -------------------+         -> calibrated, precedents embedded anew, lines by cost
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from contracts.errors import BadInputError
from contracts.releases import InputShape
from contracts.taxonomy import Category
from policy.casebook import Evidence
from policy.costs import Costs
from policy.fusion import FusionSettings, weights_of
from policy.refresh.mining import choose_mixture
from policy.refresh.run import EPOCHS, LEARNING_RATE
from policy.train import Inheritance, Policy, Tick, TrainSettings, run_student, train
from serving.student import Student

SHARE = "violative_share"
"""The measure under which a release keeps the share of violative videos that its probabilities hold for."""


@dataclass(frozen=True, slots=True)
class RefreshSettings:
    """How a refresh learns: from how many cases, for how many epochs from the parent's weights, by which costs."""

    cases_at_most: int = 20_000
    epochs: int = EPOCHS
    learning_rate: float = LEARNING_RATE
    costs: Costs = field(default_factory=Costs)


def refresh_policy(
    parent: Policy,
    old: Sequence[Evidence],
    new: Sequence[Evidence],
    *,
    settings: RefreshSettings | None = None,
    seed: int = 0,
    tick: Tick = lambda _: None,
) -> Policy:
    """Train the policy after `parent` from what taught it and what was ruled since, of one video the newer ruling.

    Its probabilities hold for the share of violative videos that the parent's hold for: what comes before reviewers
    is no sample of the uploads. Raises `BadInputError` without a new ruling, with contradictory ones or with one
    category alone, `CheckFailedError` when training diverges.
    """
    settings = settings or RefreshSettings()
    mixed = choose_mixture(old, new, at_most=settings.cases_at_most, seed=seed)
    share = parent.metrics.get(SHARE, violative_share(old or new))
    fused = parent.student.shape.fused
    return train_from(
        Inheritance(
            weights_of(parent.student) if fused else None,
            lambda inputs: run_student(parent.student, inputs)[1],
            {item.case.case_id for item in new},
            frozenset(parent.casebook.case_ids),
        ),
        [(old, new)[side][row] for side, row in mixed],
        settings=train_settings(settings, inputs_of(parent.student), share=share, fused=fused),
        seed=seed,
        tick=tick,
    )


def train_from(
    inherited: Inheritance,
    evidence: Sequence[Evidence],
    *,
    settings: TrainSettings,
    seed: int,
    tick: Tick = lambda _: None,
) -> Policy:
    """Train from what a parent leaves; the policy remembers which share of violative videos it holds for."""
    policy = train(evidence, settings=settings, seed=seed, inherited=inherited, tick=tick, progress=tick)
    share = settings.violative_share
    return policy if share is None else replace(policy, metrics=policy.metrics | {SHARE: share})


def train_settings(
    settings: RefreshSettings, inputs: InputShape, *, share: float | None, fused: bool | None
) -> TrainSettings:
    """What `train` is told by a refresh."""
    fusion = FusionSettings(epochs=settings.epochs, learning_rate=settings.learning_rate)
    return TrainSettings(inputs=inputs, fusion=fusion, fused=fused, violative_share=share, costs=settings.costs)


def inputs_of(student: Student) -> InputShape:
    """The shape of a student's inputs, as trainings have it, with its own number of buckets."""
    return TrainSettings().inputs.model_copy(update={"text_buckets": student.shape.buckets})


def violative_share(evidence: Sequence[Evidence]) -> float:
    """Share of violative cases."""
    if not evidence:
        raise BadInputError("0 cases, the share of violative ones needs at least one")
    return sum(item.case.category is not Category.POSITIVE for item in evidence) / len(evidence)
