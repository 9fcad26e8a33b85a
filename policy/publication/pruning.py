"""A releases root in, the folders that nothing needs any more out; deleted when asked to.

Kept are casebooks that a seat of the pointer, its `previous`, a held publication or a move of the last days names, and
the casebook that a person reviewed before each of these, by which the next publication measures its drift. Data
snapshots are kept where a release of the root was trained on them, or its plan names them.

What serves is never touched: the model server and the workers ask for pins of the pointer alone, and what left it is
named by its move, or its release lost its seat by one, for a day at least.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel

from contracts.errors import BadInputError
from contracts.releases import Pin, PrunedCasebook, PublishedCasebook
from policy.moves import add_line, read_history
from policy.publication.held import all_held
from policy.refresh.snapshots import MANIFEST as SNAPSHOT_MANIFEST
from policy.refresh.snapshots import REFERENCE, Snapshot
from policy.releases import drop_folder, turn_at
from serving.releases import CASEBOOK_MANIFEST, ReleasesRoot, read_manifest

LINEAGE = "refresh.json"
"""In the folder of a release that a refresh made: its plan."""
FEWEST_DAYS = 1
"""Who follows the pointer may still be reading what left it a moment ago."""


class Leftover(NamedTuple):
    """A folder that nothing needs, and its size."""

    kind: Literal["casebook", "snapshot"]
    path: Path
    size_bytes: int


class Keeping(NamedTuple):
    """For how many days a move keeps the casebooks that it names, and whether data snapshots go too, but for `keep`.

    A snapshot that is younger than so many days stays: its release may not be promoted yet.
    """

    days: int = 30
    snapshots: bool = False
    keep: tuple[Path, ...] = ()


def prune(
    root: ReleasesRoot, keeping: Keeping, *, now: datetime, apply: bool, pruned_by: str | None = None
) -> list[Leftover]:
    """Find what nothing needs, oldest version first; with `apply` delete it, each casebook with a line in the root.

    Nothing is published and the pointer does not move meanwhile. Raises `BadInputError`, and deletes nothing, where
    what says which folders are needed cannot be read.
    """
    if keeping.days < FEWEST_DAYS:
        raise BadInputError(f"days == {keeping.days}, must be {FEWEST_DAYS} or more: what just left may still be read")
    root.read_pointer()
    with turn_at(root, "publication"), turn_at(root):
        since = now - timedelta(days=keeping.days)
        found = [Leftover("casebook", home, _size(home)) for home in _needless_casebooks(root, since)]
        if keeping.snapshots:
            homes = _needless_snapshots(root, since, keeping.keep)
            found += [Leftover("snapshot", home, _size(home)) for home in homes]
        if apply:
            for one in found:
                _delete(root, one, now, pruned_by)
    return found


def _delete(root: ReleasesRoot, one: Leftover, now: datetime, pruned_by: str | None) -> None:
    """The line comes first: a version that was deleted and is not written down could be given again."""
    if one.kind == "casebook":
        gone = PrunedCasebook(version=int(one.path.name), pruned_at=now, pruned_by=pruned_by)
        add_line(root.pruned_path, gone)
    drop_folder(one.path)


def _needless_casebooks(root: ReleasesRoot, since: datetime) -> Iterator[Path]:
    """Folders of published casebooks that nothing names, by version."""
    named = _with_reviewed(root, {pin.casebook_version for pin in _pins(root, since)} | set(_held(root)))
    homes = (home for home in (root.path / "casebooks").glob("*") if home.name.isdigit())
    unseated = _unseated(root, since)
    versions = sorted(int(home.name) for home in homes if int(home.name) not in named)
    return (root.casebook_path(version) for version in versions if _release_of(root, version) not in unseated)


def _pins(root: ReleasesRoot, since: datetime) -> Iterator[Pin]:
    pointer = root.read_pointer()
    named = [pointer.live, pointer.canary, pointer.shadow, pointer.previous]
    for move in read_history(root):
        if move.moved_at >= since:
            named += [move.pin, move.live_before]
    return (pin for pin in named if pin is not None)


def _unseated(root: ReleasesRoot, since: datetime) -> frozenset[int]:
    """Releases that a promotion to live or a rollback since then took a seat from, which their move does not name."""
    seats, ended = dict[str, int](), set[int]()
    for move in read_history(root):
        if move.seat != "live":
            seats[move.seat] = move.pin.release_version
        elif move.moved_at >= since:
            ended |= set(seats.values())
            seats.clear()
        else:
            seats.clear()
    return frozenset(ended)


def _release_of(root: ReleasesRoot, version: int) -> int | None:
    manifest = root.casebook_path(version) / CASEBOOK_MANIFEST
    return read_manifest(manifest, PublishedCasebook).release_version if manifest.is_file() else None


def _held(root: ReleasesRoot) -> Iterator[int]:
    """What waits for a person, what it would follow, and by what it is measured."""
    for held in all_held(root):
        yield held.manifest.version
        yield held.note.before.casebook_version
        if held.manifest.reviewed is not None:
            yield held.manifest.reviewed


def _with_reviewed(root: ReleasesRoot, versions: Iterable[int]) -> set[int]:
    """The versions, and those that a person reviewed last before them."""
    kept, ahead = set[int](), list(versions)
    while ahead:
        version = ahead.pop()
        manifest = root.casebook_path(version) / CASEBOOK_MANIFEST
        if version not in kept and manifest.is_file():
            reviewed = read_manifest(manifest, PublishedCasebook).reviewed
            ahead += [] if reviewed is None else [reviewed]
        kept.add(version)
    return kept


def _needless_snapshots(root: ReleasesRoot, since: datetime, keep: Collection[Path]) -> list[Path]:
    """Folders of data snapshots that are old and no release of the root names, nor `keep`; drafts of killed writers."""
    named = {path.resolve() for path in keep}
    for home in (root.path / "releases").glob("[0-9]*"):
        named |= {path.resolve() for path in _snapshots_of(root, home)}
    homes = (root.path / "datasets").glob("*")
    ours = (home for home in homes if home.name.startswith(".") or (home / SNAPSHOT_MANIFEST).is_file())
    old = (home for home in ours if home.is_dir() and home.stat().st_mtime < since.timestamp())
    return sorted(home for home in old if home.resolve() not in named)


class _Plan(BaseModel):
    """The part of a plan that names snapshots, whatever else this or an earlier version wrote."""

    golden: str
    old: str | None = None


def _plan_of(lineage: Path) -> _Plan:
    try:
        return _Plan.model_validate(json.loads(lineage.read_bytes())["plan"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(f"{lineage}: does not say of which plan the release is: {error}") from error


def _snapshots_of(root: ReleasesRoot, release: Path) -> Iterator[Path]:
    """The snapshot that a release was trained on, and those that the plan of its refresh names."""
    if (release / REFERENCE).is_file():
        digest = read_manifest(release / REFERENCE, Snapshot).digest
        yield root.path / "datasets" / digest.removeprefix("sha256:")[:16]
    if (release / LINEAGE).is_file():
        plan = _plan_of(release / LINEAGE)
        yield Path(plan.golden)
        if plan.old is not None:
            yield Path(plan.old)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
