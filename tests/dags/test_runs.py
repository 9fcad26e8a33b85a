"""Each DAG from its first task to its last by `dag.test()`, on real parts: a warehouse, an online store, releases."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.verdicts import Decision
from tests.ab_tests.events import DAYS, STARTS_ON, events, short_experiment
from tests.ab_tests.test_commands import DECLARED, keep
from tests.dags.conftest import Airflow
from tests.features.test_lookup import write
from tests.warehouse.owners import Owner
from tests.warehouse.samples import START, verdict
from warehouse.address import WarehouseAddress, connect
from warehouse.migrate import migrate
from warehouse.sink import VerdictSink

YESTERDAY = STARTS_ON + timedelta(days=DAYS - 1)


@pytest.fixture
def address(owner: Owner) -> WarehouseAddress:
    fresh = replace(owner.address, database=f"t_{uuid.uuid4().hex}")
    migrate(fresh)
    return fresh


def declared(folder: Path) -> Path:
    experiment = short_experiment()
    path = folder / "experiments.toml"
    path.write_text(DECLARED.format(starts_on=experiment.starts_on, ends_on=experiment.ends_on, pre_period_days=DAYS))
    return path


def test_ab_report_sums_up_days_and_writes_a_page_of_each_experiment(
    airflow: Airflow, address: WarehouseAddress, tmp_path: Path
) -> None:
    keep(address, list(events(users=60, seed=12, lift=1.6)), rebuilt=False)
    environment = {
        "PRECEDENT_WAREHOUSE": address.url,
        "PRECEDENT_EXPERIMENTS": str(declared(tmp_path)),
        "PRECEDENT_REPORTS": str(tmp_path / "reports"),
    }
    done = airflow.run("ab_report", environment)
    assert done["state"] == "success", airflow.log.read_text()[-4_000:]
    assert done["returned"]["running_experiments"] == ["one"]
    assert len(done["returned"]["rebuild_days"]) == 2 * DAYS
    page = tmp_path / "reports" / str(YESTERDAY) / "one.html"
    assert done["returned"]["report_experiment[0]"] == str(page)
    assert "report rate" in page.read_text()
    assert done["assets"] == [{"uri": "precedent://ab/reports", "extra": {}}]


def test_ab_report_of_blocked_data_writes_the_page_and_fails_at_once(
    airflow: Airflow, address: WarehouseAddress, tmp_path: Path
) -> None:
    environment = {
        "PRECEDENT_WAREHOUSE": address.url,
        "PRECEDENT_EXPERIMENTS": str(declared(tmp_path)),
        "PRECEDENT_REPORTS": str(tmp_path / "reports"),
    }
    done = airflow.run("ab_report", environment, through=str(YESTERDAY))
    assert done["state"] == "failed"
    assert done["tasks"]["report_experiment[0]"] == "failed"
    assert done["tries"]["report_experiment[0]"] == 1, "what the data say stays so: no retry"
    assert "nobody was exposed" in (tmp_path / "reports" / str(YESTERDAY) / "one.html").read_text()


def test_a_dependency_that_is_down_is_asked_again(airflow: Airflow) -> None:
    done = airflow.run("feature_materialize", {"PRECEDENT_WAREHOUSE": "http://a:b@127.0.0.1:1/precedent"})
    assert (done["state"], done["tries"]) == ("failed", {"materialise_histories": 5})


def test_histories_are_written_and_both_stores_agree_until_one_drifts(
    airflow: Airflow, address: WarehouseAddress, tmp_path: Path
) -> None:
    from features.config import FeaturesConfig
    from features.lookup import lookup_authors
    from features.store import open_store

    online = f"sqlite:///{tmp_path}/online.db"
    environment = {"PRECEDENT_WAREHOUSE": address.url, "PRECEDENT_ONLINE_STORE": online}
    given = [verdict(n, author_id="a", decision=Decision.REMOVE) for n in range(20)]
    VerdictSink(connect(address)).insert(given)
    store = open_store(FeaturesConfig.from_environment(environment))
    write(store, given)

    first = airflow.run("feature_materialize", environment)
    assert first["state"] == "success", airflow.log.read_text()[-4_000:]
    told = first["returned"]["materialise_histories"]
    assert (told["authors"], told["viewers"]) == ({"written": 1, "stale": 0}, {"written": 0, "stale": 0})
    assert [event["uri"] for event in first["assets"]] == ["precedent://features/histories"]
    again = airflow.run("feature_materialize", environment, as_of=told["as_of"])
    assert again["returned"]["materialise_histories"]["authors"]["written"] == 1, "it was known later: computed_at"
    assert lookup_authors(store, ["a"], datetime.now(UTC)).verdicts_N.tolist() == [20]

    agreed = airflow.run("feature_parity", environment, sample=500)
    assert agreed["state"] == "success", airflow.log.read_text()[-4_000:]
    [event] = agreed["assets"]
    assert (event["uri"], event["extra"]["sampled"], event["extra"]["drift"]) == ("precedent://features/parity", 20, [])

    lost = verdict(99, video_id="lost", occurred_at=START, scored_at=START)
    VerdictSink(connect(address)).insert([lost])
    drifted = airflow.run("feature_parity", environment)
    reason = "video_toxicity: 1 of 21 missing online, must be at most 1.0%"
    assert drifted["tasks"] == {"measure_parity": "success", "judge_parity": "failed"}
    assert drifted["assets"][0]["extra"]["drift"] == [reason]
    assert drifted["tries"]["judge_parity"] == 1
    assert f"CheckFailedError: {reason}" in airflow.log.read_text()
    assert json.dumps(drifted)
