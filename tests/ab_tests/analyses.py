"""Analyses to report on: better, worse, nothing, two arms, broken; made by the real judges from given effects."""

import math
from dataclasses import replace
from datetime import date, timedelta
from statistics import NormalDist

from ab_tests.analysis import BY_ACTIVITY, BY_SURFACE, SHARED
from ab_tests.inference.families import with_adjusted_p
from ab_tests.inference.guardrails import judge_guardrail
from ab_tests.inference.heterogeneity import cochran_q
from ab_tests.inference.sample_ratio import check_sample_ratio
from ab_tests.inference.sequences import Looked, follow
from ab_tests.metrics import METRICS
from ab_tests.results import (
    Analysis,
    ArmCount,
    Breakdown,
    Estimate,
    Interval,
    Part,
    Population,
    Power,
    Sequence,
    Unmeasured,
)
from ab_tests.verdict import judge_arm
from contracts.experiments import Experiment, MetricName
from tests.ab_tests.samples import experiment

Effects = dict[MetricName, tuple[float, float, float]]
"""By metric: the control's mean, the relative effect, and the standard error of its log on the last day."""

BETTER: Effects = {
    MetricName.REPORT_RATE: (0.00412, -0.238, 0.021),
    MetricName.ACTIVE_DAYS: (7.84, 0.0031, 0.0024),
    MetricName.USAGE_TIME_PER_USER: (2_412.0, 0.0047, 0.0031),
    MetricName.USAGE_TIME_TOTAL: (18_910.0, 0.0078, 0.0044),
    MetricName.RETENTION: (0.713, 0.0052, 0.0029),
    MetricName.TOXIC_SHARE: (0.0521, -0.342, 0.008),
    MetricName.TOXIC_EXPOSURE: (0.0031, -0.302, 0.009),
    MetricName.IMPRESSIONS_PER_USER: (212.4, -0.0012, 0.0051),
}
WORSE = BETTER | {
    MetricName.REPORT_RATE: (0.00412, 0.142, 0.022),
    MetricName.ACTIVE_DAYS: (7.84, -0.031, 0.0024),
}
NOTHING = {metric: (mean, 0.4 * log_se, log_se) for metric, (mean, _, log_se) in BETTER.items()} | {
    MetricName.REPORT_RATE: (0.00412, 0.004, 0.012)
}
UNSEEN = {metric: (mean, 0.9 * log_se, 3.1 * log_se) for metric, (mean, _, log_se) in BETTER.items()}
SURFACES = {"recommend": (0.8, 61_204), "following": (1.4, 23_119), "search": (0.2, 9_404)}
SEGMENTS = {"new": (0.1, 12_001), "light": (0.8, 30_118), "medium": (1.0, 34_991), "heavy": (1.3, 19_702)}


def sound(**replaced: object) -> Experiment:
    fields: dict[str, object] = {
        "hypothesis": "Ranking toxic videos lower makes people report less and does not make them leave.",
        "metrics": [metric.value for metric in MetricName],
        "guardrails": [{"metric": "active_days", "margin": 0.01}, {"metric": "usage_time_total", "margin": 0.01}],
    }
    return experiment("toxicity-ranking", **(fields | replaced))


def estimate_of(
    metric: MetricName, variant: str, mean: float, relative: float, log_se: float, *, users: int = 48_406
) -> Estimate:
    """An estimate with a 95% interval on the log scale; CUPED narrowed it by 30% where there is one."""
    middle, reach = math.log1p(relative), NormalDist().inv_cdf(0.975) * log_se
    interval = Interval(math.expm1(middle - reach), math.expm1(middle + reach))
    wide = Interval(relative + (interval.low - relative) / 0.7, relative + (interval.high - relative) / 0.7)
    p_value = 2.0 * NormalDist().cdf(-abs(middle) / log_se)
    return Estimate(
        metric=metric,
        variant=variant,
        control_users=users,
        treatment_users=users,
        control=mean,
        treatment=mean * (1.0 + relative),
        effect=mean * relative,
        effect_interval=Interval(mean * interval.low, mean * interval.high),
        relative=relative,
        relative_interval=interval,
        plain_interval=wide,
        log_se=log_se,
        p_value=p_value,
        adjusted_p=p_value,
        cuped=True,
    )


def looks_of(found: Estimate, test: Experiment, days: int, *, alpha: float) -> Sequence:
    """Information grows with the days; the effect wobbles by a fifth of its standard error."""
    looked = []
    for number in range(1, days + 1):
        log_se = found.log_se * math.sqrt(days / number)
        relative = found.relative + 0.6 * log_se * math.sin(2.4 * number) * (1.0 - number / days)
        at = estimate_of(found.metric, found.variant, found.control, relative, log_se, users=6_000 * number)
        looked.append(Looked(number, test.starts_on + timedelta(days=number - 1), at))
    return follow(looked, planned_looks=test.days, alpha=alpha)


def analysis_of(effects: Effects, *, test: Experiment | None = None, days: int = 14) -> Analysis:
    """An analysis after `days` of an experiment in which every treatment has `effects`."""
    test = test or sound()
    arms = [variant.name for variant in test.variants[1:]]
    metrics = [METRICS[metric] for metric in effects if metric in {*test.metrics, *(g.metric for g in test.guardrails)}]
    found = tuple(estimate_of(metric.name, arm, *effects[metric.name]) for metric in metrics for arm in arms)
    alphas = {test.primary: test.alpha / len(arms)}
    sequences = sorted(
        (looks_of(one, test, days, alpha=alphas.get(one.metric, test.alpha)) for one in found),
        key=lambda sequence: sequence.metric is not test.primary,
    )
    power = tuple(_power(one, test, days) for one in found)
    guardrails = tuple(
        judge_guardrail(one, guardrail.margin, alpha=test.alpha)
        for guardrail in test.guardrails
        for one in found
        if one.metric is guardrail.metric
    )
    users = [int(96_812 * variant.share) + 40 * i for i, variant in enumerate(test.variants)]
    counts = tuple(ArmCount(v.name, v.share, n) for v, n in zip(test.variants, users, strict=True))
    through = test.starts_on + timedelta(days=days - 1)
    verdicts = tuple(
        judge_arm(
            test,
            next(s for s in sequences if (s.metric, s.variant) == (test.primary, arm)),
            next(p for p in power if (p.metric, p.variant) == (test.primary, arm)),
            [guardrail for guardrail in guardrails if guardrail.variant == arm],
        )
        for arm in arms
    )
    return Analysis(
        experiment=test,
        through=through,
        definitions=tuple(metric.define(cuped=True) for metric in metrics),
        population=Population(test.starts_on, through, sum(users), 112, counts, cuped=True),
        sample_ratio=check_sample_ratio(counts, {"light": [n // 2 for n in users], "new": [n // 4 for n in users]}, []),
        correction="fdr",
        estimates=with_adjusted_p(found, "fdr"),
        unmeasured=(),
        breakdowns=(_breakdown("surface", SURFACES, found), _breakdown("activity", SEGMENTS, found)),
        guardrails=guardrails,
        sequences=tuple(sequences),
        power=power,
        verdicts=verdicts,
        caveats=(SHARED, "112 users (0.12%) saw several variants and were left out."),
    )


def lopsided(analysis: Analysis) -> Analysis:
    """The same with a control that lost users: its sample-ratio check alarms."""
    arms = tuple(replace(arm, users=arm.users - (3_000 if i == 0 else 0)) for i, arm in enumerate(_arms(analysis)))
    return _with_arms(analysis, arms)


def one_arm_empty(analysis: Analysis) -> Analysis:
    arms = tuple(replace(arm, users=0 if i == 1 else arm.users) for i, arm in enumerate(_arms(analysis)))
    return _with_arms(analysis, arms)


def with_estimate(analysis: Analysis, metric: MetricName, **replaced: object) -> Analysis:
    """The same with fields of every arm's estimate of `metric` replaced."""
    changed = tuple(replace(e, **replaced) if e.metric is metric else e for e in analysis.estimates)  # type: ignore[arg-type]
    return replace(analysis, estimates=changed)


def without_metric(analysis: Analysis, metric: MetricName, reason: str) -> Analysis:
    """The same with `metric` unmeasured in every arm, as on days before it can be known."""
    arms = [variant.name for variant in analysis.experiment.variants[1:]]
    return replace(
        analysis,
        estimates=tuple(one for one in analysis.estimates if one.metric is not metric),
        unmeasured=tuple(Unmeasured(metric, arm, "all", reason) for arm in arms),
        sequences=tuple(one for one in analysis.sequences if one.metric is not metric),
        power=tuple(one for one in analysis.power if one.metric is not metric),
        guardrails=tuple(one for one in analysis.guardrails if one.metric is not metric),
        breakdowns=tuple(
            replace(
                one,
                parts=tuple(
                    replace(part, estimates=tuple(e for e in part.estimates if e.metric is not metric))
                    for part in one.parts
                ),
                heterogeneity=tuple(test for test in one.heterogeneity if test.metric is not metric),
            )
            for one in analysis.breakdowns
        ),
    )


def _arms(analysis: Analysis) -> tuple[ArmCount, ...]:
    return analysis.population.arms


def _with_arms(analysis: Analysis, arms: tuple[ArmCount, ...]) -> Analysis:
    ratio = check_sample_ratio(arms, {}, [])
    population = replace(analysis.population, arms=arms, users=sum(arm.users for arm in arms))
    return replace(analysis, population=population, sample_ratio=ratio)


def _breakdown(by: str, parts: dict[str, tuple[float, int]], found: tuple[Estimate, ...]) -> Breakdown:
    kept = [one for one in found if by == "activity" or METRICS[one.metric].by_surface]
    made = tuple(
        Part(
            name,
            users,
            tuple(
                replace(
                    estimate_of(
                        one.metric,
                        one.variant,
                        one.control,
                        one.relative * strength,
                        one.log_se * math.sqrt(96_812 / users),
                        users=users // 2,
                    ),
                    cuped=name != "new",
                )
                for one in kept
            ),
        )
        for name, (strength, users) in parts.items()
    )
    if by == "surface":
        return Breakdown("surface", made, (), BY_SURFACE)
    tests = [
        cochran_q([e for part in made for e in part.estimates if (e.metric, e.variant) == (one.metric, one.variant)])
        for one in kept
    ]
    return Breakdown("activity", made, tuple(test for test in tests if test), BY_ACTIVITY)


def _power(found: Estimate, test: Experiment, days: int) -> Power:
    """By the normal approximation, information growing in step with the days."""
    normal = NormalDist()
    detectable = (normal.inv_cdf(1.0 - test.alpha / 2.0) + normal.inv_cdf(test.power)) * found.log_se
    needed = (detectable / test.smallest_effect) ** 2
    users = found.control_users + found.treatment_users
    more = max(math.ceil(days * needed) - days, 0)
    return Power(
        metric=found.metric,
        variant=found.variant,
        smallest_effect=test.smallest_effect,
        planned_power=test.power,
        power=normal.cdf(test.smallest_effect / found.log_se - normal.inv_cdf(1.0 - test.alpha / 2.0)),
        detectable=detectable,
        users=users,
        users_needed=math.ceil(users * needed),
        days=days,
        more_days=more if more <= 365 else None,
        growth=1.0,
    )


LAST_DAY = date(2026, 11, 14)
