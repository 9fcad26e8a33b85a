"""Experiments as data: who may enter, which arms there are, what is measured, and when."""

from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.records import Id, Probability, Record, Version
from contracts.viewers import Surface

N_BUCKETS = 10_000
"""A layer divides its users into this many equal buckets; an experiment owns a range of them."""


class MetricName(StrEnum):
    """What an experiment may be judged by; definitions stand in `ab_tests.metrics`."""

    REPORT_RATE = "report_rate"
    ACTIVE_DAYS = "active_days"
    USAGE_TIME_PER_USER = "usage_time_per_user"
    USAGE_TIME_TOTAL = "usage_time_total"
    RETENTION = "retention"
    TOXIC_SHARE = "toxic_share"
    TOXIC_EXPOSURE = "toxic_exposure"
    IMPRESSIONS_PER_USER = "impressions_per_user"


class Subject(StrEnum):
    """What the arms change: how candidates are ranked, or which release's decisions are obeyed."""

    RANKING = "ranking"
    MODERATION = "moderation"


class Variant(Record):
    """One arm: its share of the experiment's users, and what it changes.

    `ranking` overrides fields of the ranker's policy by name; `decisions` says whose decisions the arm obeys, those
    of the live release or those of the candidate that the verdict carries beside them.
    """

    name: Id
    share: Annotated[float, Field(gt=0.0, le=1.0)]
    ranking: dict[str, float | str] = Field(default_factory=dict)
    decisions: Literal["live", "candidate"] = "live"


class Guardrail(Record):
    """A metric that must not get worse by more than `margin`, as a share of the control's mean."""

    metric: MetricName
    margin: Probability


class Experiment(Record):
    """An A/B test: arms, population, metrics and dates; both days belong to it.

    The first variant is the control. `buckets` are a half-open range of the layer's `N_BUCKETS`: experiments of one
    layer exclude each other, those of different layers are independent. `smallest_effect` is the relative change of
    the primary metric that would matter: what X is in "no difference larger than X". `candidate_release` is whose
    decisions `decisions == "candidate"` means: the arm obeys no other candidate that the pointer names meanwhile.
    """

    experiment_id: Id
    hypothesis: Annotated[str, Field(min_length=1, max_length=2_000)]
    subject: Subject
    layer: Id
    buckets: tuple[Annotated[int, Field(ge=0, le=N_BUCKETS)], Annotated[int, Field(ge=0, le=N_BUCKETS)]]
    salt: Id
    variants: Annotated[tuple[Variant, ...], Field(min_length=2, max_length=16)]
    primary: MetricName
    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1)]
    guardrails: tuple[Guardrail, ...] = ()
    surfaces: Annotated[tuple[Surface, ...], Field(min_length=1)] = tuple(Surface)
    starts_on: date
    ends_on: date
    pre_period_days: Annotated[int, Field(ge=0, le=90)] = 14
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    power: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.8
    smallest_effect: Annotated[float, Field(gt=0.0, lt=1.0)]
    candidate_release: Version | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        _once("variants", (variant.name for variant in self.variants))
        _once("metrics", (metric.value for metric in self.metrics))
        _once("guardrails", (guardrail.metric.value for guardrail in self.guardrails))
        _once("surfaces", (surface.value for surface in self.surfaces))
        total = sum(variant.share for variant in self.variants)
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"shares of the variants sum to {total:.9g}, must be 1")
        if self.buckets[0] >= self.buckets[1]:
            raise ValueError(f"buckets == {list(self.buckets)}, the first must be smaller than the second")
        if self.primary not in self.metrics:
            raise ValueError(f"primary == {self.primary.value}, must be one of metrics")
        if any(guardrail.metric is self.primary for guardrail in self.guardrails):
            raise ValueError(f"guardrails name {self.primary.value}, must not be the primary metric")
        if self.ends_on < self.starts_on:
            raise ValueError(f"ends_on == {self.ends_on}, must not be before starts_on == {self.starts_on}")
        if self.subject is Subject.RANKING and any(variant.decisions != "live" for variant in self.variants):
            raise ValueError("decisions == 'candidate' needs subject == 'moderation'")
        if self.subject is Subject.MODERATION and all(variant.decisions == "live" for variant in self.variants):
            raise ValueError("subject == 'moderation', a variant must have decisions == 'candidate'")
        if (self.subject is Subject.MODERATION) != (self.candidate_release is not None):
            raise ValueError(
                f"candidate_release == {self.candidate_release}, must name a release where subject == 'moderation', "
                "and there alone"
            )
        if self.subject is Subject.MODERATION and any(variant.ranking for variant in self.variants):
            raise ValueError("ranking is overridden, must not be where subject == 'moderation': two changes in one arm")
        return self

    @property
    def control(self) -> Variant:
        return self.variants[0]

    @property
    def days(self) -> int:
        """How many days it runs, both ends counted."""
        return (self.ends_on - self.starts_on).days + 1

    def runs_on(self, day: date) -> bool:
        """Whether the day, in UTC, belongs to it."""
        return self.starts_on <= day <= self.ends_on

    def overlaps(self, other: "Experiment") -> bool:
        """Whether there is a day on which both run."""
        return self.starts_on <= other.ends_on and other.starts_on <= self.ends_on

    @property
    def changes(self) -> frozenset[str]:
        """What its arms change: fields of the ranker's policy, or `decisions`."""
        if self.subject is Subject.MODERATION:
            return frozenset({"decisions"})
        return frozenset(name for variant in self.variants for name in variant.ranking)


class Experiments(Record):
    """All experiments of a platform, none of which disturbs another.

    Those of one layer that run at the same time must not share a bucket; those of different layers have users in
    common, so they must not change the same thing. No two ever share a salt: the second would inherit the first's arms.
    """

    experiments: tuple[Experiment, ...]

    @model_validator(mode="after")
    def _undisturbed(self) -> Self:
        _once("experiments", (experiment.experiment_id for experiment in self.experiments))
        _once("salts", (experiment.salt for experiment in self.experiments))
        for first, second in combinations(self.experiments, 2):
            if not first.overlaps(second):
                continue
            both = f"{first.experiment_id} and {second.experiment_id}"
            low, high = max(first.buckets[0], second.buckets[0]), min(first.buckets[1], second.buckets[1])
            if first.layer == second.layer and low < high:
                raise ValueError(
                    f"{both} both own buckets {low} to {high} of layer {first.layer!r} at the same time, "
                    "must be disjoint"
                )
            if first.layer != second.layer and (shared := sorted(first.changes & second.changes)):
                raise ValueError(
                    f"{both} both change {shared[0]} at the same time, must share a layer: users in both would get "
                    "only one of the two"
                )
        return self

    def running_on(self, day: date) -> tuple[Experiment, ...]:
        """Those that run on a day, in UTC."""
        return tuple(experiment for experiment in self.experiments if experiment.runs_on(day))


def _once(what: str, names: Iterable[str]) -> None:
    given = list(names)
    if repeated := sorted({name for name in given if given.count(name) > 1}):
        raise ValueError(f"{what} repeat {', '.join(repeated)}, each must stand once")
