"""An experiment and its users' moments in, one `Analysis` out; or the reason why nothing may be said.

read -> refuse broken data -> estimates -> breakdowns -> guardrails -> daily looks -> power -> verdict
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from ab_tests.inference.estimates import estimate
from ab_tests.inference.families import adjusted, with_adjusted_p
from ab_tests.inference.guardrails import judge_guardrail
from ab_tests.inference.heterogeneity import cochran_q
from ab_tests.inference.power import Grown, power_of
from ab_tests.inference.sequences import Looked, follow
from ab_tests.metrics import FOLLOWED_DAYS, METRICS, Metric
from ab_tests.population import ACTIVITIES, Moments, ReadMoments, population_of, sample_ratio_of
from ab_tests.results import (
    Analysis,
    ArmVerdict,
    Breakdown,
    Correction,
    Estimate,
    GuardrailResult,
    Part,
    Population,
    Power,
    Unmeasured,
)
from ab_tests.results import Sequence as Looks
from ab_tests.verdict import judge_arm, judge_unmeasured
from contracts.errors import BadInputError
from contracts.experiments import Experiment, MetricName
from contracts.viewers import Surface

SHARED = (
    "Arms share videos, reports and precedents: what one arm's users report changes what the other's are shown, so "
    "the effect measured here is not that of launching to all: it may be smaller or larger."
)
BY_SURFACE = (
    "Users are the same on every surface, so the surfaces' estimates depend on each other and are not tested against "
    "each other; sessions have no surface, so only metrics of impressions are given."
)
BY_ACTIVITY = (
    "Segments are by days active in the pre-period and share no users. A segment's own p-value was not planned: "
    "believe a difference between segments when Cochran's Q finds one."
)

UNSEEN = (
    "Toxic exposure counts videos ruled violative until now: a lower bound in every arm, which later rulings raise, "
    "for days gone by too."
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every step needs to know of the experiment."""

    experiment: Experiment
    metrics: tuple[Metric, ...]
    correction: Correction
    cuped: bool
    planned_days: int

    @property
    def treatments(self) -> tuple[str, ...]:
        return tuple(variant.name for variant in self.experiment.variants[1:])

    @property
    def alpha_per_arm(self) -> float:
        """The primary metric is tested once an arm, so alpha is divided among them (Bonferroni)."""
        return self.experiment.alpha / len(self.treatments)


def analyse(
    experiment: Experiment,
    read: ReadMoments,
    *,
    through: date,
    correction: Correction = "fdr",
    planned_days: int | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Analysis:
    """Everything that can be said of `experiment` after `through`; `tick` is called `reads_of` times, once a read.

    `planned_days` is how long it was to run when it began, by default what its dates say: who moves `ends_on` while it
    runs must keep what was planned, or the daily bands hold for a plan made after looking.

    Raises `BadInputError` for a day before the start, `BlockedError` for data that allow no verdict.
    """
    if through < experiment.starts_on:
        raise BadInputError(f"through == {through}, must not be before starts_on == {experiment.starts_on}")
    asked = _Asked(
        experiment,
        metrics_of(experiment),
        correction,
        cuped=experiment.pre_period_days > 0,
        planned_days=planned_days or experiment.days,
    )

    def ticked(day: date, surface: Surface | None = None) -> Moments:
        moments = read(through=day, surface=surface)
        tick()
        return moments

    now = ticked(through)
    population = population_of(experiment, now, cuped=asked.cuped)
    sample_ratio = sample_ratio_of(experiment, now, population)
    estimates, unmeasured = _estimates(asked, now, asked.metrics)
    by_surface = _breakdown_by_surface(asked, {surface: ticked(through, surface) for surface in experiment.surfaces})
    days = [experiment.starts_on + timedelta(days=i) for i in range((through - experiment.starts_on).days)]
    looks = _looks(asked, [*((day, ticked(day)) for day in days), (through, now)])
    guardrails = tuple(
        judge_guardrail(found, guardrail.margin, alpha=experiment.alpha)
        for guardrail in experiment.guardrails
        for found in estimates
        if found.metric is guardrail.metric
    )
    power = tuple(_power(asked, now, sequence) for sequence in looks)
    verdicts = tuple(_verdict(asked, arm, looks, power, guardrails, unmeasured) for arm in asked.treatments)
    return Analysis(
        experiment=experiment,
        through=through,
        definitions=tuple(metric.define(cuped=asked.cuped) for metric in asked.metrics),
        population=population,
        sample_ratio=sample_ratio,
        correction=correction,
        estimates=with_adjusted_p(estimates, correction),
        unmeasured=unmeasured,
        breakdowns=(by_surface, _breakdown_by_activity(asked, now)),
        guardrails=guardrails,
        sequences=looks,
        power=power,
        verdicts=verdicts,
        caveats=_caveats(asked, population, estimates, now),
    )


def metrics_of(experiment: Experiment) -> tuple[Metric, ...]:
    """The metrics to estimate: the experiment's own, then those of its guardrails."""
    names = dict.fromkeys([*experiment.metrics, *(guardrail.metric for guardrail in experiment.guardrails)])
    return tuple(METRICS[name] for name in names)


def reads_of(experiment: Experiment, through: date) -> int:
    """How many per-user tables `analyse` reads: one a day, and one a surface."""
    return max((through - experiment.starts_on).days + 1, 1) + len(experiment.surfaces)


def _estimates(
    asked: _Asked, moments: Moments, metrics: Sequence[Metric], *, activity: str | None = None, part: str = "all"
) -> tuple[tuple[Estimate, ...], tuple[Unmeasured, ...]]:
    """Every metric of every arm; an arm without users in this part is left out of it."""
    control = asked.experiment.control.name
    present = [arm for arm in asked.treatments if moments.users(arm, activity) and moments.users(control, activity)]
    tried = [
        estimate(
            metric,
            moments.arm(control, activity),
            moments.arm(arm, activity),
            variant=arm,
            part=part,
            alpha=asked.experiment.alpha,
            cuped=asked.cuped,
        )
        for metric in metrics
        for arm in present
    ]
    found = tuple(one for one in tried if isinstance(one, Estimate))
    return found, tuple(one for one in tried if isinstance(one, Unmeasured))


def _breakdown_by_surface(asked: _Asked, by_surface: Mapping[Surface, Moments]) -> Breakdown:
    metrics = [metric for metric in asked.metrics if metric.by_surface]
    names = [variant.name for variant in asked.experiment.variants]
    parts = [
        Part(surface.value, sum(map(moments.users, names)), _estimates(asked, moments, metrics, part=surface.value)[0])
        for surface, moments in by_surface.items()
    ]
    return Breakdown("surface", _adjusted_parts(parts, asked.correction), (), BY_SURFACE)


def _breakdown_by_activity(asked: _Asked, moments: Moments) -> Breakdown:
    names = [variant.name for variant in asked.experiment.variants]
    parts = []
    for activity in ACTIVITIES:
        users = sum(moments.users(name, activity) for name in names)
        found, _ = _estimates(asked, moments, asked.metrics, activity=activity, part=activity)
        if users:
            parts.append(Part(activity, users, found))
    tests = [
        test
        for metric in asked.metrics
        for arm in asked.treatments
        if (
            test := cochran_q(
                [e for part in parts for e in part.estimates if (e.metric, e.variant) == (metric.name, arm)]
            )
        )
    ]
    p_values = adjusted([test.p_value for test in tests], asked.correction)
    heterogeneity = tuple(replace(test, adjusted_p=p) for test, p in zip(tests, p_values, strict=True))
    return Breakdown("activity", _adjusted_parts(parts, asked.correction), heterogeneity, BY_ACTIVITY)


def _adjusted_parts(parts: Sequence[Part], correction: Correction) -> tuple[Part, ...]:
    """All estimates of a breakdown are one family."""
    family = iter(with_adjusted_p([estimate for part in parts for estimate in part.estimates], correction))
    return tuple(replace(part, estimates=tuple(next(family) for _ in part.estimates)) for part in parts)


def _looks(asked: _Asked, days: Sequence[tuple[date, Moments]]) -> tuple[Looks, ...]:
    """The daily looks of every metric and arm that could be measured on some day, the primary metric first."""
    experiment = asked.experiment
    by_test: dict[tuple[str, str], list[Looked]] = {}
    for day, moments in days:
        for found in _estimates(asked, moments, asked.metrics)[0]:
            number = (day - experiment.starts_on).days + 1
            by_test.setdefault((found.metric, found.variant), []).append(Looked(number, day, found))
    alphas = {experiment.primary: asked.alpha_per_arm}
    order = sorted(by_test, key=lambda test: test[0] != experiment.primary)
    return tuple(
        follow(
            by_test[test],
            planned_looks=asked.planned_days,
            alpha=alphas.get(by_test[test][0].estimate.metric, experiment.alpha),
        )
        for test in order
    )


def _power(asked: _Asked, moments: Moments, sequence: Looks) -> Power:
    experiment = asked.experiment
    return power_of(
        METRICS[sequence.metric],
        moments.arm(experiment.control.name),
        moments.arm(sequence.variant),
        [Grown(look.number, look.information) for look in sequence.looks],
        variant=sequence.variant,
        smallest_effect=experiment.smallest_effect,
        alpha=sequence.alpha,
        power=experiment.power,
        cuped=asked.cuped,
    )


def _verdict(
    asked: _Asked,
    arm: str,
    looks: Sequence[Looks],
    power: Sequence[Power],
    guardrails: Sequence[GuardrailResult],
    unmeasured: Sequence[Unmeasured],
) -> ArmVerdict:
    primary = asked.experiment.primary
    for missing in unmeasured:
        if (missing.metric, missing.variant) == (primary, arm):
            return judge_unmeasured(missing)
    sequence = next(one for one in looks if (one.metric, one.variant) == (primary, arm))
    planned = next((one for one in power if (one.metric, one.variant) == (primary, arm)), None)
    return judge_arm(asked.experiment, sequence, planned, [g for g in guardrails if g.variant == arm])


def _caveats(asked: _Asked, population: Population, estimates: Sequence[Estimate], now: Moments) -> tuple[str, ...]:
    """Sentences that limit what may be concluded, the most important first."""
    days = (population.through - asked.experiment.starts_on).days + 1
    found = [SHARED]
    if not asked.cuped:
        found.append("CUPED is off: the experiment has no pre-period (pre_period_days == 0), intervals are wider.")
    elif without := [
        METRICS[one.metric].name_in_sentence for one in estimates if not one.cuped and METRICS[one.metric].covariate
    ]:
        names = ", ".join(dict.fromkeys(without))
        found.append(f"CUPED is off for {names}: nothing was recorded in the pre-period, intervals are wider.")
    if any(metric.name is MetricName.TOXIC_EXPOSURE for metric in asked.metrics):
        found.append(UNSEEN)
    if days < asked.planned_days:
        found.append(
            f"This is day {days} of {asked.planned_days}. The bands hold on every day; other intervals and p-values "
            "hold for one look at the end."
        )
    if days > asked.planned_days:
        found.append(
            f"{asked.planned_days} days were planned and this is day {days}; looks beyond the plan use the wider "
            "anytime-valid band."
        )
    if population.several_variants:
        found.append(
            f"{population.several_variants} users ({population.several_variants_share:.2%}) saw several variants and "
            "were left out."
        )
    if now.outdated:
        days_named = ", ".join(map(str, now.outdated))
        found.append(f"Rows came in since these days were summed up, and are not in here: {days_named}.")
    if now.missing:
        days_named = ", ".join(map(str, now.missing))
        found.append(f"No row of these days ever came, as if nobody had been there: {days_named}.")
    if days <= FOLLOWED_DAYS and any(metric.name is MetricName.RETENTION for metric in asked.metrics):
        found.append(f"Retention is known from day {FOLLOWED_DAYS + 1} on.")
    return tuple(found)
