"""`precedent ab analyse` and `power` on a real warehouse, from events to sentences, and every refusal."""

import json
import socket
import uuid
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ab_tests.commands import ab
from contracts.errors import BadInputError, CheckFailedError, DependencyError
from contracts.records import Event
from contracts.viewers import ExperimentExposure, Impression, UserReport
from tests.ab_tests.events import DAYS, STARTS_ON, events, short_experiment
from tests.warehouse.owners import Owner
from warehouse.address import WarehouseAddress, connect
from warehouse.daily import rebuild
from warehouse.migrate import migrate
from warehouse.sink import EventSink

DECLARED = """
[[experiments]]
experiment_id = "one"
hypothesis = "It helps."
subject = "ranking"
layer = "feed"
buckets = [0, 10000]
salt = "one-salt"
primary = "report_rate"
metrics = ["report_rate", "active_days", "usage_time_per_user", "usage_time_total", "toxic_share"]
surfaces = ["recommend", "search"]
starts_on = {starts_on}
ends_on = {ends_on}
pre_period_days = {pre_period_days}
smallest_effect = 0.05

  [[experiments.variants]]
  name = "control"
  share = 0.5
  ranking = {{ strength = 0.0 }}

  [[experiments.variants]]
  name = "treatment"
  share = 0.5
  ranking = {{ strength = 4.0 }}

  [[experiments.guardrails]]
  metric = "usage_time_total"
  margin = 0.5
"""


def keep(address: WarehouseAddress, some: list[Event], *, rebuilt: bool = True) -> None:
    """Insert the events and sum up their days."""
    client = connect(address)
    by_type = defaultdict(list)
    for event in some:
        by_type[type(event)].append(event)
    for kind, of_kind in by_type.items():
        EventSink(client, kind).insert(of_kind)
    if rebuilt:
        assert list(rebuild(client, [STARTS_ON + timedelta(days=day) for day in range(-DAYS, DAYS)]))


def run(address: WarehouseAddress, folder: Path, *words: str, pre_period_days: int = DAYS) -> Result:
    """Call `precedent ab` on the experiment; domain errors come out as they are."""
    declared = folder / "experiments.toml"
    experiment = short_experiment()
    declared.write_text(
        DECLARED.format(starts_on=experiment.starts_on, ends_on=experiment.ends_on, pre_period_days=pre_period_days)
    )
    environment = {"PRECEDENT_WAREHOUSE": address.url, "PRECEDENT_EXPERIMENTS": str(declared)}
    return CliRunner().invoke(ab, list(words), env=environment, catch_exceptions=False)


@pytest.fixture(scope="module")
def worse(owner: Owner) -> tuple[WarehouseAddress, list[Event]]:
    """A warehouse where the treatment's users report 1.6 times as often, and the events in it."""
    fresh = replace(owner.address, database=f"t_{uuid.uuid4().hex}")
    migrate(fresh)
    some = list(events(users=400, seed=12, lift=1.6))
    keep(fresh, some)
    return fresh, some


def test_events_in_a_worse_verdict_out(worse: tuple[WarehouseAddress, list[Event]], tmp_path: Path) -> None:
    address, _ = worse
    lines = run(address, tmp_path, "analyse", "one").output.splitlines()
    assert lines[0].startswith("one, ")
    assert lines[1].startswith("  treatment is worse: report rate +")
    assert any(line.startswith("usage_time_total") and "off" not in line for line in lines)
    assert any("guardrail total usage time within 50% for treatment: held" in line for line in lines)
    assert any(line.startswith("note: Arms share videos, reports and precedents") for line in lines)


def test_the_report_is_written_beside_the_lines(worse: tuple[WarehouseAddress, list[Event]], tmp_path: Path) -> None:
    address, _ = worse
    page, text = tmp_path / "report.html", tmp_path / "report.md"
    run(address, tmp_path, "analyse", "one", "--html", str(page), "--markdown", str(text))
    assert "treatment is worse" in page.read_text()
    assert "treatment is worse" in text.read_text()


def test_every_experiment_that_runs_on_the_day_has_its_pages(
    worse: tuple[WarehouseAddress, list[Event]], tmp_path: Path
) -> None:
    address, _ = worse
    last = STARTS_ON + timedelta(days=DAYS - 1)
    told = run(address, tmp_path, "report", "--out", str(tmp_path / "out")).output  # through yesterday, its last day
    page = tmp_path / "out" / str(last) / "one.html"
    assert told == f"{page}\n"
    assert "treatment is worse" in page.read_text()
    assert "treatment is worse" in page.with_suffix(".md").read_text()
    assert sorted(path.name for path in page.parent.iterdir()) == ["one.html", "one.md"]
    later = run(address, tmp_path, "report", "--through", str(last + timedelta(days=1)), "--out", str(tmp_path / "out"))
    assert later.output == f"no experiment runs on {last + timedelta(days=1)}\n"


def test_blocked_data_have_pages_too_and_the_command_fails(address: WarehouseAddress, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match=r"one: nobody was exposed in .*; no verdict"):
        run(address, tmp_path, "report", "one", "--out", str(tmp_path))
    assert "nobody was exposed" in (tmp_path / str(STARTS_ON + timedelta(days=DAYS - 1)) / "one.html").read_text()


def test_the_control_is_what_the_events_say(worse: tuple[WarehouseAddress, list[Event]], tmp_path: Path) -> None:
    address, some = worse
    found = json.loads(run(address, tmp_path, "analyse", "one", "--json", "--correction", "fwer").output)
    assert found["correction"] == "fwer"
    first = {e.user_id: STARTS_ON for e in some if isinstance(e, ExperimentExposure)}
    for event in some:
        if isinstance(event, ExperimentExposure):
            first[event.user_id] = max(min(first[event.user_id], event.exposed_at.date()), STARTS_ON)
    control = {user for user in first if int(user[1:]) % 2 == 0}
    shown = sum(isinstance(e, Impression) and e.user_id in control and e.shown_at.date() >= STARTS_ON for e in some)
    told = sum(
        isinstance(e, UserReport) and e.reporter_id in control and e.reported_at.date() >= STARTS_ON for e in some
    )
    rate = found["estimates"][0]
    assert (rate["metric"], rate["variant"]) == ("report_rate", "treatment")
    assert rate["control_users"] == len(control)
    assert found["population"]["users"] == len(first)
    # CUPED moves the control's mean a little; without it the mean is reports over impressions.
    off = json.loads(run(address, tmp_path, "analyse", "one", "--json", pre_period_days=0).output)
    assert off["estimates"][0]["control"] == pytest.approx(told / shown, rel=1e-12)
    assert rate["control"] == pytest.approx(told / shown, rel=0.1)
    assert [look["number"] for look in found["sequences"][0]["looks"]] == list(range(1, DAYS + 1))
    assert [part["name"] for part in found["breakdowns"][0]["parts"]] == ["recommend", "search"]
    assert any("CUPED is off" in caveat for caveat in off["caveats"])


def test_power_says_what_the_users_can_show(worse: tuple[WarehouseAddress, list[Event]], tmp_path: Path) -> None:
    address, _ = worse
    lines = run(address, tmp_path, "power", "one", "--effect", "0.5").output.splitlines()
    assert "to find 50%" in lines[1]
    assert lines[2].startswith("report_rate")
    assert lines[2].split()[-1] == "0"


def test_power_is_planned_from_the_days_before_the_start(
    worse: tuple[WarehouseAddress, list[Event]], tmp_path: Path
) -> None:
    address, some = worse
    before = str(STARTS_ON - timedelta(days=1))
    lines = run(address, tmp_path, "power", "one", "--effect", "0.2", "--through", before).output.splitlines()
    active = {event.user_id for event in some if isinstance(event, Impression) and event.shown_at.date() < STARTS_ON}
    assert lines[0].endswith(f"when {len(active)} users were active, {len(active)} of them in its buckets")
    assert any(line.startswith("active_days") for line in lines)
    with pytest.raises(CheckFailedError, match=r"no row came of .*, must have every day from"):
        run(address, tmp_path, "power", "one", "--through", str(STARTS_ON - timedelta(days=3)))


def test_nobody_exposed_is_no_verdict(address: WarehouseAddress, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with pytest.raises(CheckFailedError, match=r"one: nobody was exposed in .*; no verdict"):
        run(address, tmp_path, "analyse", "one", "--html", str(page))
    assert "nobody was exposed" in page.read_text()


def without(some: list[Event], users: set[str]) -> list[Event]:
    return [e for e in some if not (isinstance(e, ExperimentExposure) and e.user_id in users)]


def test_an_arm_without_users_is_no_verdict(address: WarehouseAddress, tmp_path: Path) -> None:
    keep(address, without(list(events(users=20, seed=1)), {f"u{n}" for n in range(1, 20, 2)}))
    with pytest.raises(CheckFailedError, match=r"one: treatment has no users in .*; no verdict"):
        run(address, tmp_path, "analyse", "one")


def test_lost_users_are_no_verdict(address: WarehouseAddress, tmp_path: Path) -> None:
    keep(address, without(list(events(users=120, seed=1)), {f"u{n}" for n in range(1, 80, 2)}))
    with pytest.raises(CheckFailedError, match=r"check failed at 0.001: sizes of the arms p = .*no verdict"):
        run(address, tmp_path, "analyse", "one")


def moved(some: list[Event], user: str, variant: str) -> list[Event]:
    """The user's last exposure as one to `variant`."""
    last = [e for e in some if isinstance(e, ExperimentExposure) and e.user_id == user][-1]
    return [e.model_copy(update={"variant": variant}) if e is last else e for e in some]


def test_users_in_several_arms_are_no_verdict(address: WarehouseAddress, tmp_path: Path) -> None:
    keep(address, moved(moved(list(events(users=40, seed=1)), "u0", "treatment"), "u1", "control"))
    with pytest.raises(CheckFailedError, match=r"2 users \(5\.\d%\) saw several variants, must be 1% or fewer"):
        run(address, tmp_path, "analyse", "one")


def test_days_that_were_never_summed_up_are_no_verdict(address: WarehouseAddress, tmp_path: Path) -> None:
    keep(address, list(events(users=20, seed=1)), rebuilt=False)
    with pytest.raises(CheckFailedError, match="was never rebuilt"):
        run(address, tmp_path, "analyse", "one")


def test_a_day_that_was_summed_up_while_it_ran_is_no_verdict(address: WarehouseAddress, tmp_path: Path) -> None:
    keep(address, list(events(users=20, seed=1)))
    client = connect(address)
    client.command("TRUNCATE TABLE rebuilds")
    last = STARTS_ON + timedelta(days=DAYS - 1)
    for day in (STARTS_ON + timedelta(days=number) for number in range(-DAYS, DAYS)):
        began_at = f"{day} 13:05:00" if day == last else f"{day + timedelta(days=1)} 01:00:00"
        client.command(f"INSERT INTO rebuilds VALUES ('{day}', '{began_at}', 1, 1)")
    earlier = last - timedelta(days=1)
    with pytest.raises(
        CheckFailedError, match=rf"{last} was rebuilt at 13:05 of that day .*analyse --through {earlier}"
    ):
        run(address, tmp_path, "analyse", "one")


def test_a_last_day_of_which_no_row_came_is_no_verdict_and_an_earlier_one_is_named(
    address: WarehouseAddress, tmp_path: Path
) -> None:
    first, second, last = (STARTS_ON + timedelta(days=number) for number in (0, 1, DAYS - 1))
    some = [event for event in events(users=80, seed=1) if f"-{second}" not in event.event_id]
    keep(address, [event for event in some if f"-{last}" not in event.event_id])
    earlier = last - timedelta(days=1)
    with pytest.raises(CheckFailedError, match=rf"one: no row came of {last}, no verdict; analyse --through {earlier}"):
        run(address, tmp_path, "analyse", "one")
    told = run(address, tmp_path, "analyse", "one", "--through", str(earlier)).output
    assert f"No row of these days ever came, as if nobody had been there: {second}." in told
    assert f"{first}" not in told.splitlines()[-1]


def test_a_day_before_the_start_and_an_unknown_experiment_are_bad_input(
    address: WarehouseAddress, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="must not be before starts_on"):
        run(address, tmp_path, "analyse", "one", "--through", str(STARTS_ON - timedelta(days=1)))
    with pytest.raises(BadInputError, match="experiment == 'two', must be one of one"):
        run(address, tmp_path, "analyse", "two")


def test_a_warehouse_that_is_down_is_said_so(owner: Owner, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = replace(owner.address, port=unused.getsockname()[1])
        with pytest.raises(DependencyError, match="does not answer"):
            run(nowhere, tmp_path, "analyse", "one")
