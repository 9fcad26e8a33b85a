"""Trained policy in, serving policy out: write a release folder, promote it, move the pointer.

Folders are immutable: they are written beside their place and renamed into it, and a version that exists
is never written again. The pointer is replaced by one atomic rename.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from contracts.errors import BadInputError
from contracts.releases import Pin, PublishedCasebook, Release, ReleasePointer
from policy.casebook import Evidence, write_precedents
from serving.casebook import Casebook, write_casebook
from serving.releases import (
    CASEBOOK,
    CASEBOOK_MANIFEST,
    MANIFEST,
    PRECEDENTS,
    ReleaseFolder,
    ReleasesRoot,
    check_models,
    digest_of,
    open_release,
)

Seat = Literal["live", "canary", "shadow"]
"""What a release does: its decisions are in force, or stand beside those of the live one in each verdict."""


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` that becomes `path` at the end, or vanishes on an error."""
    if path.exists():
        raise BadInputError(f"{path}: exists, a release is never written again")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield draft
        draft.chmod(0o755)
        draft.rename(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def write_manifest(folder: Path, make_release: Callable[[dict[str, str]], Release]) -> Release:
    """Digest the folder's files, make the release from the digests and write its manifest."""
    release = make_release(_digests_in(folder))
    (folder / MANIFEST).write_text(release.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return release


def publish_casebook(
    root: ReleasesRoot, pin: Pin, casebook: Casebook, precedents: Sequence[Evidence], *, now: datetime
) -> PublishedCasebook:
    """Write a casebook between releases, embedded by the student of the pin's release; the pointer does not move."""
    with new_folder(root.casebook_path(pin.casebook_version)) as draft:
        write_casebook(casebook, draft / CASEBOOK)
        write_precedents(precedents, draft / PRECEDENTS)
        published = PublishedCasebook(
            version=pin.casebook_version,
            release_version=pin.release_version,
            created_at=now,
            n_precedents=len(casebook),
            digests=_digests_in(draft),
        )
        (draft / CASEBOOK_MANIFEST).write_text(published.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return published


def _digests_in(folder: Path) -> dict[str, str]:
    """The digest of each file of a draft, which has no manifest yet."""
    return {file.name: digest_of(file) for file in sorted(folder.iterdir())}


def write_pointer(root: ReleasesRoot, pointer: ReleasePointer) -> None:
    """Replace the pointer by an atomic rename; readers see the old one or the new one, never a part."""
    root.path.mkdir(parents=True, exist_ok=True)
    draft = root.path / f".pointer.{os.getpid()}"
    draft.write_text(pointer.model_dump_json(indent=2) + "\n", encoding="utf-8")
    with draft.open("rb") as stream:
        os.fsync(stream.fileno())
    draft.replace(root.pointer_path)


def admit(root: ReleasesRoot, folder: ReleaseFolder) -> ReleaseFolder:
    """Copy a verified release into the root under its version; the same release again is no change."""
    home = root.release_path(folder.release.version)
    if home.exists():
        present = open_release(home)
        if present.release != folder.release:
            raise BadInputError(
                f"{folder.path}: version {folder.release.version} is taken in {root.path} by another release"
            )
        return present
    with new_folder(home) as draft:
        shutil.copytree(folder.path, draft, dirs_exist_ok=True)
    return ReleaseFolder(home, folder.release)


def promote(root: ReleasesRoot, path: Path, *, now: datetime, seat: Seat = "live") -> ReleasePointer:
    """Give the release at `path` a seat: verify, admit, move the pointer.

    A new live release remembers the pin before it and ends the seats of candidates, which were compared with that
    one. A canary or a shadow leaves the live release where it is; raises `BadInputError` where nothing is live.
    """
    folder = open_release(path)
    check_models(folder)
    before = root.read_pointer() if root.pointer_path.exists() else None
    if seat != "live" and before is None:
        raise BadInputError(f"{root.path}: nothing is live, a {seat} needs a live release beside it")
    folder = admit(root, folder)
    if seat == "live" or before is None:
        previous = before.live if before is not None and before.live != folder.pin else None
        pointer = ReleasePointer(live=folder.pin, updated_at=now, previous=previous)
    else:
        pointer = before.model_copy(update={seat: folder.pin, "updated_at": now})
    write_pointer(root, pointer)
    return pointer
