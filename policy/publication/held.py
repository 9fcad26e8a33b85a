"""A casebook that flips too much in, a folder that waits for a person out.

ROOT/held/<version>/ is a casebook as it would be published, with held.json (contract `HeldCasebook`); nothing points
at it.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.releases import HeldCasebook, Pin, PublishedCasebook
from policy.casebook import read_precedents
from policy.publication.draft import Draft, mark_of
from policy.releases import drop_folder
from serving.releases import CASEBOOK_MANIFEST, PRECEDENTS, ReleasesRoot, open_casebook

HELD = "held.json"


class Held(NamedTuple):
    """A casebook that waits, its manifest, and why."""

    path: Path
    manifest: PublishedCasebook
    note: HeldCasebook


def held_path(root: ReleasesRoot, version: int) -> Path:
    return root.path / "held" / str(version)


def all_held(root: ReleasesRoot) -> Iterator[Held]:
    """What waits for a person, oldest first; raises `BadInputError` by file."""
    homes = [home for home in (root.path / "held").glob("*") if home.name.isdigit()]
    for home in sorted(homes, key=lambda home: int(home.name)):
        yield read_held(root, int(home.name))


def read_held(root: ReleasesRoot, version: int) -> Held:
    """Read and verify what waits under a version; raises `BadInputError` where nothing does, or it is damaged."""
    home = held_path(root, version)
    if not (home / HELD).is_file():
        waiting = sorted(int(other.name) for other in home.parent.glob("*") if other.name.isdigit())
        raise BadInputError(f"{home}: no casebook {version} waits for approval, those that do: {waiting or 'none'}")
    try:
        note = HeldCasebook.model_validate_json((home / HELD).read_bytes())
    except ValidationError as error:
        raise BadInputError(f"{home / HELD}: {first_reason(error)}") from error
    pin = Pin(release_version=note.before.release_version, casebook_version=version)
    return Held(home, open_casebook(home, pin), note)


def stale_because(held: Held, pin: Pin, draft: Draft) -> str | None:
    """Why what waits may not be published any more, by what serves and would be drafted now; None where it may."""
    if held.note.before != pin:
        return f"it would follow {held.note.before!r}, but {pin!r} serves now"
    waiting = {one.case.case_id: mark_of(one.case) for one in read_precedents(held.path / PRECEDENTS)}
    now = {mark_of(one.case) for one in draft.news}
    if fell := sorted(case_id for case_id, mark in waiting.items() if mark not in now):
        return f"the docket moved on: the ruling of case {fell[0]} is not heard any more, and {len(fell) - 1} more"
    if stands := sorted(set(held.manifest.fell) - set(draft.fell)):
        return f"the docket moved on: case {stands[0]} does not fall any more, and {len(stands) - 1} more"
    return None


def drop_held(held: Held) -> None:
    """What waits no more vanishes at once."""
    drop_folder(held.path)


def clear_drafts(root: ReleasesRoot) -> None:
    """Remove what a publication that was killed left half-made; the caller is the only publisher."""
    for folder in ("casebooks", "held"):
        for draft in (root.path / folder).glob(".*"):
            if draft.is_dir():
                shutil.rmtree(draft)


def next_version(root: ReleasesRoot) -> int:
    """One more than the version of any release or casebook that the root has or had, held, published or pruned."""
    found = {
        int(home.name)
        for kind in ("releases", "casebooks", "held")
        for home in (root.path / kind).glob("*")
        if home.name.isdigit()
    }
    return max(found | root.pruned().keys(), default=0) + 1


def with_same_precedents(root: ReleasesRoot, pin: Pin, precedents: str) -> PublishedCasebook | None:
    """The newest published casebook of the pin's release with exactly these precedents, verified; None without one.

    What a killed publication wrote before it moved the pointer is taken up again, instead of written twice.
    """
    homes = [home for home in (root.path / "casebooks").glob("*") if (home / CASEBOOK_MANIFEST).is_file()]
    for home in sorted(homes, key=lambda home: int(home.name), reverse=True):
        try:
            manifest = PublishedCasebook.model_validate_json((home / CASEBOOK_MANIFEST).read_bytes())
        except (ValidationError, OSError):
            continue  # it serves nobody: whoever points at it says so
        if manifest.release_version == pin.release_version and manifest.precedents == precedents:
            try:
                return open_casebook(home, manifest.pin)
            except BadInputError:
                continue
    return None
