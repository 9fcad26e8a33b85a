"""The demo's experiment on the running parts: small, but through every topic into the report."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from ab_tests.experiments import read_experiments
from contracts.experiments import MetricName
from contracts.topics import EXPERIMENTS_EXPOSURES, USERS_REPORTS, USERS_SESSIONS, VIDEOS_IMPRESSIONS
from policy.casebook import Evidence
from policy.train import Policy
from simulation.platform.log.totals import UserTotals, sum_up
from simulation.reviewers import Reviewers
from streams.demo.experiment import Change, ExperimentPlan, Outcome, Truth, run_experiment
from streams.stack import embedded_stack
from streams.weeks.moderation import FROZEN, LEARNING
from streams.weeks.run import Weeks, all_frozen, all_learning, experiment, prepare
from warehouse.address import connect, parse_address

PLAN = ExperimentPlan(
    viewers=400, pre_days=3, days=4, trends_on=(3, 5), trend_share=0.15, rulings_per_1000_viewers=40, taught=500, seed=2
)
TODAY = datetime.now(UTC).date()


def kept(parent: Policy, old: Sequence[Evidence], new: Sequence[Evidence]) -> Policy:
    """A refresh that costs nothing: what is learned is learned from precedents."""
    return parent


@cache
def weeks() -> Weeks:
    return prepare(PLAN.scenario(TODAY))


class Steps:
    """Counts steps instead of showing them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.advanced = 0

    @property
    def advance(self) -> Callable[[int], None]:
        def count(n: int) -> None:
            self.advanced += n

        return count

    @contextmanager
    def __call__(self, name: str, total: int | None = None) -> Iterator[None]:
        self.names.append(name)
        yield


COLUMNS = (
    "impressions",
    "scored_impressions",
    "toxic_impressions",
    "reports",
    "active_days",
    "usage_s",
    "watch_s",
    "pre_impressions",
    "pre_reports",
    "pre_active_days",
    "pre_usage_s",
)
Rows = dict[str, tuple[str, int, tuple[float, ...]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Rows]:
    """The outcome, and of each user in the warehouse: variant, day of first exposure in the run, sums."""
    folder: Path = tmp_path_factory.mktemp("experiment")
    with embedded_stack(folder / "state", folder / "releases", workers=0, triton=False) as stack:
        assert stack.warehouse is not None
        steps = Steps()
        outcome = run_experiment(stack.kafka, stack.warehouse, folder, PLAN, steps, today=TODAY, refresh=kept)
        assert len(steps.names) == 5
        assert steps.advanced == 2 * (PLAN.pre_days + PLAN.days)
        sql = f"""
            SELECT user_id, variant, first_exposed_on, {", ".join(COLUMNS)} FROM experiment_users
            WHERE surface = 'all' AND through = {{through:Date}}
        """
        client = connect(parse_address(stack.warehouse))
        rows = client.query(sql, {"through": outcome.experiment.ends_on}).result_rows
        client.close()
    begins = outcome.experiment.starts_on - timedelta(days=PLAN.pre_days)
    return outcome, {user: (variant, (day - begins).days, tuple(sums)) for user, variant, day, *sums in rows}


@pytest.fixture(scope="module")
def lived() -> UserTotals:
    """The same days, summed without topics or a warehouse."""
    return sum_up(experiment(weeks(), Reviewers(seed=PLAN.seed), kept).days, weeks().population)


def test_each_users_row_in_the_warehouse_is_what_they_did_on_the_platform(
    found: tuple[Outcome, Rows], lived: UserTotals
) -> None:
    outcome, rows = found
    names = [variant.name for variant in outcome.experiment.variants]
    assert set(rows) == {f"u{PLAN.seed}-{user}" for user in lived.exposed.tolist()}
    for user in lived.exposed.tolist():
        variant, exposed_on, sums = rows[f"u{PLAN.seed}-{user}"]
        assert (variant, exposed_on) == (names[lived.arm_N[user]], lived.exposed_on_N[user])
        assert sums == pytest.approx([getattr(lived, column)[user] for column in COLUMNS])


def test_everything_was_sent_and_the_report_is_written(found: tuple[Outcome, Rows], lived: UserTotals) -> None:
    outcome, _ = found
    assert outcome.sent[VIDEOS_IMPRESSIONS.name] == lived.impressions.sum() + lived.pre_impressions.sum()
    assert outcome.sent[USERS_REPORTS.name] == lived.reports.sum() + lived.pre_reports.sum()
    assert outcome.sent[USERS_SESSIONS.name] > outcome.sent[EXPERIMENTS_EXPOSURES.name] > 0
    assert outcome.experiment.ends_on == TODAY - timedelta(days=1)
    assert "learning-policy" in outcome.page.read_text(encoding="utf-8")
    assert outcome.page.with_suffix(".md").exists()
    assert (outcome.refreshes, outcome.experiment.primary) == (2, MetricName.REPORT_RATE)
    assert outcome.rulings > 0
    lines = list(outcome.lines())
    assert f"{outcome.sent[VIDEOS_IMPRESSIONS.name]:,} impressions, " in lines[0]


def test_the_truth_is_of_everyone_with_the_one_policy_and_with_the_other(found: tuple[Outcome, Rows]) -> None:
    outcome, _ = found
    assert list(outcome.truth.violative) == ["fruit_cups", "subsidy_wheel", "all others", "all"]
    for arm, make in ((FROZEN, all_frozen), (LEARNING, all_learning)):
        world = make(weeks(), Reviewers(seed=PLAN.seed), kept)
        totals = sum_up(world.days, weeks().population)
        assert outcome.truth.report_rate[arm] == pytest.approx(totals.reports.sum() / totals.impressions.sum())
        told = [change[arm] for change in outcome.truth.violative.values()]
        assert told == pytest.approx(world.watch.counts.per_1000(arm, since=PLAN.pre_days).tolist())
        assert sum(told[:-1]) == pytest.approx(told[-1])


def test_the_headline_holds_the_verdict_beside_the_truth(found: tuple[Outcome, Rows]) -> None:
    outcome, _ = found
    truth = Truth(Change(0.004, 0.003), {"all": Change(80.0, 40.04)})
    (verdict,) = outcome.analysis.verdicts
    assert verdict.sentence.endswith(".")
    assert replace(outcome, truth=truth).headline == (
        f"{verdict.sentence[:-1]}; truth -25.0%; violative impressions 80.0 -> 40.0 in 1,000"
    )


def test_the_experiment_is_declared_as_analysts_would(found: tuple[Outcome, Rows]) -> None:
    outcome, _ = found
    assert read_experiments(outcome.declared).experiments == (outcome.experiment,)
