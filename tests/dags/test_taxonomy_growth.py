"""`taxonomy_growth` by `dag.test()`: a trend's rulings are proposed once, and an event says what waits for a person."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.taxonomy import Category
from policy.growth.leaves.desk import Desk
from tests.dags.conftest import Airflow
from tests.policy.publication.conftest import LIKE_IT, Court, Taught, court, taught, video

__all__ = ["Court", "Taught", "court", "taught"]  # pytest finds fixtures by their names


def test_unexplained_rulings_are_proposed_once_with_an_event(airflow: Airflow, court: Court, tmp_path: Path) -> None:
    environment = {
        "PRECEDENT_RELEASES": str(court.root.path),
        "PRECEDENT_DOCKET": str(court.docket.folder),
        "PRECEDENT_TAXONOMY": str(tmp_path / "taxonomy"),
    }
    skipped = {"collect_unexplained": "success", "propose_leaves": "skipped", "tell_proposals": "skipped"}
    quiet = airflow.run("taxonomy_growth", environment)
    assert (quiet["state"], quiet["tasks"], quiet["assets"]) == ("success", skipped, [])
    court.now = datetime.now(UTC) - timedelta(hours=1)
    for n in range(6):
        upload = video(f"like-{n}", f"{LIKE_IT} {n}", author=f"author-{n}")
        court.rule(upload, Category.FALSE_BENEFITS)
    done = airflow.run("taxonomy_growth", environment)
    assert done["state"] == "success", airflow.log.read_text()[-4_000:]
    assert (done["returned"]["collect_unexplained"], done["returned"]["propose_leaves"]) == (6, 1)
    (proposal,) = Desk(tmp_path / "taxonomy").waiting()
    told = {
        "proposal": proposal.proposal_id,
        "category": "false_benefits",
        "name": proposal.name,
        "cases": 6,
        "authors": 6,
    }
    assert done["assets"] == [{"uri": "precedent://policy/proposals", "extra": {"waiting": [told]}}]
    again = airflow.run("taxonomy_growth", environment)
    assert again["tasks"] == {
        "collect_unexplained": "success",
        "propose_leaves": "success",
        "tell_proposals": "skipped",
    }
    assert again["assets"] == []


def test_no_docket_and_no_release_are_said_at_once(airflow: Airflow, court: Court, tmp_path: Path) -> None:
    for missing, given in (
        ("PRECEDENT_DOCKET", {"PRECEDENT_RELEASES": str(court.root.path)}),
        ("PRECEDENT_RELEASES", {"PRECEDENT_DOCKET": str(court.docket.folder)}),
    ):
        environment = {**given, missing: str(tmp_path / "none"), "PRECEDENT_TAXONOMY": str(tmp_path / "taxonomy")}
        done = airflow.run("taxonomy_growth", environment)
        assert (done["state"], done["tries"]["collect_unexplained"]) == ("failed", 1)
