"""A worker follows the pointer only to models that are ready, and past nothing that is broken."""

import asyncio
import json
from pathlib import Path

import pytest

from bench.stand_in import SHAPE, point_to, publish_casebook, random_casebook, write_release
from contracts.releases import Pin
from serving.releases import CASEBOOK_MANIFEST, LEAVES, MANIFEST, ReleasesRoot, digest_of
from streams.worker.follower import ReleaseFollower
from tests.streams.watching import until

FIRST = Pin(release_version=1, casebook_version=1)
LATER = Pin(release_version=1, casebook_version=2)


class Readiness:
    def __init__(self, *pins: Pin) -> None:
        self.pins = set(pins)
        self.asked = 0

    async def ready(self, pin: Pin) -> bool:
        self.asked += 1
        return pin in self.pins


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_release(tmp_path, 1, random_casebook(10))
    publish_casebook(tmp_path, 2, random_casebook(10))
    point_to(tmp_path, FIRST)
    return tmp_path


def pin_after_looks(follower: ReleaseFollower, looks: int = 1) -> Pin | None:
    async def look() -> None:
        for _ in range(looks):
            await follower.look()

    asyncio.run(look())
    return follower.policy.pin if follower.policy else None


def test_the_live_pin_judges_as_soon_as_its_models_are_ready(root: Path):
    models = Readiness()
    follower = ReleaseFollower(ReleasesRoot(root), models)

    assert pin_after_looks(follower) is None
    models.pins.add(FIRST)
    assert pin_after_looks(follower) == FIRST
    assert follower.policy is not None
    assert follower.policy.release.version == 1


def test_a_moved_pointer_changes_nothing_until_the_new_models_are_ready(root: Path):
    models = Readiness(FIRST)
    follower = ReleaseFollower(ReleasesRoot(root), models)
    assert pin_after_looks(follower) == FIRST

    point_to(root, LATER)
    assert pin_after_looks(follower, 3) == FIRST
    models.pins.add(LATER)
    assert pin_after_looks(follower) == LATER
    point_to(root, FIRST)
    assert pin_after_looks(follower) == FIRST


def test_a_pointer_that_stands_still_is_not_asked_about_again(root: Path):
    models = Readiness(FIRST)
    follower = ReleaseFollower(ReleasesRoot(root), models)
    pin_after_looks(follower, 20)

    assert models.asked == 1


@pytest.mark.parametrize("break_it", ["garbage", "no release", "gone"])
def test_a_broken_pointer_leaves_the_policy_as_it_is_and_is_reported_once(root: Path, break_it: str, caplog):
    follower = ReleaseFollower(ReleasesRoot(root), Readiness(FIRST, LATER))
    assert pin_after_looks(follower) == FIRST

    pointer = ReleasesRoot(root).pointer_path
    if break_it == "garbage":
        pointer.write_text("{")
    elif break_it == "no release":
        point_to(root, Pin(release_version=99, casebook_version=99))
    else:
        pointer.unlink()
    assert pin_after_looks(follower, 5) == FIRST
    assert sum("ALERT" in record.message for record in caplog.records) == 1
    point_to(root, LATER)
    assert pin_after_looks(follower) == LATER


def test_what_nobody_foresaw_is_reported_once_and_does_not_end_the_following(root: Path, caplog):
    class Confused(Readiness):
        async def ready(self, pin: Pin) -> bool:
            if pin == LATER and await super().ready(pin) and self.asked < 4:
                raise RuntimeError("what is this?")
            return await super().ready(pin)

    async def follow() -> Pin:
        follower = ReleaseFollower(ReleasesRoot(root), Confused(FIRST, LATER), every_s=0.001)
        await follower.first_policy()
        point_to(root, LATER)
        following = asyncio.create_task(follower.follow())
        await asyncio.to_thread(until, lambda: follower.policy.pin == LATER)
        following.cancel()
        return follower.policy.pin

    assert asyncio.run(follow()) == LATER
    assert sum("RuntimeError: what is this?" in record.message for record in caplog.records) == 1


def test_the_first_policy_is_waited_for(tmp_path: Path):
    follower = ReleaseFollower(ReleasesRoot(tmp_path), Readiness(FIRST), every_s=0.01)

    async def wait() -> Pin:
        waiting = asyncio.create_task(follower.first_policy())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        write_release(tmp_path, 1, random_casebook(10))
        point_to(tmp_path, FIRST)
        return (await waiting).pin

    assert asyncio.run(wait()) == FIRST


def candidate_after_looks(follower: ReleaseFollower, looks: int = 1) -> Pin | None:
    pin_after_looks(follower, looks)
    assert follower.policy is not None
    return follower.policy.candidate.pin if follower.policy.candidate else None


def test_a_canary_is_tried_beside_the_live_release_from_when_its_models_are_ready(root: Path, caplog):
    write_release(root, 2, random_casebook(10))
    canary, models = Pin(release_version=2, casebook_version=2), Readiness(FIRST)
    follower = ReleaseFollower(ReleasesRoot(root), models)
    point_to(root, FIRST, canary=canary)

    assert candidate_after_looks(follower, 5) is None
    assert follower.policy is not None
    assert follower.policy.pin == FIRST
    assert sum("models of candidate 2/2 are not ready" in record.message for record in caplog.records) == 1
    models.pins.add(canary)
    assert candidate_after_looks(follower) == canary
    assert follower.policy.candidate is not None
    assert follower.policy.candidate.release.version == 2
    asked = models.asked
    assert candidate_after_looks(follower, 5) == canary
    assert models.asked == asked
    point_to(root, FIRST)
    assert candidate_after_looks(follower) is None


def test_a_canary_decides_of_its_share_from_when_its_models_are_ready_until_it_is_halted(root: Path):
    write_release(root, 2, random_casebook(10))
    canary, models = Pin(release_version=2, casebook_version=2), Readiness(FIRST)
    follower = ReleaseFollower(ReleasesRoot(root), models)
    point_to(root, FIRST, canary=canary, share=0.05)

    assert candidate_after_looks(follower, 2) is None
    assert follower.policy is not None
    assert follower.policy.canary_share == 0.0
    models.pins.add(canary)
    assert candidate_after_looks(follower) == canary
    assert follower.policy.canary_share == 0.05
    point_to(root, FIRST)
    assert candidate_after_looks(follower) is None
    assert follower.policy.canary_share == 0.0


@pytest.mark.parametrize("break_it", ["no release", "other frames"])
def test_a_candidate_that_cannot_be_tried_holds_up_no_live_release(root: Path, break_it: str, caplog):
    other = Pin(release_version=3, casebook_version=3)
    if break_it == "other frames":
        write_release(root, 3, random_casebook(10), shape=SHAPE.model_copy(update={"n_frames": 5}))
    follower = ReleaseFollower(ReleasesRoot(root), Readiness(FIRST, LATER, other))
    assert pin_after_looks(follower) == FIRST
    point_to(root, LATER, canary=other)

    assert candidate_after_looks(follower, 5) is None
    assert pin_after_looks(follower) == LATER
    said = "5 frames of 16 px, must read" if break_it == "other frames" else "release.json"
    assert sum("is not tried" in record.message and said in record.message for record in caplog.records) == 1
    if break_it == "no release":  # which comes later, beside the pointer that names it
        write_release(root, 3, random_casebook(10))
        assert candidate_after_looks(follower) == other


def write_leaves(manifest: Path, text: str) -> None:
    """Write the leaves of a folder, and their digest into its manifest."""
    leaves = manifest.with_name(LEAVES)
    leaves.write_text(text)
    fields = json.loads(manifest.read_text())
    fields["digests"][LEAVES] = digest_of(leaves)
    manifest.write_text(json.dumps(fields))


def test_the_leaves_of_a_pin_come_with_it_and_those_of_a_later_casebook_replace_them(root: Path) -> None:
    write_leaves(root / "releases" / "1" / MANIFEST, '{"case-1":"t-first"}')
    write_leaves(root / "casebooks" / "2" / CASEBOOK_MANIFEST, '{"case-2":"t-later"}')
    follower = ReleaseFollower(ReleasesRoot(root), Readiness(FIRST, LATER))
    assert pin_after_looks(follower) == FIRST
    assert follower.policy is not None
    assert follower.policy.leaves == {"case-1": "t-first"}
    point_to(root, LATER)
    assert pin_after_looks(follower) == LATER
    assert follower.policy.leaves == {"case-2": "t-later"}
    write_leaves(root / "releases" / "1" / MANIFEST, '{"case-1":7}')
    point_to(root, FIRST)
    assert pin_after_looks(follower) == LATER, "leaves that cannot be read leave the policy as it is"
