"""What is written down of a world: contracts, the warehouse's columns, files, and the command that writes them."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError
from contracts.records import Event
from contracts.viewers import ExperimentExposure, Impression, UserReport, UserSession
from simulation.commands import simulate
from simulation.platform.day import Day
from simulation.platform.days import live
from simulation.platform.log.columns import EventColumns, contract_events, events_of
from simulation.platform.log.files import write_events
from simulation.platform.log.totals import sum_up
from simulation.platform.population import Plan, Population, draw_population
from simulation.platform.settings import PlatformSettings
from streams.feed.simulated import Arms, toxicity_aware
from warehouse.sink import arrow_schema

PLAN = Plan(viewers=120, days=5, seed=11, starts_on=2)
CONTRACTS: tuple[type[Event], ...] = (Impression, UserReport, UserSession, ExperimentExposure)


@pytest.fixture(scope="module")
def lived() -> tuple[Population, Arms, list[Day]]:
    population, arms = draw_population(PLAN, PlatformSettings()), toxicity_aware(PLAN)
    return population, arms, list(live(population, arms.rank, arms.assign))


@pytest.fixture(scope="module")
def written(lived: tuple[Population, Arms, list[Day]]) -> list[EventColumns]:
    population, arms, days = lived
    return [events_of(day, population, arms.experiment) for day in days]


@pytest.mark.parametrize("place", range(4), ids=EventColumns._fields)
def test_columns_are_those_that_the_warehouse_takes(written: list[EventColumns], place: int) -> None:
    schema = arrow_schema(CONTRACTS[place])
    for day in written:
        assert day[place].schema.names == schema.names
        assert day[place].schema.types == schema.types


@pytest.mark.parametrize("place", range(4), ids=EventColumns._fields)
def test_every_row_is_a_valid_event_and_every_id_is_met_once(written: list[EventColumns], place: int) -> None:
    events = [event for day in written for event in contract_events(day[place], CONTRACTS[place])]
    assert events
    assert len({event.event_id for event in events}) == len(events)


def test_counts_in_are_counts_out(lived: tuple[Population, Arms, list[Day]], written: list[EventColumns]) -> None:
    for day, events in zip(lived[2], written, strict=True):
        assert events.impressions.num_rows == len(day.video_I)
        assert events.reports.num_rows == day.reported_I.sum()
        assert events.sessions.num_rows == len(day.viewer_S)
        assert sum(events.sessions["impressions"].to_pylist()) == len(day.video_I)
        assert events.exposures.num_rows == len(np.unique(day.viewer_S[day.arm_S >= 0]))
        assert events.impressions["toxicity"].null_count == np.isnan(day.toxicity_I).sum()


def test_a_report_follows_the_impression_that_it_is_about(written: list[EventColumns]) -> None:
    shown = {one.event_id: one for day in written for one in contract_events(day.impressions, Impression)}
    reports = [one for day in written for one in contract_events(day.reports, UserReport)]
    for report in reports:
        impression = shown["i" + report.event_id[1:]]
        assert (report.reporter_id, report.video_id) == (impression.user_id, impression.video_id)
        waited = report.reported_at - impression.shown_at
        assert waited.total_seconds() * 1000 == pytest.approx(impression.watch_ms)


def test_exposures_name_the_arm_that_the_assignment_gives(
    lived: tuple[Population, Arms, list[Day]], written: list[EventColumns]
) -> None:
    _, arms, _ = lived
    names = [variant.name for variant in arms.experiment.variants]
    planned = dict(zip(PLAN.user_ids, (names[arm] for arm in arms.assign(PLAN.user_ids)), strict=True))
    exposed = [one for day in written for one in contract_events(day.exposures, ExperimentExposure)]
    assert {one.user_id: one.variant for one in exposed} == {one.user_id: planned[one.user_id] for one in exposed}
    days = {one.exposed_at.date() for one in exposed}
    assert days == {arms.experiment.starts_on, *days}
    assert max(days) <= arms.experiment.ends_on
    assert len(set(planned.values())) == 2


def test_no_event_gives_the_truth_away(written: list[EventColumns]) -> None:
    columns = {name for day in written for table in day for name in table.schema.names}
    assert columns.isdisjoint({"violative", "tolerance", "true_toxicity", "brigade"})


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_files_hold_what_happened(
    tmp_path: Path, lived: tuple[Population, Arms, list[Day]], written: list[EventColumns], form: str
) -> None:
    population, arms, days = lived
    counts = write_events(tmp_path, days, population, arms.experiment, form=form)  # type: ignore[arg-type]
    assert counts == tuple(sum(day[place].num_rows for day in written) for place in range(4))
    assert {path.name for path in (tmp_path / "events").iterdir()} == {f"{n}.{form}" for n in EventColumns._fields}
    if form == "jsonl":
        lines = (tmp_path / "events" / "impressions.jsonl").read_bytes().splitlines()
        events = [Impression.model_validate_json(line) for line in lines]
        meant = [one for day in written for one in contract_events(day.impressions, Impression)]
        assert [one.model_copy(update={"toxicity": None}) for one in events] == [
            one.model_copy(update={"toxicity": None}) for one in meant
        ]
        toxicities = ([np.nan if one.toxicity is None else one.toxicity for one in some] for some in (events, meant))
        np.testing.assert_array_equal(*(np.array(some, np.float32) for some in toxicities))


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path, lived: tuple[Population, Arms, list[Day]]) -> None:
    population, arms, days = lived
    (tmp_path / "taken").write_text("")
    with pytest.raises(BadInputError, match="must be a folder to write to"):
        write_events(tmp_path / "taken", days, population, arms.experiment)


def test_the_command_writes_events_and_three_worlds_of_truth(tmp_path: Path) -> None:
    given = ["platform", "--out", str(tmp_path), "--users", "60", "--days", "4", "--pre-days", "2", "--seed", "3"]
    done = CliRunner().invoke(simulate, given)
    assert done.exit_code == 0, done.output
    plan = Plan(viewers=60, days=4, seed=3, starts_on=2)
    population, arms = draw_population(plan, PlatformSettings()), toxicity_aware(plan)
    days = list(live(population, arms.rank, arms.assign))
    shown = sum(len(day.video_I) for day in days)
    assert f"{shown} impressions" in done.output
    assert pq.read_metadata(tmp_path / "events" / "impressions.parquet").num_rows == shown
    truth = pq.read_table(tmp_path / "truth" / "users.parquet").to_pylist()
    assert {row["world"] for row in truth} == {"experiment", "all control", "all toxicity-aware"}
    mine = [row["impressions"] for row in truth if row["world"] == "experiment"]
    assert mine == sum_up(days, population).impressions.tolist()
    assert json.loads((tmp_path / "experiment.json").read_text())["experiment_id"] == "toxicity-aware-ranking"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--prevalence", "7", "prevalence == 7.0"),
        ("--recall", "0.01", "worse than chance"),
        ("--arms", "nowhere:x", "MODULE:FUNCTION"),
    ],
)
def test_the_command_refuses_absurd_settings(tmp_path: Path, option: str, value: str, said: str) -> None:
    given = ["platform", "--out", str(tmp_path), "--users", "5", "--seed", "1", option, value]
    done = CliRunner().invoke(simulate, given)
    assert isinstance(done.exception, BadInputError)
    assert said in str(done.exception)
