"""`policy_refresh` by `dag.test()`: rulings become a seated release or reasons, once, and what is done half goes on."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bench.gate.releases import SETTINGS, word_cases
from contracts.releases import GateResult
from contracts.taxonomy import Category
from policy.casebook import Evidence
from policy.docket.docket import Docket
from policy.gate.results import fallen_groups
from policy.kept import write_whole
from policy.lineage import Lineage, write_release
from policy.reasoning.models.tiny import build_tiny
from policy.reasoning.question import Budget
from policy.reasoning.refinement.nightly import rows_to_learn
from policy.reasoning.refinement.seat import read_seat, take_seat
from policy.reasoning.rows import texts_of
from policy.refresh.run import RefreshRun
from policy.refresh.snapshots import write_snapshot
from policy.releases import promote
from policy.train import train
from serving.releases import ReleasesRoot, open_release
from tests.dags.conftest import Airflow
from tests.policy.docket.cases import NOW
from tests.policy.reasoning.models.conftest import SMALL
from tests.policy.refresh.test_steps import enter_and_rule

N_OLD, N_GOLDEN = 250, 400
ALL_DONE = {
    "collect_rulings": "success",
    "mine_cases": "success",
    "build_dataset": "success",
    "train_candidate": "success",
    "gate_candidate": "success",
    "follow_gate": "success",
    "refine_vlm": "success",
    "gate_vlm": "skipped",
    "promote_vlm": "skipped",
}
"""And no VLM is deployed."""


def figures(name: str, high: float) -> dict[str, float]:
    """What a gate says of a respect that went from 0.9 to 0.85."""
    said = {"cases": 400, "parent": 0.9, "candidate": 0.85, "gain": -0.05, "gain low": -0.09, "gain high": high}
    return {f"{name}, {part}": value for part, value in {**said, "at least": -0.08, "margin": 0.09}.items()}


FELL = figures("recall of dislike", -0.01)
FELL_LINE = "recall of dislike fell from 0.900 to 0.850, by 1.0 to 9.0 points (95%), of 400 cases"


@dataclass(frozen=True, slots=True)
class Night:
    """A root with a release live that was taught little, a docket, and a golden set; words alone."""

    home: Path

    @property
    def root(self) -> ReleasesRoot:
        return ReleasesRoot(self.home / "root")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PRECEDENT_RELEASES": str(self.root.path),
            "PRECEDENT_DOCKET": str(self.home / "docket"),
            "PRECEDENT_RUNS": str(self.home / "runs"),
            "PRECEDENT_GOLDEN": str(self.home / "golden.jsonl"),
            "PRECEDENT_OLD": str(next((self.root.path / "datasets").iterdir())),
        }

    def rule(self, evidence: list[Evidence]) -> None:
        docket = Docket(self.home / "docket")
        enter_and_rule(docket, evidence)
        docket.close()

    def measure_by(self, golden: list[Evidence]) -> None:
        lines = "".join(f"{item.case.model_dump_json()}\n" for item in golden)
        (self.home / "golden.jsonl").write_text(lines)

    def begun(self, run: str) -> RefreshRun:
        return RefreshRun.resume(self.home / "runs" / run)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    evidence = word_cases(N_OLD, 1)
    path = tmp_path_factory.mktemp("small") / "release-1"
    settings = replace(SETTINGS, precedents_at_most=20)
    policy = train(evidence, settings=settings, seed=0)
    write_release(policy, path, Lineage.of([item.case for item in evidence]), settings=settings, now=NOW)
    return path


@pytest.fixture
def night(small: Path, tmp_path: Path) -> Night:
    night = Night(tmp_path)
    promote(night.root, small, now=NOW)
    night.measure_by(word_cases(N_GOLDEN, 112))
    write_snapshot(word_cases(N_OLD, 1), night.root.path / "datasets")
    night.rule([])
    return night


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*.json"))}


def test_a_night_in_which_nobody_ruled_is_skipped(airflow: Airflow, night: Night) -> None:
    done = airflow.run("policy_refresh", night.environment, run="quiet")
    assert done["state"] == "success", airflow.log.read_text()[-4_000:]
    assert done["tasks"].pop("collect_rulings") == "success"
    assert set(done["tasks"].values()) == {"skipped"}
    assert done["assets"] == []


def test_rulings_become_a_shadow_with_an_event_and_what_was_done_half_goes_on(airflow: Airflow, night: Night) -> None:
    night.rule(word_cases(2, 111))
    lock = night.root.path / ".pointer.lock"
    lock.unlink()
    lock.mkdir()  # no turn at the pointer can be had
    halted = airflow.run("policy_refresh", night.environment, run="tonight")
    told = {**ALL_DONE, "promote_candidate": "failed", "tell_refusal": "skipped"}
    told |= {"fallen_groups": "upstream_failed", "tell_group": "upstream_failed"}
    assert halted["tasks"] == told, (halted["returned"], airflow.log.read_text()[-4_000:])
    assert (halted["tries"]["promote_candidate"], halted["assets"]) == (5, [])
    assert night.root.read_pointer().shadow is None
    run = night.begun("tonight")
    before = times(run.home)
    (run.home / "build.json").unlink()  # as of steps that were killed before their last file was written
    (run.home / "mine.json").unlink()
    lock.rmdir()

    done = airflow.run("policy_refresh", night.environment, run="tonight")
    told = {**ALL_DONE, "promote_candidate": "success", "tell_refusal": "skipped"}
    told |= {"fallen_groups": "success", "tell_group": "skipped"}
    assert done["tasks"] == told, (done["returned"], airflow.log.read_text()[-4_000:])
    assert (done["state"], done["returned"]["collect_rulings"]) == ("success", 2)
    assert [event["uri"] for event in done["assets"]] == ["precedent://policy/releases"]
    after = times(night.home)
    kept = {run.home / f"{step}.json" for step in ("run", "collect", "train", "gate")}
    assert {path for path, when in before.items() if after[path] == when} >= kept, "what was done is not done again"
    pointer = night.root.read_pointer()
    assert (pointer.live.release_version, pointer.shadow) == (1, open_release(run.candidate).pin)

    again = airflow.run("policy_refresh", night.environment, run="tonight")
    assert (again["tasks"], again["returned"]) == (done["tasks"], done["returned"])
    assert times(night.home) == after
    assert len(night.root.history_path.read_text().splitlines()) == 2

    gated = run.found("gate", GateResult)
    write_whole(run.home / "gate.json", gated.model_copy(update={"figures": gated.figures | FELL}))
    fell = airflow.run("policy_refresh", night.environment, run="tonight")
    assert (fell["state"], fell["tasks"]["tell_group[0]"], fell["tries"]["tell_group[0]"]) == ("failed", "failed", 1)
    assert f"CheckFailedError: {FELL_LINE}" in airflow.log.read_text()
    assert night.root.read_pointer().shadow == pointer.shadow, "an alert takes no seat away"


def test_groups_that_fell_are_those_whose_interval_lies_below_zero() -> None:
    digest = "sha256:" + "0" * 64
    result = GateResult(
        passed=True,
        refusals=(),
        judged_at=NOW,
        candidate_version=2,
        candidate=digest,
        parent_version=1,
        parent=digest,
        figures=FELL | figures("recall of cyber", 0.01) | figures("binary accuracy", -0.01),
    )
    assert fallen_groups(result) == [FELL_LINE]


def test_a_refused_candidate_ends_red_with_its_reasons_and_the_old_release_goes_on(
    airflow: Airflow, night: Night
) -> None:
    clean = [item.case.model_copy(update={"category": Category.POSITIVE}) for item in word_cases(80, 111)]
    night.rule([Evidence(case, None) for case in clean])
    pointer = night.root.read_pointer()
    done = airflow.run("policy_refresh", night.environment, run="wrong")
    told = {**ALL_DONE, "promote_candidate": "skipped", "tell_refusal": "failed"}
    told |= {"fallen_groups": "skipped", "tell_group": "skipped"}
    assert done["tasks"] == told, airflow.log.read_text()[-4_000:]
    assert (done["state"], done["tries"]["tell_refusal"], done["assets"]) == ("failed", 1, [])
    refusals = done["returned"]["gate_candidate"]["refusals"]
    assert any(reason.startswith("harmful videos acted on: ") for reason in refusals), refusals
    assert f"CheckFailedError: release 2 is refused: {refusals[0]}" in airflow.log.read_text()
    assert night.root.read_pointer() == pointer


def test_a_missing_golden_set_is_said_at_once_before_training(airflow: Airflow, night: Night) -> None:
    night.rule(word_cases(4, 111))
    (night.home / "golden.jsonl").unlink()
    done = airflow.run("policy_refresh", night.environment, run="blind")
    assert (done["state"], done["tasks"]["build_dataset"], done["tries"]["build_dataset"]) == ("failed", "failed", 1)
    assert "golden.jsonl" in airflow.log.read_text()


def test_beside_the_release_the_vlm_learns_from_the_same_rulings_and_its_gate_is_its_own(
    airflow: Airflow, night: Night
) -> None:
    news = word_cases(16, 111)
    night.rule(news)
    night.measure_by(word_cases(280, 112))  # each is answered by two VLMs; of fewer than 270 the gate says so instead
    built, root, recipe = (night.home / name for name in ("built", "vlm", "recipe.toml"))
    asked = rows_to_learn([*news, *word_cases(40, 1)], Budget(1, 40))
    build_tiny(built, texts_of(asked), sizes=SMALL, seed=1)
    seat = take_seat(root, built, None, now=NOW)
    recipe.write_text(
        "rl_steps = 2\nsamples = 2\nsampled_rows = 4\nanswer_tokens = 8\nheld_out = 0.3\n"
        "[sft]\nsteps = 4\nbatch = 4\nlearning_rate = 1e-3\n[dpo]\nsteps = 1\nbatch = 2\n"
        "[rl]\nrollout_batch = 12\ntrain_batch = 6\nmicro_batch = 6\nanswers = 2\n"
    )
    told_where = night.environment | {"PRECEDENT_VLM": str(root), "PRECEDENT_VLM_RECIPE": str(recipe)}
    done = airflow.run("policy_refresh", told_where, run="both")
    tasks = done["tasks"]
    log = airflow.log.read_text()
    assert {tasks[name] for name in ("refine_vlm", "gate_candidate")} == {"success"}, log[-4_000:]
    assert (tasks["gate_vlm"], tasks["promote_vlm"]) == ("failed", "upstream_failed"), "one step teaches nothing"
    assert "CheckFailedError: the VLM of run both is refused: " in log
    assert done["tries"]["gate_vlm"] == 1
    assert read_seat(root) == seat
    assert (night.begun("both").home / "vlm" / "rl" / "checkpoint.json").is_file()
