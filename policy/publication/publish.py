"""The docket's rulings in force in, a casebook that serves out: published, held for a person, or nothing new.

    read pointer -> draft per release -> flips on recent traffic -> casebook folder -> pointer -> history

A publication is whole at each step: a folder appears by one rename, the pointer moves by another, and who is killed in
between leaves a folder that nothing points at and the next publication takes up. Publishers take turns; two that
publish the same docket write one casebook.
"""

import shutil
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from contracts.errors import BadInputError
from contracts.releases import HeldCasebook, Pin, PointerMove, PublishedCasebook, ReleasePointer, Seat
from policy.docket.principals import Action, Principal
from policy.gate.decision_diff import DecisionDiff
from policy.moves import read_history, remember
from policy.publication.draft import Draft, DraftRules, draft_casebook, read_serving
from policy.publication.held import (
    HELD,
    Held,
    all_held,
    clear_drafts,
    drop_held,
    held_path,
    next_version,
    read_held,
    stale_because,
    with_same_precedents,
)
from policy.publication.precedents import Rulings
from policy.publication.traffic import Traffic, embed_traffic, flips
from policy.releases import new_folder, turn_at, write_pointer, write_published
from serving.releases import (
    CASEBOOK,
    CASEBOOK_MANIFEST,
    ReleaseFolder,
    ReleasesRoot,
    open_casebook,
)

SEATS: tuple[Seat, ...] = ("live", "canary", "shadow")
Outcome = Literal["published", "held", "unchanged"]


@dataclass(frozen=True, slots=True)
class PublicationSettings:
    """When a publication waits for a person: it flips more recent decisions than `flips_at_most` and `flips_share`.

    One step flips at most the larger of the two; all steps since a person approved one (or since the release) together
    change at most the larger of `flips_at_most` and `drift_share`, so that small steps do not add up unseen.
    """

    flips_at_most: int = 5
    flips_share: float = 0.02
    drift_share: float = 0.10
    rules: DraftRules = field(default_factory=DraftRules)


class Publication(NamedTuple):
    """What became of one release's casebook, in the seats that it has; `casebook` is None where nothing was written."""

    seats: tuple[Seat, ...]
    outcome: Outcome
    pin: Pin
    casebook: PublishedCasebook | None
    draft: Draft
    reasons: tuple[str, ...] = ()


def publish_pending(
    root: ReleasesRoot,
    docket: Rulings,
    traffic: Traffic,
    settings: PublicationSettings | None = None,
    *,
    now: datetime,
    principal: Principal,
) -> list[Publication]:
    """Bring the casebook of every seated release up to the docket, the live one first; the same again is no change.

    Raises `BadInputError` where a release is damaged (what serves goes on serving) and `DependencyError` where recent
    traffic cannot be read.
    """
    settings = settings or PublicationSettings()
    with turn_at(root, "publication"):
        pointer = root.read_pointer()
        clear_drafts(root)
        _complete_history(root)
        return [
            _publish(root, pin, seats, docket, traffic, settings, now=now, by=principal.name)
            for pin, seats in _by_release(pointer).items()
        ]


def approve_held(
    root: ReleasesRoot,
    docket: Rulings,
    version: int,
    rules: DraftRules | None = None,
    *,
    now: datetime,
    principal: Principal,
) -> PublishedCasebook:
    """Publish exactly the casebook that waits under `version`, on a senior's word.

    Raises `BadInputError` where none waits, another casebook serves by now, or a ruling that it rests on fell since.
    """
    principal.require(Action.APPROVE)
    with turn_at(root, "publication"):
        clear_drafts(root)
        held = read_held(root, version)
        if (stale := _stale(root, held, docket, rules)) is not None:
            raise BadInputError(f"{held.path}: {stale}; publish again to see what would change now")
        home = root.casebook_path(version)
        if not home.exists():  # or an approval that was killed wrote it
            with new_folder(home) as draft:
                for file in (name for name in held.manifest.digests if name != HELD):
                    shutil.copyfile(held.path / file, draft / file)
                told = {"approved_by": principal.name, "reviewed": version, "created_at": now}
                approved = held.manifest.model_copy(update=told)
                (draft / CASEBOOK_MANIFEST).write_text(approved.model_dump_json(indent=2) + "\n", encoding="utf-8")
        published = open_casebook(home, held.manifest.pin)
        _move(root, held.note.before, published, now=now, by=principal.name, reason=f"approved by {principal.name}")
        drop_held(held)
    return published


def _publish(
    root: ReleasesRoot,
    pin: Pin,
    seats: tuple[Seat, ...],
    docket: Rulings,
    traffic: Traffic,
    settings: PublicationSettings,
    *,
    now: datetime,
    by: str,
) -> Publication:
    folder = root.open(pin.release_version)
    serving = None if pin == folder.pin else open_casebook(root.casebook_path(pin.casebook_version), pin)
    draft = draft_casebook(root, folder, docket, settings.rules)
    same = not draft.changes if serving is None else serving.precedents == draft.digest
    waiting = [held for held in all_held(root) if held.note.before.release_version == pin.release_version]
    for held in waiting:
        if not same and stale_because(held, pin, draft) is None:
            return Publication(seats, "held", pin, held.manifest, draft, held.note.reasons)
        drop_held(held)
    if same:
        return Publication(seats, "unchanged", pin, None, draft)
    step, drift, sampled = _measure(root, folder, pin, serving, traffic, draft)
    reasons = _reasons(step, drift, settings)
    manifest = PublishedCasebook(
        version=next_version(root),
        release_version=pin.release_version,
        created_at=now,
        n_precedents=len(draft.casebook),
        digests={},
        before=pin.casebook_version,
        news=tuple(one.case.case_id for one in draft.news),
        fell=draft.fell,
        precedents=draft.digest,
        sampled=sampled,
        flips=len(_flipped(step)),
        drift=len(_flipped(drift)),
        reviewed=_reviewed(folder, serving),
        published_by=by,
    )
    if reasons:
        note = HeldCasebook(
            version=manifest.version, before=pin, held_at=now, reasons=reasons, flipped=_flipped(step)[:1_000]
        )
        beside = {HELD: note.model_dump_json(indent=2) + "\n"}
        home = held_path(root, manifest.version)
        written = write_published(home, manifest, draft.casebook, draft.news, leaves=draft.leaves, beside=beside)
        return Publication(seats, "held", pin, written, draft, reasons)
    published = with_same_precedents(root, pin, draft.digest)
    if published is None:
        home = root.casebook_path(manifest.version)
        published = write_published(home, manifest, draft.casebook, draft.news, leaves=draft.leaves)
    moved = _move(root, pin, published, now=now, by=by, reason=_told(published))
    return Publication(moved, "published" if moved else "unchanged", published.pin, published, draft)


def _measure(
    root: ReleasesRoot,
    folder: ReleaseFolder,
    pin: Pin,
    serving: PublishedCasebook | None,
    traffic: Traffic,
    draft: Draft,
) -> tuple[DecisionDiff, DecisionDiff, int]:
    """Decisions that this step changes, those that all steps since a person looked change, and the sample's size."""
    sample = embed_traffic(root, folder, traffic)
    step = flips(sample, folder, read_serving(root, pin), draft.casebook)
    looked = Pin(release_version=pin.release_version, casebook_version=_reviewed(folder, serving))
    drift = step if looked == pin else flips(sample, folder, read_serving(root, looked), draft.casebook)
    return step, drift, len(sample.uploads)


def _reviewed(folder: ReleaseFolder, serving: PublishedCasebook | None) -> int:
    """The casebook that a person looked at last: one that was approved, or the release's own, which passed the gate."""
    own = folder.release.casebook_version
    return own if serving is None else serving.reviewed or own


def _reasons(step: DecisionDiff, drift: DecisionDiff, settings: PublicationSettings) -> tuple[str, ...]:
    lines = (
        (step, settings.flips_share, "flips"),
        (drift, settings.drift_share, "since a person looked, all publications flip"),
    )
    return tuple(
        f"{what} {len(_flipped(diff))} of {diff.n} recent decisions ({len(diff.stricter)} stricter, {len(diff.milder)} "
        f"milder), at most {most:g} go without a person"
        for diff, share, what in lines
        if len(_flipped(diff)) > (most := max(settings.flips_at_most, int(share * diff.n)))
    )


def _flipped(diff: DecisionDiff) -> tuple[str, ...]:
    return (*diff.stricter, *diff.milder)


def _stale(root: ReleasesRoot, held: Held, docket: Rulings, rules: DraftRules | None) -> str | None:
    """Why what waits may not be published any more, None where it may."""
    now_at = [
        pin for pin in _by_release(root.read_pointer()) if pin.release_version == held.note.before.release_version
    ]
    if not now_at:
        return f"release {held.note.before.release_version} has no seat any more"
    published = held.manifest.pin
    draft = draft_casebook(root, root.open(published.release_version), docket, rules)
    return stale_because(held, held.note.before if now_at[0] == published else now_at[0], draft)


def _by_release(pointer: ReleasePointer) -> dict[Pin, tuple[Seat, ...]]:
    """The seats of each pin, live first."""
    seats: dict[Pin, tuple[Seat, ...]] = {}
    for seat in SEATS:
        pin: Pin | None = getattr(pointer, seat)
        if pin is not None:
            seats[pin] = (*seats.get(pin, ()), seat)
    return seats


def _move(
    root: ReleasesRoot, before: Pin, published: PublishedCasebook, *, now: datetime, by: str, reason: str
) -> tuple[Seat, ...]:
    """Point every seat that is still at `before` to the casebook; returns those seats, none where all moved on."""
    with turn_at(root):
        pointer = root.read_pointer()
        seats = tuple(seat for seat in SEATS if getattr(pointer, seat) == before)
        if not seats:
            return ()
        moved: dict[str, object] = dict.fromkeys(seats, published.pin)
        write_pointer(root, pointer.model_copy(update={**moved, "updated_at": now}))
        for seat in seats:
            _say(root, pointer, seat, published.pin, now=now, by=by, reason=reason)
    return seats


def _say(
    root: ReleasesRoot, before: ReleasePointer, seat: Seat, pin: Pin, *, now: datetime, by: str | None, reason: str
) -> None:
    move = PointerMove(
        moved_at=now, move="publish", seat=seat, pin=pin, live_before=before.live, moved_by=by, reason=reason
    )
    remember(root, move)


def _told(published: PublishedCasebook) -> str:
    counted = f"{published.flips} of {published.sampled} recent decisions flip"
    return f"{len(published.news)} precedents since the training, {len(published.fell)} fell; {counted}"


def _complete_history(root: ReleasesRoot) -> None:
    """Write the line that a publication which was killed right after its move did not."""
    with turn_at(root):
        pointer = root.read_pointer()
        moves = read_history(root)
        for seat in SEATS:
            pin: Pin | None = getattr(pointer, seat)
            if pin is None or any(move.pin == pin and move.seat == seat for move in moves):
                continue
            home = root.casebook_path(pin.casebook_version)
            if (home / CASEBOOK).is_file():
                told = open_casebook(home, pin)
                by = told.approved_by or told.published_by
                _say(root, pointer, seat, pin, now=pointer.updated_at, by=by, reason=_told(told))
