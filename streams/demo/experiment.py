"""Two weeks of an experiment, from the first session to the report: simulated viewers, and everything else real.

    simulated platform -> topics -> sink and recorder -> warehouse -> daily tables -> analysis -> report

The ranker is `features.rank`, the arms are those of `ab_tests.assignment`. Since the platform is simulated, the true
effect is known: the same viewers also live both arms, and the report's figure can be held against it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from contracts.errors import CheckFailedError
from contracts.experiments import Experiment
from contracts.topics import EXPERIMENTS_EXPOSURES, USERS_REPORTS, USERS_SESSIONS, VIDEOS_IMPRESSIONS, Topic
from simulation.platform.days import live
from simulation.platform.log.columns import events_of, json_lines
from simulation.platform.log.totals import UserTotals, sum_up
from simulation.platform.population import Plan, Population, draw_population, everyone
from simulation.platform.settings import PlatformSettings
from streams.feed.simulated import Arms, toxicity_aware
from streams.kafka.delivery import OutgoingRecord
from streams.kafka.pacing import PacedProducer
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
    """How many viewers live how many days before and during the experiment, which ended yesterday."""

    viewers: int = 3_000
    pre_days: int = 14
    days: int = 14
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was sent, what the analysis says, what is true, and where the report lies.

    true_change: relative change of the report rate from all in control to all in treatment.
    declared: the experiment as `precedent ab analyse --experiments FILE` reads it; the Markdown report lies beside
    `page`.
    """

    experiment: Experiment
    sent: Mapping[str, int]
    analysis: "Analysis"
    true_change: float
    page: Path
    declared: Path

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdicts in words."""
        return tuple(verdict.sentence for verdict in self.analysis.verdicts)

    def lines(self) -> Iterator[str]:
        """What to print of it."""
        population, sent = self.analysis.population, self.sent
        yield f"{self.experiment.experiment_id}, {population.since} to {population.through}, {population.users:,} users"
        yield ", ".join(f"{count:,} on {topic}" for topic, count in sent.items())
        yield from self.sentences
        yield f"in truth, everyone in the one arm and in the other: report rate {self.true_change:+.1%}"


def run_experiment(
    broker: str, warehouse: str, folder: Path, plan: ExperimentPlan, step: Progress, *, today: date
) -> Outcome:
    """Live the days up to `today`, send what happened, and report; broker, warehouse, sink and recorder must run.

    `warehouse` is its address with the password. Raises `CheckFailedError` when the warehouse holds other counts than
    were sent, or the analysis refuses the data; `DependencyError` when a part does not answer.
    """
    address = parse_address(warehouse)
    days = plan.pre_days + plan.days
    lived = Plan(plan.viewers, days, plan.seed, begins=today - timedelta(days=days), starts_on=plan.pre_days)
    arms, population = toxicity_aware(lived), draw_population(lived, PlatformSettings())
    with step("live four weeks on the platform, an experiment in the last two", days):
        sent = _send_all(broker, population, arms, step.advance)
    with step("rebuild daily tables", days):
        _rebuild(address, lived, sent, step.advance)
    with step("live both arms with everyone: the truth"):
        true_change = _true_change(population, arms)
    with step("analyse the experiment and write its report"):
        analysis, page = _report(address, arms.experiment, folder)
    declared = folder / "experiments.toml"
    declared.write_text(as_toml(arms.experiment), encoding="utf-8")
    return Outcome(arms.experiment, sent, analysis, true_change, page, declared)


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


def _send_all(broker: str, population: Population, arms: Arms, advance: Callable[[int], None]) -> dict[str, int]:
    """Send each day's events as they come, no faster than they are read; returns how many went on each topic."""
    sent = dict.fromkeys((topic.name for topic in READERS), 0)
    producer = PacedProducer(broker, {topic.name: group for topic, group in READERS.items()})
    try:
        for day in live(population, arms.rank, arms.assign):
            events = events_of(day, population, arms.experiment)
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


def _true_change(population: Population, arms: Arms) -> float:
    """How the report rate changes from all in control to all in treatment."""
    control, treatment = (_rate(sum_up(live(population, arms.rank, everyone(arm)), population)) for arm in (0, 1))
    return treatment / control - 1.0


def _rate(totals: UserTotals) -> float:
    return float(totals.reports.sum() / totals.impressions.sum())


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
