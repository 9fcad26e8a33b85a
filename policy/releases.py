"""Trained policy in, serving policy out: write a release folder, promote it, move the pointer.

Folders are immutable: they are written beside their place and renamed into it, and a version that exists
is never written again. The pointer is replaced by one atomic rename.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.releases import GateResult, Pin, PointerMove, PublishedCasebook, Release, ReleasePointer, Seat
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
    manifest = PublishedCasebook(
        version=pin.casebook_version,
        release_version=pin.release_version,
        created_at=now,
        n_precedents=len(casebook),
        digests={},
    )
    return write_published(root.casebook_path(pin.casebook_version), manifest, casebook, precedents)


def write_published(
    home: Path, manifest: PublishedCasebook, casebook: Casebook, news: Sequence[Evidence]
) -> PublishedCasebook:
    """Write the folder of a casebook and return its manifest with the files' digests.

    `news` are kept with their inputs; those of the release's own precedents lie in the release.
    """
    with new_folder(home) as draft:
        write_casebook(casebook, draft / CASEBOOK)
        write_precedents(news, draft / PRECEDENTS)
        published = manifest.model_copy(update={"digests": _digests_in(draft)})
        (draft / CASEBOOK_MANIFEST).write_text(published.model_dump_json(indent=2) + "\n", encoding="utf-8")
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


def promote(root: ReleasesRoot, path: Path, *, now: datetime, seat: Seat = "live") -> ReleasePointer:
    """Give the release at `path` a seat: verify, admit, move the pointer.

    A new live release remembers the pin before it and ends the seats of candidates, which were compared with that
    one. A canary or a shadow leaves the live release where it is; raises `BadInputError` where nothing is live. A release
    that has a seat already keeps the casebook that it serves with there.
    """
    folder = open_release(path)
    check_models(folder)
    with turn_at(root):
        before = root.read_pointer() if root.pointer_path.exists() else None
        if seat != "live" and before is None:
            raise BadInputError(f"{root.path}: nothing is live, a {seat} needs a live release beside it")
        pin = _newest_pin(admit(root, folder), before)
        if seat == "live" or before is None:
            again = before is not None and before.live.release_version == pin.release_version
            previous = None if before is None else before.previous if again else before.live
            pointer = ReleasePointer(live=pin, updated_at=now, previous=previous)
        else:
            pointer = before.model_copy(update={seat: pin, "updated_at": now})
        write_pointer(root, pointer)
        live_before = None if before is None else before.live
        remember(root, PointerMove(moved_at=now, move="promote", seat=seat, pin=pin, live_before=live_before))
    return pointer


def _newest_pin(folder: ReleaseFolder, pointer: ReleasePointer | None) -> Pin:
    """The pin of a release with the casebook that it serves with in some seat: precedents published since stay."""
    seats = () if pointer is None else (pointer.live, pointer.canary, pointer.shadow)
    return next((p for p in seats if p is not None and p.release_version == folder.release.version), folder.pin)


def rollback(root: ReleasesRoot, *, now: datetime) -> ReleasePointer:
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
        earlier = _live_before(before.previous, read_history(root))
        pointer = ReleasePointer(live=before.previous, updated_at=now, previous=earlier)
        write_pointer(root, pointer)
        moved = PointerMove(moved_at=now, move="rollback", seat="live", pin=pointer.live, live_before=before.live)
        remember(root, moved)
    return pointer


def read_history(root: ReleasesRoot) -> list[PointerMove]:
    """Every move of the pointer, oldest first; none where nothing was promoted. Raises `BadInputError` by line."""
    if not root.history_path.exists():
        return []
    moves = []
    for number, line in enumerate(root.history_path.read_bytes().splitlines(), start=1):
        try:
            moves.append(PointerMove.model_validate_json(line))
        except ValidationError as error:
            raise BadInputError(f"{root.history_path}:{number}: {first_reason(error)}") from error
    return moves


def history_lines(root: ReleasesRoot) -> list[str]:
    """The releases of a root with their lineage and what the gate said, then the pointer's moves, oldest first."""
    lines = []
    homes = (home for home in root.path.glob("releases/*") if home.name.isdigit())
    for home in sorted(homes, key=lambda home: int(home.name)):
        release = open_release(home, verify=False).release
        gate = read_gate_result(root, release.version)
        said = "not gated" if gate is None else "passed the gate" if gate.passed else f"refused: {gate.refusals[0]}"
        parent = "the first" if release.parent is None else f"after {release.parent}"
        lines.append(f"release {release.version}  {parent}, {release.created_at:%Y-%m-%d %H:%M}, {said}")
    for move in read_history(root):
        came = "" if move.live_before is None else f", before it release {move.live_before.release_version} was live"
        pin = f"release {move.pin.release_version} casebook {move.pin.casebook_version}"
        lines.append(f"{move.moved_at:%Y-%m-%d %H:%M:%S}  {move.move} {pin} as {move.seat}{came}")
    return lines


def read_gate_result(root: ReleasesRoot, version: int) -> GateResult | None:
    """What the gate said last of the release of this root, or None; what it said of another is not told."""
    path, manifest = root.gate_path(version), root.release_path(version) / MANIFEST
    if not path.exists():
        return None
    try:
        result = GateResult.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadInputError(f"{path}: {first_reason(error)}") from error
    return result if result.candidate == digest_of(manifest) else None


def write_gate_result(root: ReleasesRoot, result: GateResult) -> Path | None:
    """Keep what the gate said beside the releases, by the candidate's version; None where it has none to read."""
    if result.candidate_version is None:
        return None
    path = root.gate_path(result.candidate_version)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def remember(root: ReleasesRoot, move: PointerMove) -> None:
    """Add a line to the history of a root; the caller has its turn at the pointer."""
    with root.history_path.open("a", encoding="utf-8") as history:
        history.write(move.model_dump_json() + "\n")
        history.flush()
        os.fsync(history.fileno())


def _live_before(pin: Pin, moves: Sequence[PointerMove]) -> Pin | None:
    """What was live when the release of `pin` was last promoted in the place of another, with whatever casebook."""
    version = pin.release_version
    return next(
        (
            move.live_before
            for move in reversed(moves)
            if move.move == "promote"
            and move.seat == "live"
            and move.pin.release_version == version
            and (move.live_before is None or move.live_before.release_version != version)
        ),
        None,
    )
