"""`casebook_publish` by `dag.test()`: a ruling is published once; a minute in which nobody ruled changes nothing."""

import uuid
from dataclasses import replace
from pathlib import Path

from contracts.taxonomy import Category
from tests.dags.conftest import Airflow
from tests.policy.publication.conftest import TREND, Court, Taught, court, taught, video
from tests.warehouse.owners import Owner
from warehouse.migrate import migrate

__all__ = ["Court", "Taught", "court", "taught"]  # pytest finds fixtures by their names


def test_a_ruling_is_published_once_with_an_event(airflow: Airflow, owner: Owner, court: Court, tmp_path: Path) -> None:
    address = replace(owner.address, database=f"t_{uuid.uuid4().hex}")
    migrate(address)
    environment = {
        "PRECEDENT_WAREHOUSE": address.url,
        "PRECEDENT_RELEASES": str(court.root.path),
        "PRECEDENT_DOCKET": str(court.docket.folder),
    }
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    done = airflow.run("casebook_publish", environment)
    assert done["state"] == "success", airflow.log.read_text()[-4_000:]
    [told] = done["returned"]["publish_casebook"]
    assert (told["outcome"], told["seats"], told["casebook"]) == ("published", ["live"], court.live.casebook_version)
    assert [event["uri"] for event in done["assets"]] == ["precedent://policy/casebook"]
    pointer = court.root.read_pointer()
    again = airflow.run("casebook_publish", environment)
    assert (again["tasks"], again["assets"]) == ({"publish_casebook": "success", "tell_published": "skipped"}, [])
    assert court.root.read_pointer() == pointer


def test_no_release_is_said_at_once(airflow: Airflow, owner: Owner, tmp_path: Path) -> None:
    migrate(owner.address)
    environment = {
        "PRECEDENT_WAREHOUSE": owner.address.url,
        "PRECEDENT_RELEASES": str(tmp_path / "none"),
        "PRECEDENT_DOCKET": str(tmp_path / "docket"),
    }
    done = airflow.run("casebook_publish", environment)
    assert (done["state"], done["tries"]["publish_casebook"]) == ("failed", 1)
