"""Following the pointer, step by step, with a real repository and a control that only remembers."""

from pathlib import Path

import pytest

from bench.stand_in import point_to, publish_casebook, random_casebook, write_release
from contracts.errors import BadInputError, DependencyError
from contracts.releases import Pin
from serving.commands import Heartbeat
from serving.releases import ReleasesRoot
from serving.triton.follow import PointerFollower
from serving.triton.repository import ModelRepository, model_names

FIRST = Pin(release_version=1, casebook_version=1)
LATER = Pin(release_version=1, casebook_version=2)


class RememberedControl:
    """Loads what it is told to, but for the models it was told to refuse; `away` is a server that is not there."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.refused: set[str] = set()
        self.away = False

    def load(self, name: str) -> None:
        if self.away:
            raise DependencyError("no answer")
        if name in self.refused:
            raise BadInputError(f"{name}: will not load")
        self.loaded.append(name)

    def unload(self, name: str) -> None:
        self.loaded.remove(name)

    def ready(self, name: str) -> bool:
        return name in self.loaded and not self.away


class Followed:
    """A releases root with one release, its follower and a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "releases"
        write_release(self.root, 1, random_casebook(10))
        publish_casebook(self.root, 2, random_casebook(12))
        self.control = RememberedControl()
        self.now = 100.0
        self.follower = PointerFollower(
            ReleasesRoot(self.root),
            ModelRepository(folder / "models"),
            self.control,
            grace_s=10.0,
            clock=lambda: self.now,
        )

    def step(self, *, after_s: float = 0.0) -> set[Pin]:
        self.now += after_s
        self.follower.step()
        return self.follower.served


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path)


def test_without_a_pointer_nothing_is_served(followed: Followed) -> None:
    assert followed.step() == set()


def test_the_live_pin_is_published_and_loaded_the_ensemble_last(followed: Followed) -> None:
    point_to(followed.root, FIRST)
    assert followed.step() == {FIRST}
    assert followed.control.loaded == ["student_r1", "casebook_r1_c1", "precedent_r1_c1"]


def test_live_and_canary_are_both_served_and_share_the_student(followed: Followed) -> None:
    point_to(followed.root, FIRST, canary=LATER)
    assert followed.step() == {FIRST, LATER}
    assert followed.control.loaded.count("student_r1") == 1


def test_a_pin_no_longer_named_stays_for_the_grace_and_leaves_the_shared_student(followed: Followed) -> None:
    point_to(followed.root, FIRST)
    followed.step()
    point_to(followed.root, LATER)
    assert followed.step() == {FIRST, LATER}
    assert followed.step(after_s=9.0) == {FIRST, LATER}
    assert followed.step(after_s=1.0) == {LATER}
    assert sorted(followed.control.loaded) == sorted(model_names(LATER))
    assert followed.follower.repository.models() == set(model_names(LATER))


def test_a_pin_named_again_within_the_grace_is_never_unloaded(followed: Followed) -> None:
    for pin in (FIRST, LATER, FIRST):
        point_to(followed.root, pin)
        followed.step(after_s=6.0)
    assert followed.control.loaded.count("casebook_r1_c1") == 1
    assert followed.step(after_s=10.0) == {FIRST}


def test_a_broken_release_is_reported_once_and_the_old_one_goes_on(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    point_to(followed.root, FIRST)
    followed.step()
    broken = write_release(followed.root, 2, random_casebook(10))
    ReleasesRoot(followed.root).student_of(broken).write_bytes(b"rotten")
    point_to(followed.root, broken)
    for _ in range(5):
        assert followed.step(after_s=20.0) == {FIRST}
    assert sum("digest" in record.message for record in caplog.records) == 1
    assert set(followed.control.loaded) == set(model_names(FIRST))


def test_a_model_that_triton_refuses_is_taken_out_and_tried_again_later(followed: Followed) -> None:
    point_to(followed.root, FIRST)
    followed.control.refused = {"casebook_r1_c1"}
    assert followed.step() == set()
    assert not followed.follower.repository.has("casebook_r1_c1")
    followed.control.refused = set()
    assert followed.step(after_s=1.0) == set()
    assert followed.step(after_s=5.0) == {FIRST}


def test_a_casebook_version_that_was_not_published_is_reported(followed: Followed) -> None:
    point_to(followed.root, Pin(release_version=1, casebook_version=9))
    assert followed.step() == set()
    assert "casebooks/9: is not a published casebook" in next(iter(followed.follower.broken.values()))


def test_a_casebook_that_is_not_what_was_published_is_reported_and_the_old_one_goes_on(followed: Followed) -> None:
    point_to(followed.root, FIRST)
    followed.step()
    model = ReleasesRoot(followed.root).casebook_path(2) / "casebook.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    point_to(followed.root, LATER)
    assert followed.step() == {FIRST}
    assert "casebooks/2/casebook.onnx: digest is sha256:" in followed.follower.broken[LATER]
    assert set(followed.control.loaded) == set(model_names(FIRST))


def test_a_pointer_that_breaks_its_contract_leaves_things_as_they_are(followed: Followed) -> None:
    point_to(followed.root, FIRST)
    followed.step()
    ReleasesRoot(followed.root).pointer_path.write_text("{")
    assert followed.step(after_s=60.0) == {FIRST}


def test_a_server_that_is_away_or_was_started_anew_gets_its_models(followed: Followed) -> None:
    point_to(followed.root, FIRST)
    followed.control.away = True
    assert followed.step() == set()
    assert followed.follower.broken == {}
    followed.control.away = False
    assert followed.step(after_s=5.0) == {FIRST}
    followed.control.loaded.clear()
    assert followed.step(after_s=5.0) == {FIRST}
    assert followed.control.loaded == list(model_names(FIRST))


def test_it_is_complete_while_every_pin_that_the_pointer_names_is_served(followed: Followed) -> None:
    followed.step()
    assert not followed.follower.complete, "no pointer, nothing to be complete with"
    point_to(followed.root, FIRST)
    followed.step()
    assert followed.follower.complete
    followed.control.refused.add("casebook_r1_c2")
    point_to(followed.root, FIRST, canary=LATER)
    followed.step()
    assert not followed.follower.complete
    followed.control.refused.clear()
    followed.step(after_s=5.0)
    assert followed.follower.complete


def test_a_heartbeat_touches_its_file_and_without_one_nothing(tmp_path: Path) -> None:
    file = tmp_path / "ready"
    Heartbeat(None).touch()
    assert not list(tmp_path.iterdir())
    Heartbeat(file).touch()
    assert file.exists()
