"""A refresh over its folder: real docket, real releases, each step again and a process killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts.cases import CaseEvidence, CaseOpened, CaseReason
from contracts.errors import BadInputError
from contracts.taxonomy import Category
from contracts.verdicts import Decision
from policy.casebook import Evidence
from policy.docket.docket import Docket, NewCase
from policy.docket.opinions import NotedOpinion, note_opinion
from policy.refresh import steps
from policy.refresh.run import Plan, RefreshRun
from policy.refresh.snapshots import open_snapshot, read_snapshot, write_snapshot
from policy.refresh.whole import run_all
from policy.releases import promote
from serving.releases import ReleasesRoot, open_release
from simulation.latents import draw_latents
from simulation.uploads import to_case, to_truth, to_upload
from tests.policy.conftest import Trained
from tests.policy.docket.cases import ANN, NOW, VLM, ruling

N_NEW, N_GOLDEN = 24, 30


def spoken(n: int, seed: int) -> list[Evidence]:
    return [Evidence(to_case(to_upload(v, seed, None), to_truth(v, seed)), None) for v in draw_latents(n, seed)]


def on_docket(item: Evidence, said: CaseEvidence | None = None) -> NewCase:
    """The case as the docket has it, by the same id: opened since release 1 doubted it, frozen where it `said` what."""
    opened = CaseOpened(
        event_id=f"opened-{item.case.case_id}",
        case_id=item.case.case_id,
        video_id=item.case.upload.video_id,
        opened_at=NOW,
        reason=CaseReason.UNCERTAIN,
        selection_probability=1.0,
        toxicity=0.45,
        release_version=1,
        casebook_version=1,
        evidence=said,
    )
    return NewCase(opened, item.case.upload, None if said is None else item.frames)


def enter_and_rule(docket: Docket, evidence: list[Evidence]) -> None:
    said = CaseEvidence(
        probabilities=(1 / 16,) * 16, classifier=(1 / 16,) * 16, category=Category.POSITIVE, decision=Decision.ALLOW
    )
    for item in evidence:
        name, video = item.case.case_id, item.case.upload.video_id
        docket.enter([on_docket(item, said)], now=NOW)
        docket.rule(ruling(name, item.case.category, video=video, reasoning=item.case.reasoning), ANN)


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> RefreshRun:
    root = ReleasesRoot(tmp_path / "root")
    promote(root, trained.release, now=NOW)
    old, _ = write_snapshot(trained.evidence, root.path / "datasets")
    golden, _ = write_snapshot(spoken(N_GOLDEN, 12), tmp_path / "golden")
    docket = Docket(tmp_path / "docket")
    enter_and_rule(docket, spoken(N_NEW, 11))
    docket.close()
    plan = Plan(
        releases=str(root.path),
        parent=str(root.release_path(1)),
        docket=str(tmp_path / "docket"),
        golden=str(golden),
        old=str(old),
        epochs=1,
    )
    return RefreshRun.begin(tmp_path / "run", plan)


def docket_of(run: RefreshRun) -> Docket:
    return Docket(Path(run.plan.docket))


def test_a_refresh_goes_from_rulings_to_a_gated_candidate_and_does_nothing_twice(run: RefreshRun) -> None:
    collected = steps.collect(run, docket_of(run))
    assert (len(collected.asked), collected.version, collected.parent_version) == (N_NEW, 2, 1)
    mined = steps.mine(run)
    assert mined.wrong == sum(item.case.category is not Category.POSITIVE for item in spoken(N_NEW, 11))
    built = steps.build(run)
    assert built.n_cases == 120 + N_NEW
    candidate = Path(steps.train(run, now=NOW).candidate)
    release = open_release(candidate).release
    assert (release.version, release.parent, release.n_cases) == (2, 1, 120 + N_NEW)
    assert {"weights.npz", "dataset.json", "refresh.json"} <= set(release.digests)
    gated = steps.gate(run, now=NOW)
    assert gated.candidate_version == 2
    files = {path: path.stat().st_mtime_ns for path in run.home.rglob("*") if path.is_file()}
    steps.collect(run, docket_of(run))
    steps.mine(run)
    steps.build(run)
    steps.train(run, now=NOW)
    assert steps.gate(run, now=NOW) == gated
    assert {path: path.stat().st_mtime_ns for path in run.home.rglob("*") if path.is_file()} == files
    # half of the work lost: that half alone is done again
    (candidate / "student.onnx").unlink()
    again = steps.train(run, now=NOW)
    assert open_release(Path(again.candidate)).release.trained_on == release.trained_on
    assert run.home.joinpath("mine.json").stat().st_mtime_ns == files[run.home / "mine.json"]


def test_a_refresh_that_is_killed_in_the_middle_of_training_leaves_nothing_half_made_and_goes_on(
    run: RefreshRun,
) -> None:
    steps.collect(run, docket_of(run))
    steps.mine(run)
    steps.build(run)
    command = [sys.executable, "-m", "cli", "policy", "refresh", "--run", str(run.home), "--step", "train"]
    watched = os.environ | {"PRECEDENT_VERBOSE": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=watched) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "fusion on" in line:
                break
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not run.candidate.exists()
    assert not (run.home / "train.json").exists()
    assert Path(steps.train(run, now=NOW).candidate).is_dir()


def test_a_refresh_without_new_rulings_says_so(run: RefreshRun, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="0 new rulings since release 1"):
        steps.collect(run, Docket(tmp_path / "empty"))
    assert not (run.home / "collect.json").exists()


def test_a_golden_case_that_would_teach_is_refused_before_training(run: RefreshRun, tmp_path: Path) -> None:
    golden, _ = write_snapshot(spoken(N_NEW, 11)[:3], tmp_path / "seen")
    other = RefreshRun.begin(tmp_path / "other", run.plan.model_copy(update={"golden": str(golden)}))
    with pytest.raises(BadInputError, match="the refresh"):
        run_all(other, lambda: docket_of(run), now=NOW)
    assert not (other.home / "build.json").exists()


def test_a_damaged_parent_is_named(run: RefreshRun) -> None:
    student = Path(run.plan.parent) / "student.onnx"
    student.write_bytes(student.read_bytes()[:-1])
    with pytest.raises(BadInputError, match=r"student\.onnx: digest is"):
        steps.collect(run, docket_of(run))


def test_another_plan_needs_another_folder(run: RefreshRun) -> None:
    with pytest.raises(BadInputError, match="seed == 5, must be 0 as this run began"):
        RefreshRun.begin(run.home, run.plan.model_copy(update={"seed": 5}))


def test_a_snapshot_is_the_same_folder_for_the_same_cases_and_damage_is_named(trained: Trained, tmp_path: Path) -> None:
    home, snapshot = write_snapshot(trained.evidence, tmp_path)
    assert write_snapshot(trained.evidence, tmp_path) == (home, snapshot)
    back = read_snapshot(home)
    assert [item.case for item in back] == [item.case for item in trained.evidence]
    shard = home / "part-0000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(BadInputError, match=r"part-0000\.parquet: digest is"):
        open_snapshot(home)


def test_what_a_vlm_ruled_by_votes_is_learned_with_its_votes(run: RefreshRun) -> None:
    [item] = spoken(1, 13)
    docket = docket_of(run)
    docket.enter([on_docket(item)], now=NOW)
    hate = Category.ABUSE_AND_HATE
    judged = ruling(item.case.case_id, hate, VLM, video=item.case.upload.video_id)
    docket.rule(judged, VLM)
    noted = NotedOpinion(
        case_id=item.case.case_id,
        adjudicator=VLM.name,
        asked_at=judged.ruled_at,
        category=hate,
        confidence=0.5,
        asked=5,
        unusable=1,
        votes={hate: 3, Category.POSITIVE: 1},
        outcome="ruled",
    )
    note_opinion(docket.folder, noted)
    collected = steps.collect(run, docket)
    fresh = {one.case.case_id: one.case for one in read_snapshot(Path(collected.fresh))}
    assert sum(fresh[item.case.case_id].votes) == 4
    assert fresh[item.case.case_id].votes[hate.position] == 3
    assert [sum(case.votes) for name, case in fresh.items() if name != item.case.case_id] == [0] * N_NEW
