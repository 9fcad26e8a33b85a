"""Weeks of an experiment on the policy, from the first session to the report: simulated viewers, all else real.

    simulated platform -> topics -> sink and recorder -> warehouse -> daily tables -> analysis -> report
            ^                  |
    toxicity features <- each arm's release <- (the learning arm's alone) rulings of the night before

Two trends come up that the policy of the first day was never taught. Half of the viewers keep that policy; the others
have one that publishes rulings as precedents overnight and is refreshed. Since the platform is simulated, the truth is
known: the same viewers also live all with the one and all with the other, and the report can be held against it.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pyarrow as pa

from contracts.errors import CheckFailedError
from contracts.experiments import Experiment
from contracts.topics import EXPERIMENTS_EXPOSURES, USERS_REPORTS, USERS_SESSIONS, VIDEOS_IMPRESSIONS, Topic
from policy.refresh import refresh_policy
from simulation.platform.log.columns import events_of, json_lines
from simulation.platform.log.totals import sum_up
from simulation.platform.population import Plan
from simulation.platform.settings import TrendWave
from simulation.reviewers import Reviewers
from simulation.trends.settings import FRUIT_CUPS, SUBSIDY_WHEEL
from streams.kafka.connection import Connection
from streams.kafka.delivery import OutgoingRecord
from streams.kafka.pacing import PacedProducer
from streams.weeks.moderation import FROZEN, LEARNING, Refresh
from streams.weeks.run import Weeks, World, all_frozen, all_learning, experiment, prepare
from streams.weeks.scenario import Scenario
from warehouse.address import WarehouseAddress, connect, parse_address
from warehouse.daily import rebuild
from warehouse.queries import day_totals

if TYPE_CHECKING:
    from ab_tests.results import Analysis

READERS: Mapping[Topic, str] = {
    VIDEOS_IMPRESSIONS: "precedent-sink",
    USERS_REPORTS: "precedent-recorder",
    USERS_SESSIONS: "precedent-sink",
    EXPERIMENTS_EXPOSURES: "precedent-recorder",
}
"""The topics of a day's events, in the order of `EventColumns`, and who copies each into the warehouse."""


class Progress(Protocol):
    """Names the step that runs and, where it can be counted, tells how far it is."""

    @property
    def advance(self) -> Callable[[int], None]: ...
    def __call__(self, name: str, total: int | None = None) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """How large the demo's weeks are, which ended yesterday; `streams.weeks.scenario` says the rest.

    The numbers were chosen on other seeds than the demo's. With trends of 8% from days 8 and 13 the true change of the
    report rate was -19% to -32%, and an interval of 14 points to either side did not always show it.

    viewers: as many as are lived and sent in a minute.
    pre_days, days: one week to compare viewers with themselves by, two of the experiment.
    trends_on: days of the run on which the trends come up: early, so that most of the experiment is about them.
    trend_share: of the uploads, for each; a little more than all else that is violative, to be seen with few viewers.
    rulings_per_1000_viewers: what reviewers get through in a day, two in fifteen of the uploads. Half of them serve
      each arm, and half must still be enough to meet a trend's videos on its first days.
    taught: cases of the first release; a refresh of so few takes seconds.
    nights_between: refreshes are every third night, for the same reason; precedents are published every night.
    """

    viewers: int = 5_000
    pre_days: int = 7
    days: int = 14
    trends_on: tuple[int, int] = (7, 10)
    trend_share: float = 0.12
    rulings_per_1000_viewers: float = 4.0
    taught: int = 1_000
    nights_between: int = 3
    seed: int = 7

    def scenario(self, today: date) -> Scenario:
        """The weeks that end the day before `today`."""
        return Scenario(
            viewers=self.viewers,
            pre_days=self.pre_days,
            days=self.days,
            waves=tuple(
                TrendWave(
                    trend.name, trend.category, starts_on, share=self.trend_share, benign_share=self.trend_share / 4
                )
                for trend, starts_on in zip((FRUIT_CUPS, SUBSIDY_WHEEL), self.trends_on, strict=True)
            ),
            taught=self.taught,
            rulings_a_day=round(self.rulings_per_1000_viewers * self.viewers / 1000),
            nights_between=self.nights_between,
            seed=self.seed,
            begins=today - timedelta(days=self.pre_days + self.days),
        )


class Change(NamedTuple):
    """A figure of the platform where nobody's policy learns, and where everybody's does."""

    frozen: float
    learning: float

    @property
    def relative(self) -> float:
        return self.learning / self.frozen - 1.0 if self.frozen else math.nan


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of all viewers, had they all lived with the one policy or with the other.

    report_rate: reports per impression. violative: impressions of violative videos in 1,000, by kind: each trend,
    "all others" and "all".
    """

    report_rate: Change
    violative: Mapping[str, Change]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was sent, what the analysis says, what is true, and where the report lies.

    rulings, refreshes: of the experiment. declared: it as `precedent ab analyse --experiments FILE` reads it; the
    Markdown report lies beside `page`.
    """

    experiment: Experiment
    sent: Mapping[str, int]
    rulings: int
    refreshes: int
    analysis: "Analysis"
    truth: Truth
    page: Path
    declared: Path

    @property
    def headline(self) -> str:
        """The verdict in words, the truth behind it, and what viewers were spared."""
        verdicts = " ".join(verdict.sentence.removesuffix(".") for verdict in self.analysis.verdicts)
        shown = self.truth.violative["all"]
        return (
            f"{verdicts}; truth {self.truth.report_rate.relative:+.1%}; "
            f"violative impressions {shown.frozen:.1f} -> {shown.learning:.1f} in 1,000"
        )

    def lines(self) -> Iterator[str]:
        """What to print of it below the headline."""
        declared = self.experiment
        sent = ", ".join(f"{n:,} {topic.rpartition('.')[2]}" for topic, n in self.sent.items())
        yield f"{declared.experiment_id}, {declared.starts_on} to {declared.ends_on}: {sent}"
        yield f"{self.rulings} rulings, {self.refreshes} refreshes, precedents published every night"
        rate = self.truth.report_rate
        yield "had everyone lived with the frozen policy, and with the learning one, per 1,000 impressions"
        yield f"  {'reports':40} {1000 * rate.frozen:6.2f} -> {1000 * rate.learning:6.2f}   {rate.relative:+.1%}"
        for name, one in self.truth.violative.items():
            kind = f"violative impressions, {name}"
            yield f"  {kind:40} {one.frozen:6.1f} -> {one.learning:6.1f}   {one.relative:+.1%}"


def run_experiment(
    broker: Connection,
    warehouse: str,
    folder: Path,
    plan: ExperimentPlan,
    step: Progress,
    *,
    today: date,
    refresh: Refresh = refresh_policy,
) -> Outcome:
    """Live the days up to `today`, send what happened, and report; broker, warehouse, sink and recorder must run.

    `warehouse` is its address with the password. Raises `CheckFailedError` when the warehouse holds other counts than
    were sent, or the analysis refuses the data; `DependencyError` when a part does not answer.
    """
    address, scenario = parse_address(warehouse), plan.scenario(today)
    with step("train the policy of an experiment's first day"):
        weeks = prepare(scenario)
    reviewers, declared = Reviewers(seed=plan.seed), weeks.arms.experiment
    with step("live weeks on the platform: half of it learns, half does not", scenario.plan.days):
        world = experiment(weeks, reviewers, refresh)
        sent = _send_all(broker, weeks, world, step.advance)
    with step("rebuild daily tables", scenario.plan.days):
        _rebuild(address, scenario.plan, sent, step.advance)
    with step("live them all frozen and all learning: the truth"):
        truth = _truth(weeks, *(make(weeks, reviewers, refresh) for make in (all_frozen, all_learning)))
    with step("analyse the experiment and write its report"):
        analysis, page = _report(address, declared, folder)
    file = folder / "experiments.toml"
    file.write_text(as_toml(declared), encoding="utf-8")
    moderation = world.moderation
    return Outcome(
        experiment=declared,
        sent=sent,
        rulings=len(moderation.rulings.category_of),
        refreshes=len(moderation.refreshed_on),
        analysis=analysis,
        truth=truth,
        page=page,
        declared=file,
    )


def as_toml(experiment: Experiment) -> str:
    """The experiment as it would be declared by hand."""
    record = experiment.model_dump(mode="json", exclude_none=True)
    tables = {name: record.pop(name) for name in ("variants", "guardrails")}
    lines = ["[[experiments]]", *(f"{name} = {_toml(value)}" for name, value in record.items())]
    for name, entries in tables.items():
        for entry in entries:
            lines += ["", f"[[experiments.{name}]]", *(f"{key} = {_toml(value)}" for key, value in entry.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """A value of a contract in TOML; a string, a number or a list of them is written as in JSON."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(one)}' for key, one in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)


def _send_all(broker: Connection, weeks: Weeks, world: World, advance: Callable[[int], None]) -> dict[str, int]:
    """Send each day's events as they come, no faster than they are read; returns how many went on each topic."""
    sent = dict.fromkeys((topic.name for topic in READERS), 0)
    producer = PacedProducer(broker, {topic.name: group for topic, group in READERS.items()})
    try:
        for day in world.days:
            events = events_of(day, weeks.population, weeks.arms.experiment)
            for topic, table in zip(READERS, events, strict=True):
                sent[topic.name] += producer.send(_records(topic, table))
            advance(1)
        producer.wait_until_read()
    finally:
        producer.close()
    return sent


def _records(topic: Topic, table: pa.Table) -> Iterator[OutgoingRecord]:
    keys = table[topic.key].to_pylist()
    for key, line in zip(keys, json_lines(table), strict=True):
        yield OutgoingRecord(topic.name, key.encode(), line)


def _rebuild(address: WarehouseAddress, plan: Plan, sent: Mapping[str, int], advance: Callable[[int], None]) -> None:
    """Rebuild all days, and hold what their users did against what was sent."""
    days = [plan.begins + timedelta(days=day) for day in range(plan.days)]
    client = connect(address)
    try:
        rebuild(client, days, done=lambda _: advance(1))
        totals = [day_totals(client, day) for day in days]
    finally:
        client.close()
    for topic, found in (
        (VIDEOS_IMPRESSIONS, sum(day.impressions for day in totals)),
        (USERS_REPORTS, sum(day.reports for day in totals)),
    ):
        if found != sent[topic.name]:
            raise CheckFailedError(
                f"{topic.name}: {sent[topic.name]} events were sent, {found} are in the daily tables"
            )


def _truth(weeks: Weeks, frozen: World, learning: World) -> Truth:
    """Live both worlds to their end, and compare them while arms were in force."""
    since = weeks.scenario.pre_days
    rates, shares = [], []
    for arm, lived in ((FROZEN, frozen), (LEARNING, learning)):
        totals = sum_up(lived.days, weeks.population)
        rates.append(float(totals.reports.sum() / totals.impressions.sum()))
        shares.append(lived.watch.counts.per_1000(arm, since=since).tolist())
    names = [*(wave.name for wave in weeks.scenario.waves), "all others", "all"]
    violative = {name: Change(*pair) for name, *pair in zip(names, *shares, strict=True)}
    return Truth(Change(*rates), violative)


def _report(address: WarehouseAddress, experiment: Experiment, folder: Path) -> "tuple[Analysis, Path]":
    from ab_tests.analysis import analyse, metrics_of
    from ab_tests.population import reader, warehouse_tables
    from ab_tests.report.markdown import to_markdown
    from ab_tests.report.page import write_html

    read = reader(warehouse_tables(address, experiment), metrics_of(experiment))
    analysis = analyse(experiment, read, through=experiment.ends_on)
    page = folder / "experiment.html"
    write_html(analysis, page)
    page.with_suffix(".md").write_text(to_markdown(analysis), encoding="utf-8")
    return analysis, page
