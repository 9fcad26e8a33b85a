"""An erased author taught the parent: the refresh that follows learns and cites their cases no more."""

from pathlib import Path

from policy.docket.docket import Docket
from policy.refresh import steps
from policy.refresh.run import Plan, RefreshRun
from policy.refresh.snapshots import read_snapshot, write_snapshot
from policy.releases import promote
from serving.releases import ReleasesRoot
from tests.policy.conftest import Trained
from tests.policy.docket.cases import ANN, NOW, SUE, new_case, ruling
from tests.policy.docket.cases import FRAUD as RULED
from tests.policy.refresh.test_steps import on_docket


def test_what_an_erased_author_taught_is_left_out_of_the_next_snapshot(trained: Trained, tmp_path: Path) -> None:
    root, docket = ReleasesRoot(tmp_path / "root"), Docket(tmp_path / "docket")
    promote(root, trained.release, now=NOW)
    old, _ = write_snapshot(trained.evidence, root.path / "datasets")
    golden, _ = write_snapshot(trained.evidence[:0], tmp_path / "golden")
    author = trained.evidence[0].case.upload.author_id
    theirs = [item for item in trained.evidence if item.case.upload.author_id == author]
    docket.enter([*map(on_docket, theirs), new_case("c-new", video="v-new", author="stays", shade=None)], now=NOW)
    docket.rule(ruling("c-new", RULED, video="v-new"), ANN)
    docket.erase_author(author, SUE, now=NOW)
    plan = Plan(
        releases=str(root.path),
        parent=str(root.release_path(1)),
        docket=str(docket.folder),
        golden=str(golden),
        old=str(old),
    )
    run = RefreshRun.begin(tmp_path / "run", plan)
    collected = steps.collect(run, docket)
    assert collected.fell == tuple(sorted(item.case.case_id for item in theirs))
    steps.mine(run)
    built = steps.build(run)
    assert built.n_cases == 120 - len(theirs) + 1
    learned = read_snapshot(Path(built.dataset))
    assert {item.case.upload.author_id for item in learned} == {
        item.case.upload.author_id for item in trained.evidence
    } - {author} | {"stays"}
