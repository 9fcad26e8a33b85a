"""Release folder in, models and thresholds out: where a releases root keeps what, read and verified.

ROOT/pointer.json                      which pins serve (contract `ReleasePointer`)
ROOT/releases/<version>/               release.json, student.onnx, casebook.parquet, casebook.onnx
ROOT/casebooks/<version>/              a casebook published between releases: casebook.parquet, casebook.onnx
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.releases import Pin, Release, ReleasePointer

POINTER = "pointer.json"
MANIFEST = "release.json"
STUDENT = "student.onnx"
CASEBOOK = "casebook.onnx"
PRECEDENTS = "casebook.parquet"
DIGESTED = (STUDENT, CASEBOOK, PRECEDENTS)
"""What every release has; a large casebook keeps its matrix in one file more, which the manifest names too."""


@dataclass(frozen=True, slots=True)
class ReleaseFolder:
    """A release as it lies on disk: its manifest and the folder that the manifest's digests speak of."""

    path: Path
    release: Release

    @property
    def student(self) -> Path:
        return self.path / STUDENT

    @property
    def casebook(self) -> Path:
        return self.path / CASEBOOK

    @property
    def precedents(self) -> Path:
        return self.path / PRECEDENTS

    @property
    def pin(self) -> Pin:
        """The pin of the release with the casebook it was trained with."""
        return Pin(release_version=self.release.version, casebook_version=self.release.casebook_version)


def digest_of(path: Path) -> str:
    """`sha256:` and the hex digest of a file."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def open_release(path: Path, *, verify: bool = True) -> ReleaseFolder:
    """Read a release folder; with `verify`, every file must match the manifest's digest.

    Raises `BadInputError` naming the folder, the file and the rule.
    """
    manifest = path / MANIFEST
    if not manifest.is_file():
        raise BadInputError(f"{path}: is not a release, it has no {MANIFEST}")
    try:
        release = Release.model_validate_json(manifest.read_bytes())
    except ValidationError as error:
        raise BadInputError(f"{manifest}: {first_reason(error)}") from error
    if absent := [name for name in DIGESTED if name not in release.digests]:
        raise BadInputError(f"{manifest}: digests lack {absent[0]!r}, must name {', '.join(DIGESTED)}")
    for name in release.digests:
        if name != Path(name).name:
            raise BadInputError(f"{manifest}: digests name {name!r}, must be a file of the folder")
        if not (path / name).is_file():
            raise BadInputError(f"{path / name}: is missing, {MANIFEST} names it")
        if verify and (found := digest_of(path / name)) != release.digests[name]:
            raise BadInputError(f"{path / name}: digest is {found}, must be {release.digests[name]}")
    return ReleaseFolder(path, release)


@dataclass(frozen=True, slots=True)
class ReleasesRoot:
    """The folder that holds every release, every later casebook and the pointer."""

    path: Path

    @property
    def pointer_path(self) -> Path:
        return self.path / POINTER

    def release_path(self, version: int) -> Path:
        return self.path / "releases" / str(version)

    def casebook_path(self, version: int) -> Path:
        return self.path / "casebooks" / str(version)

    def open(self, version: int, *, verify: bool = True) -> ReleaseFolder:
        """Open a release of this root by its version."""
        return open_release(self.release_path(version), verify=verify)

    def casebook_of(self, pin: Pin) -> Path:
        """The casebook model of a pin: published on its own, or the release's first one."""
        published = self.casebook_path(pin.casebook_version) / CASEBOOK
        return published if published.is_file() else self.release_path(pin.release_version) / CASEBOOK

    def student_of(self, pin: Pin) -> Path:
        return self.release_path(pin.release_version) / STUDENT

    def read_pointer(self) -> ReleasePointer:
        """Read which pins serve; raises `BadInputError` when there is no pointer or it breaks its contract."""
        try:
            return ReleasePointer.model_validate_json(self.pointer_path.read_bytes())
        except FileNotFoundError:
            raise BadInputError(f"{self.pointer_path}: is missing, promote a release first") from None
        except ValidationError as error:
            raise BadInputError(f"{self.pointer_path}: {first_reason(error)}") from error
