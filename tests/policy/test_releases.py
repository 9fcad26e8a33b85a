"""Releases are immutable, verified, and named by one pointer."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.stand_in import random_casebook, write_student
from contracts.errors import BadInputError
from contracts.releases import Pin
from policy.casebook import write_precedents
from policy.releases import new_folder, promote, publish_casebook, write_manifest
from serving.casebook import onnx_model, write_casebook
from serving.releases import (
    CASEBOOK,
    DIGESTED,
    PRECEDENTS,
    STUDENT,
    ReleasesRoot,
    digest_of,
    open_casebook,
    open_release,
)
from tests.policy.test_decide import RELEASE

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def make_release(path: Path, *, version: int = 1, seed: int = 0) -> Path:
    with new_folder(path) as draft:
        write_student(draft / STUDENT, seed=seed)
        write_casebook(random_casebook(3, seed=seed), draft / CASEBOOK)
        write_precedents((), draft / PRECEDENTS)
        write_manifest(
            draft,
            lambda digests: RELEASE.model_copy(
                update={"version": version, "casebook_version": version, "digests": digests}
            ),
        )
    return path


def test_promoting_moves_the_pointer_and_remembers_the_one_before(tmp_path: Path) -> None:
    root = ReleasesRoot(tmp_path / "root")
    promote(root, make_release(tmp_path / "a", version=1), now=NOW)
    pointer = promote(root, make_release(tmp_path / "b", version=2), now=NOW, without_gate="a test")
    assert root.read_pointer() == pointer
    assert pointer.live.release_version == 2
    assert pointer.previous is not None
    assert pointer.previous.release_version == 1
    assert root.open(1).release.version == 1


def test_the_same_release_may_be_promoted_twice(tmp_path: Path) -> None:
    root = ReleasesRoot(tmp_path / "root")
    release = make_release(tmp_path / "a")
    first = promote(root, release, now=NOW)
    assert promote(root, release, now=NOW).live == first.live


def test_a_candidate_is_seated_beside_the_live_release_until_another_is_live(tmp_path: Path) -> None:
    root = ReleasesRoot(tmp_path / "root")
    first = promote(root, make_release(tmp_path / "a", version=1), now=NOW)
    seated = promote(
        root, make_release(tmp_path / "b", version=2, seed=1), now=NOW, seat="canary", without_gate="a test"
    )
    assert (seated.live, seated.canary) == (first.live, Pin(release_version=2, casebook_version=2))
    assert root.read_pointer() == seated
    live = promote(root, tmp_path / "b", now=NOW, without_gate="a test")
    assert (live.live, live.canary, live.previous) == (seated.canary, None, first.live)


def test_a_candidate_needs_a_live_release_to_stand_beside(tmp_path: Path) -> None:
    root = ReleasesRoot(tmp_path / "root")
    with pytest.raises(BadInputError, match="nothing is live, a shadow needs a live release"):
        promote(root, make_release(tmp_path / "a"), now=NOW, seat="shadow")
    assert not root.pointer_path.exists()


def test_another_release_under_a_taken_version_is_refused(tmp_path: Path) -> None:
    root = ReleasesRoot(tmp_path / "root")
    promote(root, make_release(tmp_path / "a"), now=NOW)
    with pytest.raises(BadInputError, match="version 1 is taken"):
        promote(root, make_release(tmp_path / "b", seed=1), now=NOW)


@pytest.mark.parametrize("name", DIGESTED)
def test_a_changed_or_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    release = make_release(tmp_path / "a")
    (release / name).write_bytes(b"tampered")
    with pytest.raises(BadInputError, match=rf"{name}: digest is sha256:"):
        open_release(release)
    (release / name).unlink()
    with pytest.raises(BadInputError, match=f"{name}: is missing"):
        open_release(release)


@pytest.mark.parametrize("name", ["release.json", STUDENT])
def test_a_release_that_is_only_half_in_the_root_is_named_and_gets_no_seat(tmp_path: Path, name: str) -> None:
    root, release = ReleasesRoot(tmp_path / "root"), make_release(tmp_path / "a")
    live = promote(root, make_release(tmp_path / "b", version=2), now=NOW)
    home = root.release_path(1)
    home.mkdir(parents=True)
    for file in release.iterdir():
        if file.name != name:
            (home / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BadInputError, match=f"releases/1.*{name}"):
        promote(root, release, now=NOW, without_gate="a test")
    assert root.read_pointer() == live


def test_a_release_under_another_taxonomy_is_refused(tmp_path: Path) -> None:
    release = make_release(tmp_path / "a")
    manifest = release / "release.json"
    manifest.write_text(manifest.read_text().replace('"kuaimod-16"', '"kuaimod-17"'))
    with pytest.raises(BadInputError, match=r"release\.json: taxonomy_version == 'kuaimod-17', must be 'kuaimod-16'"):
        open_release(release)


def test_models_that_nobody_could_serve_are_not_promoted(tmp_path: Path) -> None:
    release, root = make_release(tmp_path / "a"), ReleasesRoot(tmp_path / "root")
    (release / STUDENT).write_bytes((release / STUDENT).read_bytes()[:5_000])
    manifest = release / "release.json"
    digests = open_release(release, verify=False).release.digests
    manifest.write_text(manifest.read_text().replace(digests[STUDENT], digest_of(release / STUDENT)))
    with pytest.raises(BadInputError, match=r"a: cannot be served: .*student\.onnx: is not an ONNX model"):
        promote(root, release, now=NOW)
    assert not root.pointer_path.exists()


PIN = Pin(release_version=1, casebook_version=4)


def test_a_casebook_between_releases_has_a_manifest_that_names_each_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_model, "EMBEDDED_BYTES", 0)
    root = ReleasesRoot(tmp_path)
    published = publish_casebook(root, PIN, random_casebook(3), (), now=NOW)
    assert (published.pin, published.n_precedents) == (PIN, 3)
    files = {path.name for path in root.casebook_path(4).iterdir()}
    assert files == {"casebook.onnx", "casebook.onnx.data", "casebook.parquet", "casebook.json"}
    assert set(published.digests) == files - {"casebook.json"}
    assert open_casebook(root.casebook_path(4), PIN) == published
    with pytest.raises(BadInputError, match="exists, a release is never written again"):
        publish_casebook(root, PIN, random_casebook(3), (), now=NOW)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("casebook.onnx", b"x", r"4/casebook\.onnx: digest is sha256:"),
        ("casebook.onnx", None, r"4/casebook\.onnx: is missing, casebook\.json names it"),
        ("casebook.json", b"{", r"4/casebook\.json: record: Invalid JSON"),
        ("casebook.json", b"\xff", r"4/casebook\.json: record: Invalid JSON"),
        ("casebook.json", None, r"4: is not a published casebook, it has no casebook\.json"),
    ],
)
def test_a_casebook_that_is_not_what_was_published_is_refused(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    root = ReleasesRoot(tmp_path)
    publish_casebook(root, PIN, random_casebook(3), (), now=NOW)
    place = root.casebook_path(4) / name
    place.unlink() if content is None else place.write_bytes(content)
    with pytest.raises(BadInputError, match=reason) as refused:
        open_casebook(root.casebook_path(4), PIN)
    assert "\n" not in str(refused.value)


def test_a_casebook_of_another_pin_is_refused(tmp_path: Path) -> None:
    root = ReleasesRoot(tmp_path)
    publish_casebook(root, PIN, random_casebook(3), (), now=NOW)
    with pytest.raises(BadInputError, match=r"must be for Pin\(release_version=2, casebook_version=4\)"):
        open_casebook(root.casebook_path(4), Pin(release_version=2, casebook_version=4))


def test_what_is_not_a_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is not a release"):
        open_release(tmp_path)
    (tmp_path / "release.json").write_text("{}")
    with pytest.raises(BadInputError, match=r"release\.json: version: Field required"):
        open_release(tmp_path)


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_folder(tmp_path / "a") as draft:
        (draft / "student.onnx").write_bytes(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_pointer_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "pointer.json").mkdir()
    with pytest.raises(BadInputError, match=r"pointer\.json: Is a directory"):
        ReleasesRoot(tmp_path).read_pointer()


def test_a_root_without_pointer_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="promote a release first"):
        ReleasesRoot(tmp_path).read_pointer()
