"""Do precedents and nightly refreshes lower the report rate while new trends come up, and does the A/B test see it?

Truth: every user lives the same weeks judged by the frozen policy and by the learning one, by the same chances; the
experiment puts half in each arm. Reviewers are budgeted and err. Predicted before the first run: the two trends are
8% of the uploads at the end and earn about half of all reports, for nobody demotes what looks like nothing known; the
learning policy finds most of their videos two nights after they come up, so the report rate falls by 25% to 40%; the
A/B estimate is smaller than the truth is large, since the removals that the frozen arm's reports bring help both. (The
first runs gave -11% to +5%; `streams/weeks/scenario.py` says why and what was changed. Then the truth was -27.0% and
the estimate -18.3%.)

That estimate was of arms with one queue, whose cases the learning release's verdicts opened and ranked: its reviewers
cleaned the frozen arm's feed as well. Now each arm has half of the reviewers (`streams/weeks/desk.py`). In five
smaller experiments (5,000 or 10,000 viewers, 14 days, the refresh of then; seeds 21, 22, 31, 41 and 43, not reported
here) the frozen arm's violative impressions in 1,000 were, on average, 11.1 away from those of the world in which
nobody learns with one queue, and 3.1 with two. The difference between the arms grew only from 64% to 72% of the true
one: half of the reviewers also teach more slowly. With two desks and the refresh that followed, the truth was -26.6%
and the estimate -22.9%.
"""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.platform_worlds import analysed, effect, rows_of
from contracts.experiments import MetricName
from policy.refresh import refresh_policy
from simulation.platform.log.totals import sum_up
from simulation.reviewers import Reviewers
from streams.weeks.moderation import FROZEN, LEARNING
from streams.weeks.run import Weeks, World, all_frozen, all_learning, experiment, prepare
from streams.weeks.scenario import Scenario

LEAST_FALL = 0.20
CENTRAL = Scenario()


def measure(*, scenario: Scenario = CENTRAL) -> dict[str, Any]:
    """Live the three worlds and tell what became of reports and exposure; about ten minutes at the defaults."""
    say = _say
    weeks = prepare(scenario, tick=say)
    reviewer = Reviewers(seed=scenario.seed)
    rows, worlds = {}, {}
    for name, make in (("frozen", all_frozen), ("learning", all_learning), ("experiment", experiment)):
        began = time.perf_counter()
        worlds[name] = lived = make(weeks, reviewer, refresh_policy)
        totals = sum_up(lived.days, weeks.population)
        rows[name] = rows_of(totals, scenario.plan)
        if name == "experiment":
            treated = totals.arm_N[totals.exposed] == LEARNING
        say(f"{name}: {_told(lived)}, {time.perf_counter() - began:.0f} s")
    truth = effect(rows["frozen"], rows["learning"], MetricName.REPORT_RATE)
    estimate = analysed(rows["experiment"], treated, [MetricName.REPORT_RATE])["report_rate"]
    figures = {
        "truth": truth._asdict() | {"relative": truth.relative},
        "estimate": {
            "relative": estimate.relative,
            "low": estimate.relative_interval.low,
            "high": estimate.relative_interval.high,
        },
        "exposure": _tell_exposure(say, weeks, worlds["frozen"], worlds["learning"]),
        "refreshes": len(worlds["learning"].moderation.refreshed_on),
    }
    say(
        f"report rate, true effect of launching to all: {truth.relative:+.1%} ({1000 * truth.control:.2f} to "
        f"{1000 * truth.treatment:.2f} in 1,000 impressions), asked for -{LEAST_FALL:.0%} at least: "
        f"{'reached' if -truth.relative >= LEAST_FALL else 'MISSED'}"
    )
    say(
        f"report rate, A/B estimate: {estimate.relative:+.1%} [{estimate.relative_interval.low:+.1%}, "
        f"{estimate.relative_interval.high:+.1%}]: "
        f"{'reached' if -estimate.relative >= LEAST_FALL else 'MISSED'}"
    )
    return figures


def _say(what: Any) -> None:
    Console(width=140).print(what, highlight=False)


def _told(lived: World) -> str:
    moderation, rulings = lived.moderation, lived.moderation.rulings
    n = len(rulings.category_of)
    return (
        f"{moderation.opened:,} cases opened, {n:,} ruled on, {rulings.wrong:,} of them wrongly "
        f"({rulings.wrong / max(1, n):.1%}), {len(moderation.refreshed_on)} refreshes"
    )


def _tell_exposure(say: Callable[[Any], None], weeks: Weeks, frozen: World, learning: World) -> dict[str, Any]:
    """Violative impressions in 1,000, while the experiment runs: of each trend, of all others, and of all."""
    since = weeks.scenario.pre_days
    names = [*(wave.name for wave in weeks.scenario.waves), "all others", "all"]
    table = Table(title="Violative impressions in 1,000, everyone judged alike", title_justify="left")
    for column in ("of", "frozen policy", "learning policy", "change"):
        table.add_column(column, justify="left" if column == "of" else "right")
    shares = [lived.watch.counts.per_1000(arm, since=since) for lived, arm in ((frozen, FROZEN), (learning, LEARNING))]
    figures = {}
    for place, name in enumerate(names):
        before, after = float(shares[0][place]), float(shares[1][place])
        figures[name] = {"frozen": before, "learning": after}
        table.add_row(name, f"{before:.2f}", f"{after:.2f}", f"{after / before - 1:+.1%}" if before else "")
    say(table)
    return figures
