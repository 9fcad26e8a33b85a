"""Releases are immutable, verified, and named by one pointer."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from policy.releases import new_folder, promote, write_manifest
from serving.releases import DIGESTED, ReleasesRoot, open_release
from tests.policy.test_decide import RELEASE

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def make_release(path: Path, *, version: int = 1, content: bytes = b"model") -> Path:
    with new_folder(path) as draft:
        for name in DIGESTED:
            (draft / name).write_bytes(content + name.encode())
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
    pointer = promote(root, make_release(tmp_path / "b", version=2), now=NOW)
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


def test_another_release_under_a_taken_version_is_refused(tmp_path: Path) -> None:
    root = ReleasesRoot(tmp_path / "root")
    promote(root, make_release(tmp_path / "a"), now=NOW)
    with pytest.raises(BadInputError, match="version 1 is taken"):
        promote(root, make_release(tmp_path / "b", content=b"other"), now=NOW)


@pytest.mark.parametrize("name", DIGESTED)
def test_a_changed_or_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    release = make_release(tmp_path / "a")
    (release / name).write_bytes(b"tampered")
    with pytest.raises(BadInputError, match=rf"{name}: digest is sha256:"):
        open_release(release)
    (release / name).unlink()
    with pytest.raises(BadInputError, match=f"{name}: is missing"):
        open_release(release)


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


def test_a_root_without_pointer_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="promote a release first"):
        ReleasesRoot(tmp_path).read_pointer()
