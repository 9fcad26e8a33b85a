"""One look at a time, from shadow to live, or to a halt: the pointer moves and the history says why."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError, CheckFailedError, DependencyError
from contracts.releases import Pin
from policy.commands.policy import policy
from policy.moves import read_history
from policy.releases import promote
from policy.rollout.figures import RolloutFigures
from policy.rollout.watch import WATCH, watch
from serving.releases import ReleasesRoot
from tests.policy.rollout.test_assess import figures, single
from tests.policy.rollout.test_promotion import NOW, SECOND, gate, root

__all__ = ["root"]
GOOD = figures(single(400_000, 400), single(50_000, 50))
BAD = figures(single(400_000, 400), single(20_000, 100))


@dataclass
class Told:
    """Figures as they are told; remembers what it was asked for."""

    figures: RolloutFigures = GOOD
    away: bool = False
    asked: list[tuple[Pin, Pin, datetime]] = field(default_factory=list)

    def __call__(self, *, live: Pin, candidate: Pin, since: datetime, now: datetime) -> RolloutFigures:
        self.asked.append((live, candidate, since))
        if self.away:
            raise DependencyError("the warehouse is away")
        return self.figures


def test_a_candidate_goes_from_shadow_to_canary_to_live_look_by_look(root: ReleasesRoot) -> None:
    path, told = root.path.parent / "2", Told()
    gate(root, path)
    promote(root, path, now=NOW, seat="shadow")
    assert watch(root, told, now=NOW + timedelta(minutes=10), go_on=True).moved is None
    seated = watch(root, told, now=NOW + timedelta(hours=2), go_on=True).moved
    assert seated is not None
    assert (seated.canary, seated.canary_share, seated.shadow) == (SECOND, 0.05, None)
    assert watch(root, told, now=NOW + timedelta(hours=7), go_on=True).assessment.reason == "canary for 5.0 h of 6.0 h"
    assert told.asked[-1][2] == NOW + timedelta(hours=2), "figures are counted from when it became the canary"
    live = watch(root, told, now=NOW + timedelta(hours=9), go_on=True).moved
    assert live is not None
    assert (live.live, live.canary) == (SECOND, None)
    assert [move.moved_by for move in read_history(root)] == [None, None, WATCH, WATCH]
    assert watch(root, told, now=NOW + timedelta(hours=9)).assessment == ("wait", "no candidate is seated")


def test_without_being_told_to_go_on_a_look_only_halts(root: ReleasesRoot) -> None:
    path, told = root.path.parent / "2", Told()
    promote(root, path, now=NOW, seat="canary", share=0.05, without_gate="a test")
    look = watch(root, told, now=NOW + timedelta(hours=9))
    assert (look.assessment.outcome, look.moved) == ("advance", None)
    told.figures = BAD
    halted = watch(root, told, now=NOW + timedelta(hours=9)).moved
    assert halted is not None
    assert (halted.canary, halted.canary_share) == (None, 0.0)
    assert read_history(root)[-1].reason.startswith("report rate: 5.")


def test_a_release_seated_without_a_gate_does_not_become_live_by_itself(root: ReleasesRoot) -> None:
    promote(root, root.path.parent / "2", now=NOW, seat="canary", share=0.05, without_gate="a test")
    look = watch(root, Told(), now=NOW + timedelta(hours=9), go_on=True)
    assert look.assessment.outcome == "wait"
    assert "a person must look" in look.assessment.reason
    assert root.read_pointer().live.release_version == 1


def test_where_the_figures_cannot_be_had_nothing_moves(root: ReleasesRoot) -> None:
    promote(root, root.path.parent / "2", now=NOW, seat="canary", share=0.05, without_gate="a test")
    before = root.read_pointer()
    with pytest.raises(DependencyError, match="away"):
        watch(root, Told(away=True), now=NOW + timedelta(hours=9), go_on=True)
    assert root.read_pointer() == before


def test_the_command_says_which_address_it_lacks(root: ReleasesRoot) -> None:
    answer = CliRunner(env={"PRECEDENT_WAREHOUSE": ""}).invoke(policy, ["watch", "--releases", str(root.path)])
    assert isinstance(answer.exception, BadInputError)
    assert not isinstance(answer.exception, CheckFailedError)
