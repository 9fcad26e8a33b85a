"""A refresh of what cannot teach, or over folders that are damaged or half there: one line, and nothing is moved."""

from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.releases import ReleasePointer
from contracts.taxonomy import Category
from policy.casebook import Evidence
from policy.docket.docket import Docket
from policy.lineage import Lineage, write_release
from policy.refresh import steps
from policy.refresh.run import Plan, RefreshRun
from policy.refresh.snapshots import reference_to, write_snapshot
from policy.refresh.whole import run_all
from policy.releases import promote
from serving.releases import ReleasesRoot
from tests.policy.conftest import SETTINGS, Trained
from tests.policy.docket.cases import NOW
from tests.policy.refresh.test_steps import enter_and_rule, spoken


class Night:
    """A root with release 1 live, a docket and a refresh that begins from it; `old` is what taught the release."""

    def __init__(self, home: Path, trained: Trained, old: list[Evidence]) -> None:
        self.root, self.docket = ReleasesRoot(home / "root"), Docket(home / "docket")
        promote(self.root, trained.release, now=NOW)
        taught, _ = write_snapshot(old, self.root.path / "datasets")
        golden, _ = write_snapshot(spoken(30, 12), home / "golden")
        plan = Plan(
            releases=str(self.root.path),
            parent=str(self.root.release_path(1)),
            docket=str(self.docket.folder),
            golden=str(golden),
            old=str(taught),
            epochs=1,
        )
        self.run = RefreshRun.begin(home / "run", plan)
        self.pointer: ReleasePointer = self.root.read_pointer()

    def rule(self, evidence: list[Evidence]) -> None:
        enter_and_rule(self.docket, evidence)

    def refused(self, said: str, *, after: set[str]) -> None:
        """The refresh is refused in these words, after these steps; the pointer stands and nothing new has a seat."""
        with pytest.raises(BadInputError, match=said) as refusal:
            run_all(self.run, lambda: self.docket, now=NOW)
        assert "\n" not in str(refusal.value)
        done = {path.stem for path in self.run.home.glob("*.json")} - {"run"}
        assert done == after
        assert self.root.read_pointer() == self.pointer


def of(category: Category, evidence: list[Evidence]) -> list[Evidence]:
    return [item for item in evidence if item.case.category is category]


def test_rulings_and_memory_of_one_category_alone_teach_nothing(trained: Trained, tmp_path: Path) -> None:
    good, news = of(Category.POSITIVE, trained.evidence), of(Category.POSITIVE, spoken(24, 11))
    night = Night(tmp_path, trained, good)
    night.rule(news)
    night.refused(f"{len(good) + len(news)} cases, all positive: a refresh needs", after={"collect"})


def test_a_docket_on_which_nothing_was_ruled_teaches_nothing(trained: Trained, tmp_path: Path) -> None:
    night = Night(tmp_path, trained, trained.evidence)
    night.refused("0 new rulings since release 1, a refresh needs at least one", after=set())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("release.json", "is not a release, it has no release.json"),
        ("student.onnx", r"student\.onnx: is missing, release\.json names it"),
        ("weights.npz", r"weights\.npz: is missing, release\.json names it"),
        ("taught.parquet", r"taught\.parquet: is missing, release\.json names it"),
    ],
)
def test_a_parent_that_is_only_half_there_is_named(trained: Trained, tmp_path: Path, name: str, said: str) -> None:
    night = Night(tmp_path, trained, trained.evidence)
    night.rule(spoken(4, 11))
    (night.root.release_path(1) / name).unlink()
    night.refused(said, after=set())


def test_a_parent_that_was_changed_between_two_steps_is_named(trained: Trained, tmp_path: Path) -> None:
    night = Night(tmp_path, trained, trained.evidence)
    night.rule(spoken(4, 11))
    steps.collect(night.run, night.docket)
    manifest = night.root.release_path(1) / "release.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(BadInputError, match=r"release\.json: digest is sha256:\w+, was sha256:\w+ when collected"):
        steps.mine(night.run)


def test_the_data_that_taught_the_parent_may_be_lost_and_is_named(trained: Trained, tmp_path: Path) -> None:
    night = Night(tmp_path, trained, trained.evidence)
    night.rule(spoken(4, 11))
    assert night.run.plan.old is not None
    (Path(night.run.plan.old) / "part-0000.parquet").unlink()
    night.refused(r"part-0000\.parquet: is missing, snapshot\.json names it", after=set())


def test_a_step_whose_work_was_lost_half_does_it_again_and_one_whose_file_is_broken_says_so(
    trained: Trained, tmp_path: Path
) -> None:
    night = Night(tmp_path, trained, trained.evidence)
    night.rule(spoken(4, 11))
    collected = steps.collect(night.run, night.docket)
    steps.mine(night.run)
    built = steps.build(night.run)
    (Path(built.dataset) / "snapshot.json").unlink()
    with pytest.raises(BadInputError, match="is not a data snapshot"):
        steps.build(night.run)  # the folder is there and is not whole: it is nobody's to write over
    for file in Path(built.dataset).iterdir():
        file.unlink()
    Path(built.dataset).rmdir()
    assert steps.build(night.run) == built
    assert (Path(built.dataset) / "snapshot.json").is_file()
    (Path(collected.fresh) / "snapshot.json").unlink()
    assert steps.collect(night.run, night.docket).asked == collected.asked
    (night.run.home / "mine.json").write_text('{"chosen": [')
    with pytest.raises(BadInputError, match=r"mine\.json: record: Invalid JSON"):
        steps.build(night.run)


def test_cases_that_a_parent_names_and_that_lie_elsewhere_are_found_by_old(trained: Trained, tmp_path: Path) -> None:
    home, snapshot = write_snapshot(trained.evidence, tmp_path / "elsewhere")
    lineage, beside = Lineage.of([item.case for item in trained.evidence]), reference_to(snapshot)
    write_release(trained.policy, tmp_path / "named", lineage, settings=SETTINGS, now=NOW, beside=beside)
    root, docket = ReleasesRoot(tmp_path / "root"), Docket(tmp_path / "docket")
    promote(root, tmp_path / "named", now=NOW)
    enter_and_rule(docket, spoken(24, 11))
    golden, _ = write_snapshot(spoken(30, 12), tmp_path / "golden")
    plan = Plan(
        releases=str(root.path), parent=str(root.release_path(1)), docket=str(docket.folder), golden=str(golden)
    )
    with pytest.raises(BadInputError, match="is missing, release 1 names it; --old says where it lies"):
        steps.collect(RefreshRun.begin(tmp_path / "without", plan), docket)
    other, _ = write_snapshot(spoken(30, 13), tmp_path / "other")
    with pytest.raises(BadInputError, match="is missing, release 1 names it"):
        steps.collect(RefreshRun.begin(tmp_path / "wrong", plan.model_copy(update={"old": str(other)})), docket)
    found = steps.collect(RefreshRun.begin(tmp_path / "run", plan.model_copy(update={"old": str(home)})), docket)
    assert found.old == str(home)
