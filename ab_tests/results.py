"""What an analysis found, as records: `analysis` makes one `Analysis`, `report` and the command line read it.

Shares and relative effects are fractions (0.02 is 2%). Every effect is treatment against control. Records are plain
dataclasses, so that orjson writes them as they are.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Literal

from contracts.experiments import Experiment, MetricName

Correction = Literal["fdr", "fwer"]
"""How p-values of several metrics and arms are adjusted: Benjamini-Hochberg, or Holm."""


class Direction(StrEnum):
    """Which way a metric goes when users are better off."""

    HIGHER = "higher"
    LOWER = "lower"


class Outcome(StrEnum):
    """What the primary metric says of an arm."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference"
    NOT_ENOUGH = "not enough users"


class GuardrailState(StrEnum):
    """A guardrail holds when its bound is inside the margin, fails when the opposite bound is outside."""

    HELD = "held"
    FAILED = "failed"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends of an interval; an end of a one-sided interval is infinite."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric means, as every report prints it; `covariate` is what CUPED adjusts it by."""

    metric: MetricName
    title: str
    formula: str
    unit: str
    direction: Direction
    covariate: str | None


@dataclass(frozen=True, slots=True)
class ArmCount:
    """How many users an arm has, beside its share of the plan."""

    variant: str
    share: float
    users: int


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Are the arms as large as planned, in all and within each segment, and were they alike before it began?

    `p_value` is of a chi-square test of the arms' sizes, `segments_p_value` of the same summed over segments of
    activity, `balance_p_value` the smallest adjusted p of pre-period differences (None without a pre-period).
    A p below `threshold` blocks the verdict.
    """

    arms: tuple[ArmCount, ...]
    statistic: float
    p_value: float
    segments_p_value: float | None
    balance_p_value: float | None
    threshold: float

    @property
    def alarms(self) -> bool:
        found = (self.p_value, self.segments_p_value, self.balance_p_value)
        return any(p is not None and p < self.threshold for p in found)


@dataclass(frozen=True, slots=True)
class Population:
    """Who was counted: users exposed within the window, and those left out because they saw several arms."""

    since: date
    through: date
    users: int
    several_variants: int
    arms: tuple[ArmCount, ...]
    cuped: bool

    @property
    def several_variants_share(self) -> float:
        seen = self.users + self.several_variants
        return self.several_variants / seen if seen else 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """The effect of one arm on one metric, in the metric's unit and relative to the control's mean.

    `log_se` is the standard error of the log of the ratio of means, from which the relative interval comes;
    `plain_interval` is the relative interval without CUPED. `p_value` is two-sided, `adjusted_p` after correction
    over the family that its place in the `Analysis` names.
    """

    metric: MetricName
    variant: str
    control_users: int
    treatment_users: int
    control: float
    treatment: float
    effect: float
    effect_interval: Interval
    relative: float
    relative_interval: Interval
    plain_interval: Interval
    log_se: float
    p_value: float
    adjusted_p: float
    cuped: bool

    @property
    def narrowing(self) -> float:
        """By which share CUPED made the relative interval narrower; 0 when it was off."""
        return 1.0 - self.relative_interval.width / self.plain_interval.width if self.cuped else 0.0


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A metric that could not be estimated in some part of the data, and why."""

    metric: MetricName
    variant: str
    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """One surface or segment: its users and its estimates."""

    name: str
    users: int
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Cochran's Q: does the relative effect differ between segments by more than chance?"""

    metric: MetricName
    variant: str
    q: float
    degrees_of_freedom: int
    p_value: float
    adjusted_p: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Estimates by surface or by activity; `note` says what may be compared."""

    by: Literal["surface", "activity"]
    parts: tuple[Part, ...]
    heterogeneity: tuple[Heterogeneity, ...]
    note: str


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """Non-inferiority: `bound` is the one-sided limit of the relative effect in the bad direction."""

    metric: MetricName
    variant: str
    margin: float
    relative: float
    bound: float
    p_value: float
    state: GuardrailState


@dataclass(frozen=True, slots=True)
class Look:
    """One daily look at everything up to `day`: the fixed interval, and the band that holds over all looks.

    `information` is 1 / `log_se`^2, `critical` the z-value that the band allows for.
    """

    number: int
    day: date
    users: int
    relative: float
    information: float
    fixed_interval: Interval
    critical: float
    band: Interval

    @property
    def crossed(self) -> bool:
        return 0.0 not in self.band


@dataclass(frozen=True, slots=True)
class Sequence:
    """The daily looks at one metric of one arm; together they raise a false alarm with probability `alpha` at most.

    Looks after `planned_looks` have the anytime-valid band, whose share of alpha was set aside.
    """

    metric: MetricName
    variant: str
    planned_looks: int
    alpha: float
    method: str
    looks: tuple[Look, ...]

    @property
    def first_crossing(self) -> Look | None:
        return next((look for look in self.looks if look.crossed), None)


@dataclass(frozen=True, slots=True)
class Power:
    """What the data so far can show of a metric, and how long it takes to show `smallest_effect`.

    `detectable` is the smallest relative effect found with the planned power now; `more_days` is 0 when
    `smallest_effect` is already reached and None when it is out of reach within a year at this growth.
    """

    metric: MetricName
    variant: str
    smallest_effect: float
    planned_power: float
    power: float
    detectable: float
    users: int
    users_needed: int
    days: int
    more_days: int | None
    growth: float


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """What is said of one arm, in one word and in one sentence."""

    variant: str
    outcome: Outcome
    sentence: str
    more_days: int | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that a report shows of an experiment; it exists only when no check of the data failed.

    `estimates` are one family for `correction`; each breakdown's estimates are a family of their own.
    `sequences` has the primary metric of every arm first. `caveats` are sentences that limit what may be concluded.
    """

    experiment: Experiment
    through: date
    definitions: tuple[Definition, ...]
    population: Population
    sample_ratio: SampleRatio
    correction: Correction
    estimates: tuple[Estimate, ...]
    unmeasured: tuple[Unmeasured, ...]
    breakdowns: tuple[Breakdown, ...]
    guardrails: tuple[GuardrailResult, ...]
    sequences: tuple[Sequence, ...]
    power: tuple[Power, ...]
    verdicts: tuple[ArmVerdict, ...]
    caveats: tuple[str, ...]

    def estimate(self, metric: MetricName, variant: str) -> Estimate | None:
        """The estimate of `metric` for `variant`, None when it could not be measured."""
        return next((e for e in self.estimates if (e.metric, e.variant) == (metric, variant)), None)
