"""Release folder in, models and thresholds out: where a releases root keeps what, read and verified.

ROOT/pointer.json                      which pins serve (contract `ReleasePointer`)
ROOT/history.jsonl                     each move of the pointer, a line (contract `PointerMove`), never rewritten
ROOT/pruned.jsonl                      each casebook that was deleted since, a line (contract `PrunedCasebook`)
ROOT/gates/<version>.json              what the gate said of that candidate (contract `GateResult`)
ROOT/releases/<version>/               release.json, student.onnx, casebook.parquet, casebook.onnx, taught.parquet
ROOT/casebooks/<version>/              a casebook published between releases: casebook.json, .parquet, .onnx
    leaves.json                        in either, where any precedent has one: the leaf of each that has, by case id

Each folder has a manifest with the digests of its files; what does not match is not loaded.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.lines import read_lines
from contracts.records import Id, LeafId, Record
from contracts.releases import Pin, PrunedCasebook, PublishedCasebook, Release, ReleasePointer
from contracts.taxonomy import TAXONOMY_VERSION

R = TypeVar("R", bound=Record)

POINTER = "pointer.json"
HISTORY = "history.jsonl"
PRUNED = "pruned.jsonl"
MANIFEST = "release.json"
STUDENT = "student.onnx"
CASEBOOK = "casebook.onnx"
PRECEDENTS = "casebook.parquet"
TAUGHT = "taught.parquet"
LEAVES = "leaves.json"
MODEL_DATA = ".data"
"""What the file beside a model adds to its name, where its tensors are too large for one."""
WEIGHTS = "weights.npz"
"""What the next training begins from; serving needs it not."""
DIGESTED = (STUDENT, CASEBOOK, PRECEDENTS)
"""What serving needs of every release; the manifest names, too, whatever else lies in its folder."""
CASEBOOK_MANIFEST = "casebook.json"
CASEBOOK_DIGESTED = (CASEBOOK, PRECEDENTS)
"""What every casebook published between releases has."""


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
    def taught(self) -> Path:
        return self.path / TAUGHT

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
    if not (path / MANIFEST).is_file():
        raise BadInputError(f"{path}: is not a release, it has no {MANIFEST}")
    release = read_manifest(path / MANIFEST, Release)
    if release.taxonomy_version != TAXONOMY_VERSION:
        found = release.taxonomy_version
        raise BadInputError(f"{path / MANIFEST}: taxonomy_version == {found!r}, must be {TAXONOMY_VERSION!r}")
    _check_files(path / MANIFEST, release.digests, DIGESTED, verify=verify)
    return ReleaseFolder(path, release)


def open_casebook(path: Path, pin: Pin) -> PublishedCasebook:
    """Read the folder of a casebook published between releases, every file verified as in `open_release`.

    Raises `BadInputError`, also when it is not the casebook that `pin` names.
    """
    if not (path / CASEBOOK_MANIFEST).is_file():
        raise BadInputError(f"{path}: is not a published casebook, it has no {CASEBOOK_MANIFEST}")
    casebook = read_manifest(path / CASEBOOK_MANIFEST, PublishedCasebook)
    if casebook.pin != pin:
        raise BadInputError(f"{path / CASEBOOK_MANIFEST}: is for {casebook.pin!r}, must be for {pin!r}")
    _check_files(path / CASEBOOK_MANIFEST, casebook.digests, CASEBOOK_DIGESTED, verify=True)
    return casebook


def check_models(folder: ReleaseFolder) -> None:
    """Raise `BadInputError` unless the two model files are ONNX and fit together: nobody could serve them."""
    from serving.triton.configs import check_pair, read_signature

    try:
        check_pair(read_signature(folder.student), read_signature(folder.casebook))
    except BadInputError as error:
        raise BadInputError(f"{folder.path}: cannot be served: {error}") from error


def read_leaves(home: Path) -> dict[str, str]:
    """The leaf of each precedent that has one, by case id: of a release's or a published casebook's folder.

    Small and read at once by whoever follows the pointer, so that a verdict's leaf is one look-up. Raises
    `BadInputError` where the file is not what it should be.
    """
    try:
        leaves: dict[str, str] = TypeAdapter(dict[Id, LeafId]).validate_json((home / LEAVES).read_bytes())
    except FileNotFoundError:
        return {}
    except (ValidationError, OSError) as error:
        raise BadInputError(f"{home / LEAVES}: {_reason(error)}") from error
    return leaves


def read_manifest(manifest: Path, contract: type[R]) -> R:
    """Read one record of a folder; raises `BadInputError` naming file and rule."""
    try:
        return contract.model_validate_json(manifest.read_bytes())
    except (ValidationError, OSError) as error:
        raise BadInputError(f"{manifest}: {_reason(error)}") from error


def _reason(error: ValidationError | OSError) -> str:
    return first_reason(error) if isinstance(error, ValidationError) else str(error.strerror)


def _check_files(manifest: Path, digests: Mapping[str, str], required: Iterable[str], *, verify: bool) -> None:
    """Every required file is named, every named file is there, and with `verify` what its digest says."""
    folder = manifest.parent
    if absent := [name for name in required if name not in digests]:
        raise BadInputError(f"{manifest}: digests lack {absent[0]!r}, must name {', '.join(required)}")
    for name, digest in digests.items():
        if name != Path(name).name:
            raise BadInputError(f"{manifest}: digests name {name!r}, must be a file of the folder")
        if not _is_file(folder / name):
            raise BadInputError(f"{folder / name}: is missing, {manifest.name} names it")
        data = name + MODEL_DATA
        if name.endswith(".onnx") and data not in digests and (folder / data).exists():
            raise BadInputError(f"{folder / data}: is a part of {name}, and {manifest.name} has no digest of it")
        if verify:
            _check_digest(folder / name, digest)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file system takes
        return False


def _check_digest(file: Path, digest: str) -> None:
    if (found := digest_of(file)) != digest:
        raise BadInputError(f"{file}: digest is {found}, must be {digest}")


@dataclass(frozen=True, slots=True)
class ReleasesRoot:
    """The folder that holds every release, every later casebook and the pointer."""

    path: Path

    @property
    def pointer_path(self) -> Path:
        return self.path / POINTER

    @property
    def history_path(self) -> Path:
        return self.path / HISTORY

    @property
    def pruned_path(self) -> Path:
        return self.path / PRUNED

    def gate_path(self, version: int) -> Path:
        return self.path / "gates" / f"{version}.json"

    def release_path(self, version: int) -> Path:
        return self.path / "releases" / str(version)

    def casebook_path(self, version: int) -> Path:
        return self.path / "casebooks" / str(version)

    def open(self, version: int, *, verify: bool = True) -> ReleaseFolder:
        """Open a release of this root by its version."""
        return open_release(self.release_path(version), verify=verify)

    def open_pin(self, pin: Pin) -> tuple[ReleaseFolder, Path]:
        """The release of a pin and its casebook model, both verified: the release's own, or one published later.

        Raises `BadInputError`, which says so where the casebook was pruned.
        """
        folder = self.open(pin.release_version)
        if pin == folder.pin:
            return folder, folder.casebook
        home = self.casebook_path(pin.casebook_version)
        if not home.exists() and (gone := self.pruned().get(pin.casebook_version)) is not None:
            by = "" if gone.pruned_by is None else f" by {gone.pruned_by}"
            raise BadInputError(
                f"{home}: was pruned on {gone.pruned_at:%Y-%m-%d}{by}, {pin!r} cannot serve any more; "
                f"{folder.path} serves with its own casebook once it is promoted"
            )
        open_casebook(home, pin)
        return folder, home / CASEBOOK

    def leaves_of(self, pin: Pin) -> dict[str, str]:
        """The leaf of each precedent of a pin's casebook that has one, by case id; raises `BadInputError`."""
        own = self.release_path(pin.release_version)
        later = self.casebook_path(pin.casebook_version)
        home, manifest = (later, CASEBOOK_MANIFEST) if later.is_dir() else (own, MANIFEST)
        if (home / LEAVES).exists():
            digests = (
                read_manifest(home / manifest, PublishedCasebook).digests
                if home == later
                else read_manifest(home / manifest, Release).digests
            )
            _check_digest(home / LEAVES, digests.get(LEAVES, "none"))
        return read_leaves(home)

    def pruned(self) -> dict[int, PrunedCasebook]:
        """What was pruned of the published casebooks, by version."""
        if not self.pruned_path.exists():
            return {}
        return {one.version: one for one in read_lines(self.pruned_path, PrunedCasebook)}

    def student_of(self, pin: Pin) -> Path:
        return self.release_path(pin.release_version) / STUDENT

    def read_pointer(self) -> ReleasePointer:
        """Read which pins serve; raises `BadInputError` when there is no pointer or it breaks its contract."""
        try:
            return ReleasePointer.model_validate_json(self.pointer_path.read_bytes())
        except FileNotFoundError:
            raise BadInputError(f"{self.pointer_path}: is missing, promote a release first") from None
        except (ValidationError, OSError) as error:
            raise BadInputError(f"{self.pointer_path}: {_reason(error)}") from error
