"""Trained policy in, serving policy out: write a release folder, promote it, move the pointer.

Folders are immutable: they are written beside their place and renamed into it, and a version that exists
is never written again. The pointer is replaced by one atomic rename.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from contracts.errors import BadInputError
from contracts.releases import Pin, PointerMove, PublishedCasebook, Release, ReleasePointer, Seat
from policy.casebook import Evidence, leaves_of, write_leaves, write_precedents
from policy.gate.results import read_gate_result, refuse_ungated, write_gate_result
from policy.moves import live_before, read_history, remember
from serving.casebook import Casebook, write_casebook
from serving.releases import (
    CASEBOOK,
    CASEBOOK_MANIFEST,
    LEAVES,
    MANIFEST,
    PRECEDENTS,
    ReleaseFolder,
    ReleasesRoot,
    check_models,
    digest_of,
    open_release,
)


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


def drop_folder(path: Path) -> None:
    """Take a folder out of sight by one rename, then from the disk."""
    gone = path.with_name(f".{path.name}.gone")
    path.rename(gone)
    shutil.rmtree(gone)


def write_manifest(folder: Path, make_release: Callable[[dict[str, str]], Release]) -> Release:
    """Digest the folder's files, make the release from the digests and write its manifest."""
    release = make_release(_digests_in(folder))
    (folder / MANIFEST).write_text(release.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return release


def publish_casebook(
    root: ReleasesRoot, pin: Pin, casebook: Casebook, precedents: Sequence[Evidence], *, now: datetime
) -> PublishedCasebook:
    """Write a casebook between releases, embedded by the student of the pin's release; the pointer does not move."""
    manifest = PublishedCasebook(
        version=pin.casebook_version,
        release_version=pin.release_version,
        created_at=now,
        n_precedents=len(casebook),
        digests={},
    )
    leaves = leaves_of(one.case for one in precedents)
    return write_published(root.casebook_path(pin.casebook_version), manifest, casebook, precedents, leaves=leaves)


def write_published(
    home: Path,
    manifest: PublishedCasebook,
    casebook: Casebook,
    news: Sequence[Evidence],
    *,
    leaves: Mapping[str, str],
    beside: Mapping[str, str] | None = None,
) -> PublishedCasebook:
    """Write the folder of a casebook and return its manifest with the files' digests.

    `news` are kept with their inputs; those of the release's own precedents lie in the release. `leaves` are those of
    all that speak, by case id. `beside` are texts by file name that lie in the folder too, without a digest.
    """
    with new_folder(home) as draft:
        write_casebook(casebook, draft / CASEBOOK)
        write_precedents(news, draft / PRECEDENTS)
        write_leaves(leaves, draft / LEAVES)
        published = manifest.model_copy(update={"digests": _digests_in(draft)})
        (draft / CASEBOOK_MANIFEST).write_text(published.model_dump_json(indent=2) + "\n", encoding="utf-8")
        for name, text in (beside or {}).items():
            (draft / name).write_text(text, encoding="utf-8")
    return published


def _digests_in(folder: Path) -> dict[str, str]:
    """The digest of each file of a draft, which has no manifest yet."""
    return {file.name: digest_of(file) for file in sorted(folder.iterdir())}


@contextmanager
def turn_at(root: ReleasesRoot, name: str = "pointer") -> Iterator[None]:
    """Wait for this root's turn: who reads the pointer to move it holds it, so that no move is lost between processes.

    Not to be taken twice by one; the turn of a process that is killed ends with it.
    """
    root.path.mkdir(parents=True, exist_ok=True)
    with (root.path / f".{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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


def promote(
    root: ReleasesRoot,
    path: Path,
    *,
    now: datetime,
    seat: Seat = "live",
    share: float = 0.0,
    without_gate: str | None = None,
    moved_by: str | None = None,
) -> ReleasePointer:
    """Give the release at `path` a seat: verify, ask the gate's result, admit, move the pointer.

    A new live release remembers the pin before it and ends the seats of candidates, which were compared with that
    one. A canary or a shadow leaves the live release where it is; `share` is that of the videos, in [0, 1], of which
    a canary decides. Who has a seat already keeps the casebook that was published for it. Canary and live need a
    passed gate against the live release, but for the first of a root, or a reason why not, which history keeps.

    Raises `BadInputError` where the release is damaged or nothing is live beside which to stand, `CheckFailedError`
    where the gate did not let this release pass, or it was halted.
    """
    if share and seat != "canary":
        raise BadInputError(f"share == {share}, must be 0 for a release that becomes {seat}")
    if without_gate is not None and not without_gate.strip():
        raise BadInputError("without_gate is empty, must say why the release needs no gate")
    folder = open_release(path)
    check_models(folder)
    with turn_at(root):
        before = root.read_pointer() if root.pointer_path.exists() else None
        if before is None and seat != "live":
            raise BadInputError(f"{root.path}: nothing is live, a {seat} needs a live release beside it")
        if before is not None and seat != "shadow" and without_gate is None:
            refuse_ungated(root, folder, before.live, read_history(root))
        folder = admit(root, folder)
        pin = _newest_pin(folder, before)
        if seat == "live" or before is None:
            again = before is not None and before.live.release_version == pin.release_version
            previous = None if before is None else before.previous if again else before.live
            pointer = ReleasePointer(live=pin, updated_at=now, previous=previous)
        else:
            others = {"canary_share": share} if seat == "canary" else {}
            pointer = before.model_copy(update={seat: pin, "updated_at": now, **others})
            if pointer.shadow == pin and seat == "canary":
                pointer = pointer.model_copy(update={"shadow": None})
        write_pointer(root, pointer)
        move = PointerMove(
            moved_at=now,
            move="promote",
            seat=seat,
            pin=pin,
            live_before=None if before is None else before.live,
            moved_by=moved_by,
            reason="" if without_gate is None else f"without gate: {without_gate}",
        )
        remember(root, move)
    return pointer


def _newest_pin(folder: ReleaseFolder, pointer: ReleasePointer | None) -> Pin:
    """The pin of a release with the casebook that it serves with in some seat: precedents published since stay."""
    seats = () if pointer is None else (pointer.live, pointer.canary, pointer.shadow)
    return next((p for p in seats if p is not None and p.release_version == folder.release.version), folder.pin)


def halt(
    root: ReleasesRoot, release_version: int, *, now: datetime, reason: str, moved_by: str | None = None
) -> ReleasePointer:
    """Take the seat of a canary or shadow away, so that the live release decides of all videos, at once.

    What the gate said of it becomes a refusal, so that it is not promoted again. Raises `BadInputError` where the
    release is not the candidate.
    """
    with turn_at(root):
        before = root.read_pointer()
        pin = before.candidate
        if pin is None or pin.release_version != release_version:
            raise BadInputError(f"{root.pointer_path}: release {release_version} is neither canary nor shadow")
        seat: Seat = "canary" if pin == before.canary else "shadow"
        gate = read_gate_result(root, pin.release_version)
        if gate is not None:
            refusals = (*gate.refusals, f"halted as {seat} on {now:%Y-%m-%d %H:%M}: {reason}")
            write_gate_result(root, gate.model_copy(update={"passed": False, "refusals": refusals}))
        gone = {"canary": None, "canary_share": 0.0} if seat == "canary" else {"shadow": None}
        pointer = before.model_copy(update={**gone, "updated_at": now})
        write_pointer(root, pointer)
        remember(
            root,
            PointerMove(
                moved_at=now,
                move="halt",
                seat=seat,
                pin=pin,
                live_before=before.live,
                moved_by=moved_by,
                reason=reason[:2_000],
            ),
        )
    return pointer


def rollback(root: ReleasesRoot, *, now: datetime, moved_by: str | None = None, reason: str = "") -> ReleasePointer:
    """Make the pin before the live one live again, verified first; ends the seats of candidates.

    Rolled back once more, the pin before that one is live: what was rolled back from does not come back by itself.
    Raises `BadInputError` where nothing was live before, or what was is gone or damaged.
    """
    with turn_at(root):
        before = root.read_pointer()
        if before.previous is None:
            raise BadInputError(
                f"{root.pointer_path}: previous == None, nothing was live before release {before.live.release_version}"
            )
        root.open_pin(before.previous)
        earlier = live_before(before.previous, read_history(root))
        pointer = ReleasePointer(live=before.previous, updated_at=now, previous=earlier)
        write_pointer(root, pointer)
        remember(
            root,
            PointerMove(
                moved_at=now,
                move="rollback",
                seat="live",
                pin=pointer.live,
                live_before=before.live,
                moved_by=moved_by,
                reason=reason,
            ),
        )
    return pointer
