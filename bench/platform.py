"""What does toxicity-aware ranking do to the simulated platform, and does the A/B analysis find what is true?

Truth: every user lives the same 14 days in control and in treatment, by the same chances (`features.rank` at strength
0 and at its default). Predicted before the first run, from the settings: the report rate falls by 20% at least, since
two thirds of the reports are about violative videos and the model finds 85% of those (it fell by 53%); active days and
usage time change by less than an experiment of 10,000 users can see (so it was for active days; usage time rose by 8%
and was seen: who is not put off watches on); with interference an A/B test understates the effect (it overstates it:
the treatment is spared what the control's reports remove, the control misses the reports that treated users no longer
make).
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.ab_validity import band
from bench.platform_worlds import WATCHED, Worlds, analysed, effect, live_both, live_worlds
from contracts.experiments import MetricName
from simulation.platform.population import Plan
from simulation.platform.settings import PlatformSettings, with_changes

CENTRAL = PlatformSettings()
ALONE = with_changes(interference=False)
PRE_DAYS, DAYS = 14, 14
COVERED = (
    MetricName.REPORT_RATE,
    MetricName.ACTIVE_DAYS,
    MetricName.USAGE_TIME_PER_USER,
    MetricName.USAGE_TIME_TOTAL,
    MetricName.TOXIC_SHARE,
)
LEAST_FALL = 0.20


class Grid(NamedTuple):
    """Which other settings are tried."""

    prevalences: tuple[float, ...] = (0.02, 0.10, 0.25)
    recalls: tuple[float, ...] = (0.50, 0.85, 0.95)
    tolerances: tuple[float, ...] = (0.25, 0.45, 0.70)


WHOLE_GRID = Grid()


def measure(
    *,
    viewers: int = 10_000,
    seeds: Sequence[int] = tuple(range(1, 9)),
    pool: int = 40_000,
    repeats: int = 2_000,
    sample: int = 4_000,
    grid_viewers: int = 3_000,
    grid: Grid = WHOLE_GRID,
) -> dict[str, Any]:
    """Truth, estimates, bias, coverage and the grid; about three minutes at the defaults."""
    with_feedback = [live_worlds(_plan(viewers, seed), CENTRAL) for seed in seeds]
    figures: dict[str, Any] = {"viewers": viewers, "seeds": list(seeds)}
    figures["truth"] = _tell_truth(with_feedback, viewers)
    figures["found"] = _tell_found(with_feedback)
    without = [live_worlds(_plan(viewers, seed), ALONE) for seed in seeds]
    figures["bias"] = {"on": _bias(with_feedback), "off": _bias(without)}
    _tell_bias(figures["bias"])
    figures["coverage"] = _tell_coverage(live_worlds(_plan(pool, 101), ALONE), repeats, sample)
    figures["grid"] = _tell_grid(grid_viewers, grid)
    return figures


def _plan(viewers: int, seed: int) -> Plan:
    return Plan(viewers=viewers, days=PRE_DAYS + DAYS, seed=seed, starts_on=PRE_DAYS)


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean over runs and its standard error, NaN where there are too few."""
    if not values:
        return float("nan"), float("nan")
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else float(
        "nan"
    )


def _tell_truth(runs: Sequence[Worlds], viewers: int) -> dict[str, Any]:
    """The effect of launching to all, interference included: both worlds of every seed."""
    table = _table(
        f"True effect of launching to all: {viewers:,} users, {DAYS} days, {len(runs)} seeds, interference on",
        "metric", "all control", "all treatment", "change", "± se over seeds",
    )  # fmt: skip
    figures = {}
    effects = {name.value: [effect(run.control, run.treatment, name) for run in runs] for name in WATCHED}
    for name, found in (effects | {"truly violative": [run.violative for run in runs]}).items():
        change, error = _mean([one.relative for one in found])
        control, treatment = (float(np.mean([one[side] for one in found])) for side in (0, 1))
        figures[name] = {"control": control, "treatment": treatment, "relative": change, "se": error}
        table.add_row(name, f"{control:.5g}", f"{treatment:.5g}", f"{change:+.2%}", f"{error:.2%}")
    fall = -figures["report_rate"]["relative"]
    _say(table)
    reached = "reached" if fall >= LEAST_FALL else "MISSED"
    _say(f"report rate: -{fall:.1%}, asked for -{LEAST_FALL:.0%} at least: {reached}")
    return figures


def _tell_found(runs: Sequence[Worlds]) -> dict[str, Any]:
    """What the analysis makes of each seed's experiment, interference on."""
    results = [analysed(run.mixed, run.treated) for run in runs]
    users = int(np.mean([run.mixed.shape[1] for run in runs]))
    table = _table(
        f"The experiment as analysed: {users:,} exposed users a seed, CUPED, 95% intervals",
        "metric", "estimate, mean", "interval of the first seed", "half-width", "CUPED narrows by", "not zero",
    )  # fmt: skip
    figures = {}
    for name in WATCHED:
        found = [result[name.value] for result in results if name.value in result]
        if not found:
            table.add_row(name.value, "too few events")
            continue
        first = found[0].relative_interval
        figures[name.value] = row = {
            "mean": float(np.mean([one.relative for one in found])),
            "half_width": float(np.mean([one.relative_interval.width / 2 for one in found])),
            "narrowing": float(np.mean([one.narrowing for one in found])),
            "significant": sum(0.0 not in one.relative_interval for one in found),
        }
        table.add_row(
            name.value, f"{row['mean']:+.2%}", f"{first.low:+.2%} to {first.high:+.2%}", f"{row['half_width']:.2%}",
            f"{row['narrowing']:.1%}", f"{row['significant']} of {len(found)}",
        )  # fmt: skip
    _say(table)
    return figures


def _bias(runs: Sequence[Worlds]) -> dict[str, dict[str, float]]:
    """The estimate against the truth, in relative change: plainly, and without the noise of who is in which arm.

    The noise is what the same users in the same arms would show without interference, minus the truth.
    """
    figures = {}
    for name in WATCHED:
        plain, paired = [], []
        for run in runs:
            truth = effect(run.control, run.treatment, name).relative
            results = [analysed(rows, run.treated, [name]) for rows in (run.mixed, run.as_if_alone)]
            if all(name.value in result for result in results):
                mixed, alone = (result[name.value].relative for result in results)
                plain.append(mixed - truth)
                paired.append(mixed - alone)
        figures[name.value] = dict(
            zip(("plain", "plain_se", "bias", "bias_se"), _mean(plain) + _mean(paired), strict=True)
        )
    return figures


def _tell_bias(bias: dict[str, dict[str, dict[str, float]]]) -> None:
    table = _table(
        "Bias of the A/B estimate against launching to all, percentage points of relative change (± se over seeds)",
        "metric", "interference on", "on, plainly", "interference off", "off, plainly",
    )  # fmt: skip
    for name in WATCHED:
        on, off = bias["on"][name.value], bias["off"][name.value]
        table.add_row(
            name.value,
            *(
                f"{100 * one[what]:+.2f} ± {100 * one[what + '_se']:.2f}"
                for one, what in product((on, off), ("bias", "plain"))
            ),
        )
    _say(table)
    _say("plainly: estimate - truth; beside it, that without the noise of the draw of arms")


def _tell_coverage(pool: Worlds, repeats: int, sample: int) -> dict[str, Any]:
    """How often a 95% interval holds the pool's true effect: users drawn from it, put into arms, analysed.

    The videos are the same in all repeats: the intervals are about other users, not about other weeks.
    """
    rng = np.random.default_rng(7)
    truth = {name.value: effect(pool.control, pool.treatment, name).relative for name in COVERED}
    hits = {name.value: np.zeros(3) for name in COVERED}
    for _ in range(repeats):
        drawn = rng.integers(0, pool.control.shape[1], sample)
        treated = rng.random(sample) < 0.5
        rows = np.where(treated, pool.treatment[:, drawn], pool.control[:, drawn])
        for name, one in analysed(rows, treated, COVERED).items():
            hits[name] += (truth[name] in one.relative_interval, truth[name] in one.plain_interval, 1)
    low, high = band(repeats, 0.95)
    table = _table(
        f"Coverage of the true effect, interference off: {repeats:,} experiments of {sample:,} users drawn from "
        f"{pool.control.shape[1]:,}; binomial 99.9% band {low:.2%} to {high:.2%}",
        "metric", "true effect", "intervals given", "95% intervals, CUPED", "without CUPED", "inside the band",
    )  # fmt: skip
    figures: dict[str, Any] = {"band": (low, high)}
    for name, (cuped, plain, given) in hits.items():
        if not given:
            table.add_row(name, f"{truth[name]:+.2%}", "too few events")
            continue
        figures[name] = row = {"truth": truth[name], "cuped": cuped / given, "plain": plain / given, "given": given}
        inside = low <= row["cuped"] <= high and low <= row["plain"] <= high
        table.add_row(
            name, f"{truth[name]:+.2%}", f"{given:,.0f}", f"{row['cuped']:.2%}", f"{row['plain']:.2%}",
            "yes" if inside else "NO",
        )  # fmt: skip
    _say(table)
    return figures


def _tell_grid(viewers: int, grid: Grid) -> list[dict[str, float]]:
    """The true effect where the three settings that matter most are others."""
    table = _table(
        f"True change of report rate / active days / total usage time, {viewers:,} users a cell, interference on",
        "prevalence", "recall", *(f"tolerance {tolerance}" for tolerance in grid.tolerances),
    )  # fmt: skip
    cells = []
    for prevalence, recall in product(grid.prevalences, grid.recalls):
        shown = []
        for tolerance in grid.tolerances:
            settings = with_changes(prevalence=prevalence, recall=recall, tolerance=tolerance)
            control, treatment = live_both(_plan(viewers, 1), settings)
            found = {
                name.value: effect(control, treatment, name).relative
                for name in (MetricName.REPORT_RATE, MetricName.ACTIVE_DAYS, MetricName.USAGE_TIME_TOTAL)
            }
            cells.append({"prevalence": prevalence, "recall": recall, "tolerance": tolerance, **found})
            shown.append(" / ".join(f"{value:+.1%}" for value in found.values()))
        table.add_row(f"{prevalence:.2f}", f"{recall:.2f}", *shown)
    _say(table)
    return cells


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", min_width=110)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _say(what: object) -> None:
    Console(width=130).print(what)
