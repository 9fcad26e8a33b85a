"""Canary and live ask for a gate that this very release passed against what is live; a halt stands."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError, CheckFailedError
from contracts.releases import GateResult, Pin, Seat
from policy.commands.policy import policy
from policy.gate.results import read_gate_result, write_gate_result
from policy.moves import read_history
from policy.releases import halt, promote, write_pointer
from serving.releases import MANIFEST, ReleasesRoot, digest_of
from tests.policy.test_releases import make_release

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SECOND = Pin(release_version=2, casebook_version=2)


@pytest.fixture
def root(tmp_path: Path) -> ReleasesRoot:
    """Release 1 is live; release 2 lies beside the root as `tmp_path / "2"`."""
    root = ReleasesRoot(tmp_path / "root")
    promote(root, make_release(tmp_path / "1", version=1), now=NOW)
    make_release(tmp_path / "2", version=2, seed=2)
    return root


def gate(root: ReleasesRoot, candidate: Path, *, parent: int = 1, passed: bool = True) -> GateResult:
    result = GateResult(
        passed=passed,
        refusals=() if passed else ("binary accuracy fell",),
        judged_at=NOW,
        candidate_version=2,
        candidate=digest_of(candidate / MANIFEST),
        parent_version=parent,
        parent=digest_of(root.release_path(parent) / MANIFEST),
        figures={},
    )
    write_gate_result(root, result)
    return result


@pytest.mark.parametrize("seat", ["live", "canary"])
def test_a_release_that_passed_no_gate_gets_no_say_and_a_shadow_needs_none(root: ReleasesRoot, seat: Seat) -> None:
    path = root.path.parent / "2"
    with pytest.raises(CheckFailedError, match=r"gates/2\.json: is missing, the gate must let a release pass first"):
        promote(root, path, now=NOW, seat=seat)
    assert not root.release_path(2).exists()
    gate(root, path, passed=False)
    with pytest.raises(CheckFailedError, match="the gate refused it: binary accuracy fell"):
        promote(root, path, now=NOW, seat=seat)
    gate(root, root.path.parent / "1")
    with pytest.raises(CheckFailedError, match=r"candidate is sha256:.*, must be sha256:"):
        promote(root, path, now=NOW, seat=seat)
    assert root.read_pointer().candidate is None
    assert promote(root, path, now=NOW, seat="shadow").shadow == SECOND


def test_a_release_that_passed_becomes_a_canary_and_then_live(root: ReleasesRoot) -> None:
    gate(root, root.path.parent / "2")
    seated = promote(root, root.path.parent / "2", now=NOW, seat="canary", share=0.05, moved_by="ada")
    assert (seated.canary, seated.canary_share, seated.live.release_version) == (SECOND, 0.05, 1)
    live = promote(root, root.path.parent / "2", now=NOW)
    assert (live.live, live.canary, live.canary_share) == (SECOND, None, 0.0)
    assert read_history(root)[-2].moved_by == "ada"


def test_a_gate_against_what_was_live_before_does_not_count(root: ReleasesRoot) -> None:
    gate(root, root.path.parent / "2")
    promote(root, make_release(root.path.parent / "3", version=3, seed=3), now=NOW, without_gate="urgent")
    with pytest.raises(CheckFailedError, match=r"compared with release 1, .* must be compared with .* release 3"):
        promote(root, root.path.parent / "2", now=NOW)


def test_without_a_gate_history_keeps_why(root: ReleasesRoot) -> None:
    with pytest.raises(BadInputError, match="without_gate is empty"):
        promote(root, root.path.parent / "2", now=NOW, without_gate=" ")
    promote(root, root.path.parent / "2", now=NOW, without_gate="the gate's golden set is gone")
    assert read_history(root)[-1].reason == "without gate: the gate's golden set is gone"


def test_a_share_is_the_canarys_alone(root: ReleasesRoot) -> None:
    with pytest.raises(BadInputError, match=r"share == 0\.05, must be 0 for a release that becomes live"):
        promote(root, root.path.parent / "2", now=NOW, share=0.05)


def test_a_halted_canary_loses_its_seat_and_is_not_promoted_again_though_it_passes(root: ReleasesRoot) -> None:
    path = root.path.parent / "2"
    gate(root, path)
    promote(root, path, now=NOW, seat="canary", share=0.05)
    pointer = halt(root, 2, now=NOW + timedelta(hours=1), reason="report rate: 3 times the live release's")
    assert (pointer.canary, pointer.canary_share, pointer.live.release_version) == (None, 0.0, 1)
    said = read_gate_result(root, 2)
    assert said is not None
    assert said.refusals == ("halted as canary on 2026-01-02 01:00: report rate: 3 times the live release's",)
    move = read_history(root)[-1]
    assert (move.move, move.seat, move.pin) == ("halt", "canary", SECOND)
    gate(root, path)
    with pytest.raises(CheckFailedError, match="halted as canary on 2026-01-02 01:00: report rate: 3 times"):
        promote(root, path, now=NOW, seat="canary")
    assert promote(root, path, now=NOW, seat="canary", without_gate="a fault of the figures").canary == SECOND
    with pytest.raises(BadInputError, match="release 7 is neither canary nor shadow"):
        halt(root, 7, now=NOW, reason="?")


def test_a_canary_keeps_the_casebook_that_was_published_for_it(root: ReleasesRoot) -> None:
    gate(root, root.path.parent / "2")
    promote(root, root.path.parent / "2", now=NOW, seat="canary")
    newer = Pin(release_version=2, casebook_version=9)
    write_pointer(root, root.read_pointer().model_copy(update={"canary": newer}))
    assert promote(root, root.path.parent / "2", now=NOW).live == newer


def test_the_commands_promote_with_a_share_and_refuse_without_a_gate(root: ReleasesRoot) -> None:
    common = ["--releases", str(root.path)]
    refused = CliRunner().invoke(policy, ["promote", str(root.path.parent / "2"), *common])
    assert isinstance(refused.exception, CheckFailedError)
    words = ["--as", "canary", "--share", "0.05", "--without-gate", "first of its kind", "--by", "ada"]
    told = CliRunner().invoke(policy, ["promote", str(root.path.parent / "2"), *words, *common], catch_exceptions=False)
    assert json.loads(told.output)["canary_share"] == 0.05
    history = CliRunner().invoke(policy, ["history", *common], catch_exceptions=False).output
    assert history.endswith("as canary, before it release 1 was live, by ada: without gate: first of its kind\n")
    nobody = CliRunner().invoke(policy, ["promote", str(root.path.parent / "2"), "--by", "a b", *common])
    assert isinstance(nobody.exception, BadInputError)
