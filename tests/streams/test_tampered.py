"""One byte of a release is changed after it was made: nobody loads it, each says which file, and the old one stays."""

import asyncio
import json
import logging
from pathlib import Path

import pytest

from bench.stand_in import point_to, publish_casebook, random_casebook, random_inputs, write_release
from contracts.errors import BadInputError
from contracts.releases import Pin
from serving.in_process import InProcessScorer
from serving.releases import LEAVES, ReleasesRoot, digest_of, open_release
from serving.triton.follow import PointerFollower
from serving.triton.repository import ModelRepository, model_names
from streams.worker.follower import ReleaseFollower
from tests.serving.test_triton_follow import RememberedControl

OLD, NEW = Pin(release_version=1, casebook_version=1), Pin(release_version=2, casebook_version=2)
LATER = Pin(release_version=1, casebook_version=3)
PLACES = {
    "releases/2/student.onnx": NEW,
    "releases/2/casebook.onnx": NEW,
    "releases/2/casebook.parquet": NEW,
    "casebooks/3/casebook.onnx": LATER,
    "casebooks/3/casebook.parquet": LATER,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Release 1, which serves, release 2 and a casebook that was published later."""
    root = tmp_path / "root"
    for version in (1, 2):
        write_release(root, version, random_casebook(10))
    publish_casebook(root, 3, random_casebook(10))
    (root / "releases/2/casebook.parquet").write_bytes(b"the precedents")
    named(root / "releases/2", "casebook.parquet")
    point_to(root, OLD)
    return root


def named(folder: Path, name: str, manifest: str = "release.json", digest: str | None = None) -> None:
    """Write a digest into a folder's manifest, that of the file where none is given."""
    fields = json.loads((folder / manifest).read_text())
    fields["digests"][name] = digest or digest_of(folder / name)
    (folder / manifest).write_text(json.dumps(fields))


def flip(file: Path) -> str:
    """Flip one bit in the middle; returns the digests that were and are, as they must be named."""
    was, data = digest_of(file), bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    return f"{file}: digest is {digest_of(file)}, must be {was}"


@pytest.mark.parametrize("place", PLACES)
def test_triton_is_given_none_of_it_and_goes_on_with_the_old_release(root: Path, tmp_path: Path, place: str) -> None:
    control = RememberedControl()
    follower = PointerFollower(ReleasesRoot(root), ModelRepository(tmp_path / "models"), control, retry_s=0.0)
    follower.step()
    complaint = flip(root / place)
    point_to(root, PLACES[place])
    follower.step()
    assert follower.served == {OLD}
    assert follower.broken == {PLACES[place]: complaint}
    assert set(control.loaded) == set(model_names(OLD))
    assert not set(model_names(PLACES[place])) - set(model_names(OLD)) & follower.repository.models()


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_that_scores_by_itself_judges_by_the_old_release_on(
    root: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps() -> None:
        scorer = InProcessScorer(root)
        follower = ReleaseFollower(ReleasesRoot(root), scorer)
        await follower.look()
        complaint = flip(root / place)
        point_to(root, PLACES[place])
        for _ in range(3):
            await follower.look()
        assert follower.policy is not None
        assert follower.policy.pin == OLD
        assert complaint in caplog.messages
        with pytest.raises(BadInputError) as refused:
            await scorer.score(random_inputs(1), PLACES[place])
        assert str(refused.value) == complaint
        assert len(await scorer.score(random_inputs(1), OLD)) == 1
        await scorer.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(steps())


def test_a_model_that_was_changed_in_tritons_own_folder_is_written_anew_before_it_is_loaded(
    root: Path, tmp_path: Path
) -> None:
    def follower(control: RememberedControl) -> PointerFollower:
        return PointerFollower(ReleasesRoot(root), ModelRepository(tmp_path / "models"), control)

    follower(RememberedControl()).step()
    student, casebook, _ = model_names(OLD)
    for name in (student, casebook):
        place = tmp_path / "models" / name / "1" / "model.onnx"
        data = place.read_bytes()
        place.unlink()  # as on another file system: a copy, no link to the release's file
        place.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    control = RememberedControl()
    again = follower(control)
    again.step()
    assert again.served == {OLD}
    for name, file in ((student, "student.onnx"), (casebook, "casebook.onnx")):
        assert (tmp_path / "models" / name / "1" / "model.onnx").read_bytes() == (
            root / "releases/1" / file
        ).read_bytes()


@pytest.mark.parametrize("name", ["../1/student.onnx", "/etc/passwd", "a/b", ".", "..", "", "a\0b", "C:\\x", "x" * 300])
def test_a_manifest_that_names_a_file_elsewhere_is_refused(root: Path, name: str) -> None:
    folder = root / "releases/2"
    named(folder, name, digest="sha256:" + "0" * 64)
    with pytest.raises(BadInputError, match=r"must be a file of the folder|is missing"):
        open_release(folder)


def test_tensors_beside_a_model_that_no_digest_vouches_for_are_refused(root: Path) -> None:
    (root / "releases/2/casebook.onnx.data").write_bytes(b"other embeddings")
    with pytest.raises(BadInputError, match=r"casebook\.onnx\.data: is a part of casebook\.onnx, and"):
        open_release(root / "releases/2")


def test_leaves_that_are_not_those_that_were_published_are_not_read(root: Path) -> None:
    folder = root / "releases/2"
    (folder / LEAVES).write_text('{"case-1": "a~leaf"}')
    with pytest.raises(BadInputError, match=r"leaves\.json: digest is sha256:[0-9a-f]{64}, must be none"):
        ReleasesRoot(root).leaves_of(NEW)
    (folder / LEAVES).write_text('{"case-1": "leaf"}')
    named(folder, LEAVES)
    assert ReleasesRoot(root).leaves_of(NEW) == {"case-1": "leaf"}
    flip(folder / LEAVES)
    with pytest.raises(BadInputError, match=r"leaves\.json: digest is"):
        ReleasesRoot(root).leaves_of(NEW)
