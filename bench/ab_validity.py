"""Are the A/B estimates right? One made-up log, its users re-randomised thousands of times, through the shipped code.

Every re-randomisation's arms become aggregates, as the warehouse would return them, and go through the functions that
`precedent ab analyse` calls. Predicted: false positives and coverage inside their binomial bands; the daily bands
raise 4.5% false alarms at most (a tenth of alpha is set aside) and find over 90% of what a single look at the end does.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from ab_tests.inference.estimates import estimate
from ab_tests.inference.power import Grown, power_of
from ab_tests.inference.sample_ratio import (
    BALANCED,
    THRESHOLD,
    check_sample_ratio,
    users_to_notice,
)
from ab_tests.inference.sequences import Looked, anytime_critical, follow
from ab_tests.metrics import METRICS, Metric
from ab_tests.results import ArmCount, Estimate
from bench.ab_log import Columns, SplitSums, UserLog, make_log, splits
from contracts.experiments import MetricName

ALPHA = 0.05
LOOKS = 14
SEED = 20_261_102
WATCHED = (MetricName.REPORT_RATE, MetricName.USAGE_TIME_TOTAL)
LEAKED = 0.1
_FIRST_DAY = date(2026, 11, 2)


def measure(
    *, users: int = 20_000, shuffles: int = 2_000, looked_at: int = 2_000, leaks: int = 200, known_effect: float = 0.03
) -> dict[str, Any]:
    """False positives, coverage, daily looks, sample ratios, and what CUPED is worth; seconds to minutes."""
    log = make_log(users=users, days=LOOKS, seed=SEED)
    _say(f"{users:,} users, {LOOKS} days, {int(log.through(LOOKS)[1].sum()):,} exposed; seed {SEED}")
    every = tuple(METRICS.values())
    figures: dict[str, Any] = {"users": users, "shuffles": shuffles}
    figures["false_positives"] = _tell_false_positives(false_positives(log, every, n=shuffles, seed=SEED + 1), shuffles)
    figures["coverage"] = _tell_coverage(coverage(log, every, n=shuffles, seed=SEED + 2, effect=known_effect), shuffles)
    figures["daily_looks"] = {name.value: _tell_looks(log, METRICS[name], looked_at) for name in WATCHED}
    figures["sample_ratio"] = _tell_sample_ratio(log, n=leaks)
    return figures


def band(n: int, share: float, *, level: float = 0.999) -> tuple[float, float]:
    """Between which rates `n` trials of probability `share` fall with probability `level` (exact binomial)."""
    from scipy.stats import binom

    tail = (1.0 - level) / 2.0
    return float(binom.ppf(tail, n, share)) / n, float(binom.ppf(1.0 - tail, n, share)) / n


def estimates(log: UserLog, metric: Metric, *, n: int, seed: int, effect: float = 0.0) -> Iterator[Estimate]:
    """The final estimate of each of `n` re-randomisations, the treatment's numerator lifted by `effect`."""
    columns, exposed = log.through(log.days)
    for treated in splits(len(exposed), n=n, seed=seed):
        sums = SplitSums.of(metric.columns, columns, exposed, treated)
        for r in range(len(treated)):
            yield _measured(metric, sums, r, effect)


def false_positives(log: UserLog, metrics: Iterable[Metric], *, n: int, seed: int) -> dict[str, dict[str, float]]:
    """By metric: how often p < 5% without an effect, with CUPED and without, and how much narrower CUPED is."""
    found = {}
    for metric in metrics:
        made = list(estimates(log, metric, n=n, seed=seed))
        found[metric.name.value] = {
            "cuped": float(np.mean([one.p_value < ALPHA for one in made])),
            "plain": float(np.mean([0.0 not in one.plain_interval for one in made])),
            "narrowing": float(np.mean([one.narrowing for one in made])),
        }
    return found


def coverage(
    log: UserLog, metrics: Iterable[Metric], *, n: int, seed: int, effect: float
) -> dict[str, dict[str, float]]:
    """By metric: how often the 95% intervals hold the effect that was put in, with CUPED and without."""
    found = {}
    for metric in metrics:
        made = list(estimates(log, metric, n=n, seed=seed, effect=effect))
        found[metric.name.value] = {
            "cuped": float(np.mean([effect in one.relative_interval for one in made])),
            "plain": float(np.mean([effect in one.plain_interval for one in made])),
        }
    return found


def daily_looks(log: UserLog, metric: Metric, *, n: int, seed: int, effect: float = 0.0) -> dict[str, float]:
    """How often each way of looking finds a difference within `LOOKS` daily looks.

    `end` looks once, at the end; `band` is what is shipped; `anytime` an asymptotic confidence sequence of the whole
    alpha, tuned to the plan's end; `naive` the fixed interval on any day. `median_day` is when `band` found it.
    """
    tables = [log.through(day) for day in range(1, LOOKS + 1)]
    hits: Counter[str] = Counter()
    stopped: list[int] = []
    for treated in splits(len(tables[0][1]), n=n, seed=seed):
        sums = [SplitSums.of(metric.columns, columns, exposed, treated) for columns, exposed in tables]
        for r in range(len(treated)):
            looked = [
                Looked(number, _FIRST_DAY + timedelta(days=number), _measured(metric, day, r, effect))
                for number, day in enumerate(sums, start=1)
            ]
            sequence = follow(looked, planned_looks=LOOKS, alpha=ALPHA)
            last = sequence.looks[-1]
            hits["end"] += looked[-1].estimate.p_value < ALPHA
            hits["naive"] += any(0.0 not in look.fixed_interval for look in sequence.looks)
            hits["anytime"] += any(
                abs(np.log1p(look.relative)) * look.information**0.5
                > anytime_critical(look.information, planned=last.information, alpha=ALPHA)
                for look in sequence.looks
            )
            if (first := sequence.first_crossing) is not None:
                hits["band"] += 1
                stopped.append(first.number)
    return {
        **{name: hits[name] / n for name in ("end", "band", "anytime", "naive")},
        "median_day": float(np.median(stopped)) if stopped else float("nan"),
    }


def detectable(log: UserLog, metric: Metric, *, seed: int) -> float:
    """The relative effect that a single look at the end finds with 80% power, as the power panel has it."""
    columns, exposed = log.through(log.days)
    treated = next(splits(len(exposed), n=1, seed=seed))
    control, treatment = SplitSums.of(metric.columns, columns, exposed, treated).arms(0)
    said = power_of(
        metric,
        control,
        treatment,
        [Grown(log.days, 1.0)],
        variant="treatment",
        smallest_effect=0.01,
        alpha=ALPHA,
        power=0.8,
    )
    return said.detectable


def alarms(columns: Columns, exposed: npt.NDArray[np.bool_], leak: str, *, n: int, seed: int) -> dict[str, float]:
    """How often each test of the sample-ratio check alarms when users leak in the way named (`LEAKS`)."""
    rng = np.random.default_rng(seed)
    users = np.flatnonzero(exposed)
    activity = np.digitize(columns["pre_active_days"][users], [0.5, 3.5, 10.5])
    before = {name: columns[name][users] for name in BALANCED}
    hits: Counter[str] = Counter()
    for _ in range(n):
        arm, kept = LEAKS[leak](rng, activity)
        counts = [[int((kept & (arm == a) & (activity == s)).sum()) for a in (0, 1)] for s in range(4)]
        checked = check_sample_ratio(
            [ArmCount(str(a), 0.5, sum(cell[a] for cell in counts)) for a in (0, 1)],
            {str(s): cell for s, cell in enumerate(counts)},
            [_aggregates({name: values[kept & (arm == a)] for name, values in before.items()}) for a in (0, 1)],
        )
        hits["sizes"] += checked.p_value < THRESHOLD
        hits["segments"] += (checked.segments_p_value or 1.0) < THRESHOLD
        hits["before"] += (checked.balance_p_value or 1.0) < THRESHOLD
        hits["any"] += checked.alarms
    return {name: hits[name] / n for name in ("sizes", "segments", "before", "any")}


Leak = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
"""Who is counted in the treatment, and who is counted at all."""


def _sound(rng: np.random.Generator, activity: npt.NDArray[np.int64]) -> Leak:
    return rng.random(len(activity)) < 0.5, np.ones(len(activity), bool)


def _one_arm(rng: np.random.Generator, activity: npt.NDArray[np.int64]) -> Leak:
    arm = rng.random(len(activity)) < 0.5
    return arm, ~arm | (rng.random(len(activity)) >= LEAKED)


def _both_arms(rng: np.random.Generator, activity: npt.NDArray[np.int64]) -> Leak:
    return rng.random(len(activity)) < 0.5, rng.random(len(activity)) >= LEAKED


def _heavy_for_light(rng: np.random.Generator, activity: npt.NDArray[np.int64]) -> Leak:
    """The treatment loses some of its most active users, the control as many of its least active."""
    arm = rng.random(len(activity)) < 0.5
    lost = (activity == 3) & arm & (rng.random(len(activity)) < 3 * LEAKED)
    light = np.flatnonzero((activity <= 1) & ~arm)
    taken = rng.choice(light, min(int(lost.sum()), len(light)), replace=False)
    kept = ~lost
    kept[taken] = False
    return arm, kept


def _heavy_of_both(rng: np.random.Generator, activity: npt.NDArray[np.int64]) -> Leak:
    arm = rng.random(len(activity)) < 0.5
    return arm, (activity != 3) | (rng.random(len(activity)) >= 3 * LEAKED)


def _wrong_arm(rng: np.random.Generator, activity: npt.NDArray[np.int64]) -> Leak:
    """Some are counted in the arm that they did not get: as many each way."""
    arm = rng.random(len(activity)) < 0.5
    return arm ^ (rng.random(len(activity)) < LEAKED), np.ones(len(activity), bool)


LEAKS = {
    "none": _sound,
    "a tenth of one arm's users": _one_arm,
    "active users of one arm, as many idle ones of the other": _heavy_for_light,
    "a tenth of both arms' users": _both_arms,
    "active users of both arms": _heavy_of_both,
    "a tenth counted in the other arm": _wrong_arm,
}


def _aggregates(columns: Columns) -> Any:
    from tea_tasting.aggr import Aggregates

    return Aggregates(
        count_=len(next(iter(columns.values()))),
        mean_={name: float(values.mean()) for name, values in columns.items()},
        var_={name: float(values.var(ddof=1)) for name, values in columns.items()},
    )


def _measured(metric: Metric, sums: SplitSums, r: int, effect: float) -> Estimate:
    found = estimate(metric, *sums.arms(r, lifted=metric.numerator, effect=effect), variant="treatment", alpha=ALPHA)
    if not isinstance(found, Estimate):
        raise RuntimeError(f"{metric.name}: {found.reason}, the log must be larger")
    return found


def _tell_false_positives(found: dict[str, dict[str, float]], n: int) -> dict[str, Any]:
    low, high = band(n, ALPHA)
    _say(f"\nNo effect, {n:,} re-randomisations: p < 5% in; the binomial 99.9% band of 5% is {low:.2%} to {high:.2%}")
    _say(f"{'':24} {'with CUPED':>11} {'without':>9} {'CUPED narrows by':>17}")
    for name, rates in found.items():
        inside = all(low <= rates[way] <= high for way in ("cuped", "plain"))
        _say(f"{name:24} {rates['cuped']:>11.2%} {rates['plain']:>9.2%} {rates['narrowing']:>17.1%}   {_mark(inside)}")
    return {"band": (low, high), "metrics": found}


def _tell_coverage(found: dict[str, dict[str, float]], n: int) -> dict[str, Any]:
    low, high = band(n, 1.0 - ALPHA)
    _say(f"\nA known effect: 95% intervals hold it in; the binomial 99.9% band of 95% is {low:.2%} to {high:.2%}")
    for name, rates in found.items():
        inside = all(low <= rates[way] <= high for way in ("cuped", "plain"))
        _say(f"{name:24} {rates['cuped']:>11.2%} {rates['plain']:>9.2%} {'':17}   {_mark(inside)}")
    return {"band": (low, high), "metrics": found}


def _tell_looks(log: UserLog, metric: Metric, n: int) -> dict[str, Any]:
    effect = detectable(log, metric, seed=SEED + 3)
    without = daily_looks(log, metric, n=n, seed=SEED + 4)
    with_it = daily_looks(log, metric, n=n // 2, seed=SEED + 5, effect=effect)
    kept = {way: with_it[way] / with_it["end"] for way in ("band", "anytime")}
    _say(
        f"\n{metric.name.value}, {LOOKS} daily looks, {n:,} re-randomisations without and {n // 2:,} with an effect "
        f"of {effect:.2%}"
    )
    _say(f"{'':24} {'one look at the end':>20} {'band (shipped)':>15} {'anytime alone':>14} {'naive daily':>12}")
    for title, rates in (("false alarms", without), ("detections", with_it)):
        row = " ".join(
            f"{rates[way]:>{w}.2%}" for way, w in (("end", 20), ("band", 15), ("anytime", 14), ("naive", 12))
        )
        _say(f"{title:24} {row}")
    _say(f"{'of the detections at end':24} {'':20} {kept['band']:>15.1%} {kept['anytime']:>14.1%}")
    _say(f"the band finds it on day {with_it['median_day']:.0f} in the median")
    return {"effect": effect, "false_alarms": without, "detections": with_it, "kept": kept}


def _tell_sample_ratio(log: UserLog, *, n: int) -> dict[str, Any]:
    shares, drifted = (0.5, 0.5), (0.49, 0.51)
    users = users_to_notice(shares, drifted)
    rng = np.random.default_rng(SEED + 6)
    draws = 10_000
    rates = {}
    for name, share in (("50:50", 0.5), ("49:51", 0.51)):
        treated = rng.binomial(users, share, draws)
        arms = ([ArmCount("control", 0.5, users - int(k)), ArmCount("treatment", 0.5, int(k))] for k in treated)
        rates[name] = float(np.mean([check_sample_ratio(pair, {}, []).alarms for pair in arms]))
    low, high = band(draws, 0.8)
    _say(f"\nSample ratio at p < {THRESHOLD:g}: {users:,} users notice 49:51 with power 80%")
    _say(f"alarms at that size in {draws:,} draws: 49:51 {rates['49:51']:.2%} (band of 80%: {low:.2%} to {high:.2%}),")
    _say(f"50:50 {rates['50:50']:.2%}")
    columns, exposed = log.through(log.days)
    found = {leak: alarms(columns, exposed, leak, n=n, seed=SEED + 7) for leak in LEAKS}
    _say(f"\nLeaks among {int(exposed.sum()):,} users, {n} times each: share of alarms")
    _say(f"{'':57} {'sizes':>7} {'segments':>9} {'before':>7} {'any':>7}")
    for leak, seen in found.items():
        row = " ".join(
            f"{seen[test]:>{w}.1%}" for test, w in (("sizes", 7), ("segments", 9), ("before", 7), ("any", 7))
        )
        _say(f"{leak:57} {row}")
    _say("not seen: what both arms lose alike, and who is counted in the wrong arm")
    return {"users": users, "alarms": rates, "band": (low, high), "leaks": found}


def _mark(inside: bool) -> str:
    return "inside" if inside else "OUTSIDE"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
