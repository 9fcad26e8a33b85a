"""What nothing names any more is listed and deleted; what serves, may come back or waits for a person stays."""

import json
import os
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError
from contracts.releases import Pin, PointerMove
from contracts.taxonomy import Category
from policy.commands.policy import policy
from policy.moves import add_line
from policy.publication import publish as publish_module
from policy.publication.held import all_held, next_version
from policy.publication.pruning import Keeping, Leftover, prune
from policy.publication.publish import PublicationSettings, approve_held
from policy.refresh.run import Plan, Refreshed
from policy.refresh.snapshots import write_snapshot
from policy.releases import promote, rollback, turn_at
from serving.releases import ReleasesRoot
from serving.triton.follow import PointerFollower
from serving.triton.repository import ModelRepository, model_names
from tests.policy.publication.conftest import LIKE_IT, SAM, TREND, Court, video
from tests.policy.publication.test_publish import CARE, KilledError, files_of, write_as_version
from tests.serving.test_triton_follow import RememberedControl

WORDS = (TREND, "seven secret soups of grandma Lu", "a quiet walk along the river in autumn")
STEPS = PublicationSettings(flips_at_most=10)


def publish_three(court: Court) -> datetime:
    """Casebooks 2, 3 and 4, ten days apart; returns when the last was published."""
    for n, text in enumerate(WORDS):
        court.rule(video(f"r{n}", f"{text}, {text}"), Category.FALSE_BENEFITS)
        court.publish()
        last, court.now = court.now, court.now + timedelta(days=10)
    return last


def casebooks(root: ReleasesRoot) -> list[int]:
    return sorted(int(home.name) for home in (root.path / "casebooks").iterdir())


def versions(found: list[Leftover]) -> list[int]:
    return [int(one.path.name) for one in found if one.kind == "casebook"]


def test_what_a_move_of_the_last_days_names_stays_with_what_was_live_before_it(court: Court) -> None:
    last = publish_three(court)
    # the moves to 3 and 4 lie 10 and 0 days back; that to 4 names 3 as live before it, that to 3 names 2
    assert versions(prune(court.root, Keeping(30), now=last, apply=False)) == []
    assert versions(prune(court.root, Keeping(9), now=last, apply=False)) == [2]
    assert versions(prune(court.root, Keeping(9), now=last + timedelta(days=9), apply=False)) == [2]
    assert versions(prune(court.root, Keeping(9), now=last + timedelta(days=10), apply=False)) == [2, 3]
    with pytest.raises(BadInputError, match="days == 0, must be 1 or more"):
        prune(court.root, Keeping(0), now=last, apply=True)


def test_without_apply_nothing_changes_and_with_it_the_folders_go_and_what_serves_serves(court: Court) -> None:
    last = publish_three(court)
    before, bytes_of_two = files_of(court.root), [file.stat().st_size for file in court.root.casebook_path(2).iterdir()]
    listed = prune(court.root, Keeping(9), now=last, apply=False)
    assert (files_of(court.root), listed[0].size_bytes) == (before, sum(bytes_of_two))
    deleted = prune(court.root, Keeping(9), now=last, apply=True, pruned_by="ann")
    assert (deleted, casebooks(court.root)) == (listed, [3, 4])
    assert [(one.version, one.pruned_by) for one in court.root.pruned().values()] == [(2, "ann")]
    assert court.judge(video("alike", LIKE_IT))[0] is Category.FALSE_BENEFITS
    assert prune(court.root, Keeping(9), now=last, apply=True) == []


def test_the_casebook_that_a_person_reviewed_stays_for_the_next_to_be_measured_by(court: Court) -> None:
    traffic = [video("t", LIKE_IT)]
    court.rule(video("r0", TREND), Category.FALSE_BENEFITS)
    court.publish(traffic, CARE)
    approve_held(court.root, court.docket, 2, now=court.now, principal=SAM)
    for n in (1, 2):
        court.rule(video(f"r{n}", WORDS[n]), Category.POSITIVE)
        court.publish(traffic, STEPS)
    assert casebooks(court.root) == [2, 3, 4]
    later = court.now + timedelta(days=100)
    assert versions(prune(court.root, Keeping(30), now=later, apply=True)) == [3]
    court.rule(video("r3", "how to prune an apple tree"), Category.POSITIVE)
    assert court.publish(traffic, STEPS)[0].outcome == "published"


def test_what_a_senior_is_asked_about_stays_though_its_approval_was_killed(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    court.rule(video("r0", TREND), Category.FALSE_BENEFITS)
    court.publish([video("t", LIKE_IT)], CARE)

    def die(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as killing, pytest.raises(KilledError):
        killing.setattr(publish_module, "_move", die)
        approve_held(court.root, court.docket, 2, now=court.now, principal=SAM)
    assert casebooks(court.root) == [2], "written, and nothing points at it"
    assert prune(court.root, Keeping(1), now=court.now + timedelta(days=100), apply=True) == []
    assert [held.manifest.version for held in all_held(court.root)] == [2]
    approve_held(court.root, court.docket, 2, now=court.now, principal=SAM)
    assert court.live.casebook_version == 2


def test_a_version_that_was_pruned_is_not_given_again(court: Court, tmp_path: Path) -> None:
    court.rule(video("r0", TREND), Category.FALSE_BENEFITS)
    court.publish()
    first = court.live
    rollback_to_own(court, tmp_path)
    assert versions(prune(court.root, Keeping(30), now=court.now + timedelta(days=100), apply=True)) == [3]
    assert (casebooks(court.root), court.live, next_version(court.root)) == ([2], first, 4)
    court.rule(video("r2", WORDS[2]), Category.FALSE_BENEFITS)
    court.publish()
    assert court.live.casebook_version == 4


def rollback_to_own(court: Court, tmp_path: Path) -> None:
    """Release 2 is live for a while, with a casebook 3 of its own, and is rolled back."""
    write_as_version(court.taught.release, tmp_path / "two", 2)
    promote(court.root, tmp_path / "two", now=court.now, without_gate="a test")
    court.rule(video("r1", WORDS[1]), Category.FALSE_BENEFITS)
    court.publish()
    assert court.live.casebook_version == 3
    rollback(court.root, now=court.now)


def test_a_rollback_to_what_was_pruned_says_so_and_moves_nothing(court: Court, tmp_path: Path) -> None:
    court.rule(video("r0", TREND), Category.FALSE_BENEFITS)
    court.publish()
    for version in (5, 6):
        write_as_version(court.taught.release, tmp_path / str(version), version)
        promote(court.root, tmp_path / str(version), now=court.now, without_gate="a test")
    later = court.now + timedelta(days=100)
    assert versions(prune(court.root, Keeping(30), now=later, apply=True, pruned_by="ann")) == [2]
    assert rollback(court.root, now=later).live.release_version == 5
    before = court.root.read_pointer()
    said = (
        rf"casebooks/2: was pruned on {later:%Y-%m-%d} by ann, .* cannot serve any more; .*releases/1 serves with its"
    )
    with pytest.raises(BadInputError, match=said):
        rollback(court.root, now=later)
    assert court.root.read_pointer() == before
    promoted = promote(court.root, court.root.release_path(1), now=later, without_gate="its casebook was pruned")
    assert (promoted.live.release_version, promoted.live.casebook_version) == (1, 1)


def test_nothing_is_deleted_where_it_cannot_be_read_what_is_needed(court: Court) -> None:
    last = publish_three(court)
    with court.root.history_path.open("a") as history:
        history.write("{}\n")
    with pytest.raises(BadInputError, match=r"history\.jsonl:5: "):
        prune(court.root, Keeping(9), now=last, apply=True)
    assert casebooks(court.root) == [2, 3, 4]


@pytest.mark.parametrize("turn", ["publication", "pointer"])
def test_a_prune_waits_until_who_publishes_or_moves_the_pointer_is_done(court: Court, turn: str) -> None:
    last = publish_three(court)
    pruning = threading.Thread(target=lambda: prune(court.root, Keeping(9), now=last, apply=True))
    with turn_at(court.root, turn):
        pruning.start()
        pruning.join(timeout=0.5)
        assert pruning.is_alive()
        assert casebooks(court.root) == [2, 3, 4]
    pruning.join(timeout=30)
    assert casebooks(court.root) == [3, 4]


def test_the_model_server_is_given_what_it_needs_after_a_prune_though_it_begins_anew(
    court: Court, tmp_path: Path
) -> None:
    control = RememberedControl()
    follower = PointerFollower(court.root, ModelRepository(tmp_path / "models"), control, grace_s=1e9)
    last = publish_three(court)
    follower.step()
    prune(court.root, Keeping(9), now=last, apply=True)
    control.loaded.clear()  # the server was started anew
    follower.forget()
    follower.step()
    assert follower.served == {court.live}
    assert set(control.loaded) == set(model_names(court.live))
    assert follower.broken == {}


def test_snapshots_stay_that_a_release_or_its_plan_names_or_that_are_young_or_asked_for(
    court: Court, tmp_path: Path
) -> None:
    datasets, now = court.root.path / "datasets", court.now
    names = ("taught", "old", "asked for", "young", "needless")
    homes = {}
    for n, name in enumerate(names):
        home, snapshot = write_snapshot(court.taught.evidence[n : n + 2], datasets)
        homes[name] = home
        if name == "taught":
            (court.root.release_path(1) / "dataset.json").write_text(snapshot.model_dump_json())
        age = timedelta(days=1 if name == "young" else 40)
        os.utime(home, ((now - age).timestamp(),) * 2)
    for name, days in ((".half", 40), (".being written", 1)):  # of a writer that was killed, and of one that writes
        homes[name] = datasets / name
        homes[name].mkdir()
        os.utime(homes[name], ((now - timedelta(days=days)).timestamp(),) * 2)
    plan = Plan(releases="r", parent="p", docket="d", golden=str(tmp_path / "golden"), old=str(homes["old"]))
    lineage = Refreshed(plan=plan, sequence=1)
    (court.root.release_path(1) / "refresh.json").write_text(lineage.model_dump_json())
    assert prune(court.root, Keeping(30), now=now, apply=True) == [], "snapshots go only where they are asked for"
    keeping = Keeping(30, snapshots=True, keep=(homes["asked for"],))
    assert [one.path for one in prune(court.root, keeping, now=now, apply=False)] == sorted(
        [homes["needless"], homes[".half"]]
    )
    prune(court.root, keeping, now=now, apply=True)
    assert {name for name, home in homes.items() if home.exists()} == {*homes} - {"needless", ".half"}
    assert len(list(datasets.iterdir())) == 5


def test_the_command_lists_then_deletes_and_the_history_tells(court: Court) -> None:
    publish_three(court)  # in January 2026, longer than a day ago
    arguments = ["prune", "--releases", str(court.root.path), "--days", "1"]
    listed = CliRunner().invoke(policy, arguments, catch_exceptions=False).output.splitlines()
    sizes = [sum(file.stat().st_size for file in court.root.casebook_path(n).iterdir()) for n in (2, 3)]
    assert listed == [
        f"casebook {court.root.casebook_path(2)}  {sizes[0]:,} bytes",
        f"casebook {court.root.casebook_path(3)}  {sizes[1]:,} bytes",
        f"2 folders, {sum(sizes):,} bytes would be deleted by --apply",
    ]
    deleted = CliRunner().invoke(policy, [*arguments, "--apply", "--by", "ann"], catch_exceptions=False).output
    assert deleted.splitlines()[-1] == f"2 folders, {sum(sizes):,} bytes deleted"
    assert casebooks(court.root) == [4]
    told = CliRunner().invoke(policy, ["history", "--releases", str(court.root.path)], catch_exceptions=False).output
    pruned = [line for line in told.splitlines() if line.startswith("casebook ")]
    assert [(line.split()[1], line.rpartition(", ")[2]) for line in pruned] == [("2", "by ann"), ("3", "by ann")]


def test_what_lost_its_seat_by_anothers_move_is_kept_for_the_days_too(court: Court) -> None:
    last = publish_three(court)
    assert versions(prune(court.root, Keeping(9), now=last, apply=False)) == [2]
    shadow, live = Pin(release_version=1, casebook_version=9), Pin(release_version=2, casebook_version=10)
    for days, seat, pin in ((40, "shadow", shadow), (1, "live", live)):
        move = PointerMove(moved_at=last - timedelta(days=days), move="promote", seat=seat, pin=pin, live_before=None)
        add_line(court.root.history_path, move)
    assert versions(prune(court.root, Keeping(9), now=last, apply=False)) == []
    assert versions(prune(court.root, Keeping(9), now=last + timedelta(days=9), apply=False)) == [2]


def test_a_lineage_of_an_earlier_version_hinders_no_pruning(court: Court, tmp_path: Path) -> None:
    last = publish_three(court)
    home = court.root.release_path(1)
    plan = {"golden": str(tmp_path / "golden"), "old": None, "a_field_of_then": True}
    (home / "refresh.json").write_text(json.dumps({"plan": plan, "sequence": 3}))
    assert versions(prune(court.root, Keeping(9, snapshots=True), now=last, apply=False)) == [2]
    (home / "refresh.json").write_text("{}")
    with pytest.raises(BadInputError, match=r"refresh\.json: does not say of which plan the release is"):
        prune(court.root, Keeping(9, snapshots=True), now=last, apply=False)
