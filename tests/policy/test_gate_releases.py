"""What the pointer did is kept, and one command takes it back."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from contracts.errors import BadInputError
from contracts.releases import GateResult
from policy import releases
from policy.commands.policy import policy
from policy.gate.results import write_gate_result
from policy.moves import read_history
from policy.releases import promote, rollback
from serving.releases import ReleasesRoot, digest_of
from tests.policy.test_releases import make_release

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> ReleasesRoot:
    """Releases 1, 2 and 3 were made live, one minute apart."""
    root = ReleasesRoot(tmp_path / "root")
    for version in (1, 2, 3):
        path = make_release(tmp_path / str(version), version=version, seed=version)
        promote(root, path, now=NOW + timedelta(minutes=version), without_gate="a test")
    return root


def test_rolling_back_twice_goes_back_two_releases_and_then_there_is_nothing_before(root: ReleasesRoot) -> None:
    first = rollback(root, now=NOW)
    assert (first.live.release_version, first.previous and first.previous.release_version) == (2, 1)
    second = rollback(root, now=NOW)
    assert (second.live.release_version, second.previous) == (1, None)
    with pytest.raises(BadInputError, match="previous == None, nothing was live before release 1"):
        rollback(root, now=NOW)
    assert root.read_pointer() == second


def test_every_move_is_a_line_of_the_history_in_order(root: ReleasesRoot) -> None:
    before = root.history_path.read_bytes()
    rollback(root, now=NOW)
    assert root.history_path.read_bytes().startswith(before)
    told = [
        (m.move, m.pin.release_version, m.live_before and m.live_before.release_version) for m in read_history(root)
    ]
    assert told == [("promote", 1, None), ("promote", 2, 1), ("promote", 3, 2), ("rollback", 2, 3)]


def test_a_damaged_release_is_not_rolled_back_to(root: ReleasesRoot) -> None:
    (root.release_path(2) / "student.onnx").write_bytes(b"half")
    with pytest.raises(BadInputError, match="digest is sha256"):
        rollback(root, now=NOW)
    assert root.read_pointer().live.release_version == 3


def test_making_the_live_release_live_again_does_not_forget_what_was_before_it(
    root: ReleasesRoot, tmp_path: Path
) -> None:
    promote(root, tmp_path / "3", now=NOW, without_gate="a test")
    assert rollback(root, now=NOW).live.release_version == 2
    promote(root, tmp_path / "2", now=NOW, without_gate="a test")
    assert rollback(root, now=NOW).live.release_version == 1


def test_a_promotion_that_is_killed_before_its_line_is_done_again_and_the_one_before_is_not_forgotten(
    root: ReleasesRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_release(tmp_path / "4", version=4, seed=4)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing, pytest.raises(KeyboardInterrupt):
        killing.setattr(releases, "remember", die)
        promote(root, path, now=NOW, without_gate="a test")
    assert (root.read_pointer().live.release_version, len(read_history(root))) == (4, 3), "moved, and nothing says so"
    again = promote(root, path, now=NOW, without_gate="a test")
    assert (again.live.release_version, again.previous and again.previous.release_version) == (4, 3)
    assert [move.pin.release_version for move in read_history(root)] == [1, 2, 3, 4]
    assert rollback(root, now=NOW).live.release_version == 3


def test_a_broken_line_of_the_history_is_named(root: ReleasesRoot) -> None:
    with root.history_path.open("a") as history:
        history.write("{}\n")
    with pytest.raises(BadInputError, match=r"history\.jsonl:4: "):
        read_history(root)


def test_the_commands_say_what_was_done_and_what_the_gate_said(root: ReleasesRoot) -> None:
    refused = GateResult(
        passed=False,
        refusals=("binary accuracy fell",),
        judged_at=NOW,
        candidate_version=3,
        candidate=digest_of(root.release_path(3) / "release.json"),
        parent_version=2,
        parent=digest_of(root.release_path(2) / "release.json"),
        figures={},
    )
    write_gate_result(root, refused)
    write_gate_result(root, refused.model_copy(update={"candidate_version": 2}))
    back = CliRunner().invoke(policy, ["rollback", "--releases", str(root.path)], catch_exceptions=False)
    assert back.output == (
        "rolled back from release 3 (casebook 3) to release 2 (casebook 2); before it: release 1\n"
        "every precedent that spoke before speaks now, or was taught\n"
    )
    told = CliRunner().invoke(policy, ["history", "--releases", str(root.path)], catch_exceptions=False).output
    lines = told.splitlines()
    assert lines[1].endswith("not gated"), "what was said of another release of that version is not told"
    assert lines[2].endswith("refused: binary accuracy fell")
    assert lines[-1].endswith("rollback release 2 casebook 2 as live, before it release 3 was live")
    assert len(lines) == 3 + 4


def test_a_gate_result_passes_exactly_without_refusals() -> None:
    fields = {
        "passed": True,
        "refusals": ["too slow"],
        "judged_at": NOW.isoformat(),
        "candidate_version": 2,
        "candidate": None,
        "parent_version": 1,
        "parent": f"sha256:{'0' * 64}",
        "figures": {},
    }
    with pytest.raises(ValidationError, match="passed == True with 1 refusals"):
        GateResult.model_validate_json(json.dumps(fields))
