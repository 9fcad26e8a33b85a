"""An `Analysis` in; what both reports say of it, and in which order, out. What may not be said is decided here, once.

Analysis -> Blocked                 when a check of its data alarms: no effect passes
         -> rows -> panels          every metric of an arm, primary first, rows of one size on one axis
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from math import isfinite

from ab_tests.metrics import METRICS
from ab_tests.results import (
    Analysis,
    Breakdown,
    Definition,
    Direction,
    Estimate,
    GuardrailResult,
    Interval,
    Look,
    Part,
    Population,
    SampleRatio,
)
from ab_tests.results import Sequence as Looks
from contracts.experiments import Experiment, MetricName

UNSEEN_LEAKS = (
    "A leak that takes as many, and as active, users from every arm.",
    "Users who were counted in an arm that they did not get.",
    "Events lost after exposure while the user stays counted: the arm keeps its size and loses its reports.",
)
"""What the sample-ratio check cannot see (`ab_tests.inference.sample_ratio`)."""
WIDEST_IN_PANEL = 8.0
"""Rows whose reach differs by more get an axis of their own: beside -24%, an interval of ±0.1% is a dot."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """An analysis that may not be believed: why, and what is known of the users all the same."""

    experiment: Experiment
    through: date
    reason: str
    sample_ratio: SampleRatio | None = None
    population: Population | None = None


class Tone(StrEnum):
    """How an effect may be called."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "not clear"
    UNMEASURED = "not measured"


class Role(StrEnum):
    """Why a metric is in the report."""

    PRIMARY = "primary metric"
    GUARDRAIL = "guardrail"
    OTHER = "other metric"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one arm; without an estimate `missing` says why."""

    definition: Definition
    variant: str
    role: Role
    estimate: Estimate | None
    band: Interval | None
    tone: Tone
    guardrail: GuardrailResult | None
    missing: str

    @property
    def margin(self) -> float | None:
        """The relative effect at which the guardrail breaks: above 0 where less is better."""
        if self.guardrail is None:
            return None
        return self.guardrail.margin if self.definition.direction is Direction.LOWER else -self.guardrail.margin

    @property
    def reach(self) -> float:
        """How far from 0 it must be drawn."""
        ends = (self.estimate.relative_interval.low, self.estimate.relative_interval.high) if self.estimate else ()
        return max((abs(end) for end in (*ends, self.margin or 0.0) if isfinite(end)), default=0.0)


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows of one role that can share an axis."""

    role: Role
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class PartRow:
    """One metric of one arm in one surface or segment."""

    name: str
    users: int
    estimate: Estimate | None
    tone: Tone


def blocked_of(analysis: Analysis) -> Blocked | None:
    """Why nothing may be concluded from `analysis`; None when its data passed their checks."""
    ratio = analysis.sample_ratio
    empty = [arm.variant for arm in analysis.population.arms if arm.users == 0]
    reason = ""
    if empty:
        reason = f"{' and '.join(empty)} had no users, so there is nothing to compare."
    elif ratio.alarms:
        failed = " and ".join(name for name, p in checks_of(ratio) if alarmed(p, ratio))
        reason = (
            f"The sample-ratio check failed: {failed}. "
            "Users were lost, or the arms were not alike before it began, so any difference between them may come "
            "from that."
        )
    elif not analysis.verdicts:
        reason = "The analysis came to no verdict of any arm."
    if not reason:
        return None
    return Blocked(analysis.experiment, analysis.through, reason, ratio, analysis.population)


def checked(finding: Analysis | Blocked) -> Analysis | Blocked:
    """What may be reported of `finding`: an analysis only when it may be believed."""
    return finding if isinstance(finding, Blocked) else blocked_of(finding) or finding


def days_so_far(found: Analysis | Blocked) -> int:
    """Which day of the experiment the last one counted is, its first being 1."""
    return (found.through - found.experiment.starts_on).days + 1


def planned_days(found: Analysis | Blocked) -> int:
    """How many looks were planned; what the dates say where there is no look."""
    sequences = () if isinstance(found, Blocked) else found.sequences
    return sequences[0].planned_looks if sequences else found.experiment.days


def checks_of(ratio: SampleRatio) -> tuple[tuple[str, float | None], ...]:
    """The tests of the sample-ratio check by what they compare, with their p-values (None: could not be made)."""
    return (
        ("sizes of the arms", ratio.p_value),
        ("sizes within segments of activity", ratio.segments_p_value),
        ("what users did before it began", ratio.balance_p_value),
    )


def alarmed(p_value: float | None, ratio: SampleRatio) -> bool:
    return p_value is not None and p_value < ratio.threshold


def treatments_of(experiment: Experiment) -> tuple[str, ...]:
    return tuple(variant.name for variant in experiment.variants[1:])


def definitions_of(experiment: Experiment) -> tuple[Definition, ...]:
    """The metrics that an experiment asks for, where no analysis names them."""
    names = dict.fromkeys([*experiment.metrics, *(guardrail.metric for guardrail in experiment.guardrails)])
    return tuple(METRICS[name].define(cuped=experiment.pre_period_days > 0) for name in names)


def rows_of(analysis: Analysis, variant: str) -> tuple[Row, ...]:
    """Every metric of an arm, measured or not: the primary metric, guardrails, then the others."""
    rows = [_row(analysis, definition, variant) for definition in analysis.definitions]
    return tuple(sorted(rows, key=lambda row: list(Role).index(row.role)))


def panels_of(rows: Iterable[Row]) -> tuple[Panel, ...]:
    """The rows by role, and where their sizes differ too much for one axis, by size."""
    panels: list[list[Row]] = []
    for row in rows:
        together = next((panel for panel in panels if _fits(row, panel)), None)
        if together is None:
            panels.append([row])
        else:
            together.append(row)
    order = sorted(panels, key=lambda panel: list(Role).index(panel[0].role))
    return tuple(Panel(panel[0].role, tuple(panel)) for panel in order)


def parts_of(breakdown: Breakdown, metric: MetricName, variant: str, *, alpha: float) -> tuple[PartRow, ...]:
    """A metric of an arm in every part; parts have no bands, so their adjusted p alone says what is sure."""
    return tuple(_part_row(part, metric, variant, alpha) for part in breakdown.parts)


def looks_of(analysis: Analysis, metric: MetricName, variant: str) -> Looks | None:
    found = (one for one in analysis.sequences if (one.metric, one.variant) == (metric, variant) and one.looks)
    return next(found, None)


def last_look(analysis: Analysis, metric: MetricName, variant: str) -> Look | None:
    sequence = looks_of(analysis, metric, variant)
    return sequence.looks[-1] if sequence else None


def tone_of(relative: float, direction: Direction, *, sure: bool) -> Tone:
    """An effect that is not sure, or is none, is not clear; what its direction means is the metric's."""
    if not sure or relative == 0.0 or not isfinite(relative):
        return Tone.UNCLEAR
    return Tone.BETTER if (relative > 0.0) is (direction is Direction.HIGHER) else Tone.WORSE


def measurable(estimate: Estimate | None) -> Estimate | None:
    """The estimate, when there is something to draw and to say."""
    return estimate if estimate is not None and isfinite(estimate.relative) else None


def _row(analysis: Analysis, definition: Definition, variant: str) -> Row:
    metric, experiment = definition.metric, analysis.experiment
    found = measurable(analysis.estimate(metric, variant))
    look = last_look(analysis, metric, variant)
    primary = metric is experiment.primary
    guardrail = next((g for g in analysis.guardrails if (g.metric, g.variant) == (metric, variant)), None)
    guarded = any(guardrail.metric is metric for guardrail in experiment.guardrails)
    tone = Tone.UNMEASURED
    if found is not None:
        crossed = look.crossed if look else not primary
        sure = crossed if primary else crossed and found.adjusted_p < experiment.alpha
        tone = tone_of(found.relative, definition.direction, sure=sure)
    reasons = [u.reason for u in analysis.unmeasured if (u.metric, u.variant, u.part) == (metric, variant, "all")]
    return Row(
        definition=definition,
        variant=variant,
        role=Role.PRIMARY if primary else Role.GUARDRAIL if guarded else Role.OTHER,
        estimate=found,
        band=look.band if look and found else None,
        tone=tone,
        guardrail=guardrail if found else None,
        missing="" if found else next(iter(reasons), "it has no finite estimate"),
    )


def _part_row(part: Part, metric: MetricName, variant: str, alpha: float) -> PartRow:
    matching = (one for one in part.estimates if (one.metric, one.variant) == (metric, variant))
    found = measurable(next(matching, None))
    if found is None:
        return PartRow(part.name, part.users, None, Tone.UNMEASURED)
    sure = found.adjusted_p < alpha
    tone = tone_of(found.relative, METRICS[metric].direction, sure=sure)
    return PartRow(part.name, part.users, found, tone)


def _fits(row: Row, panel: Sequence[Row]) -> bool:
    if row.role is not panel[0].role:
        return False
    reaches = [one.reach for one in (row, *panel) if one.reach > 0.0]
    return not reaches or max(reaches) <= WIDEST_IN_PANEL * min(reaches)
