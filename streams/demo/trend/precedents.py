"""Rulings in the docket in, the casebook that they make in force out, and a new pin taken up by who serves.

What waits for a person on the way, since it flips much, gets a senior's word.
"""

import time
from datetime import UTC, datetime

from contracts.errors import BadInputError
from contracts.releases import Pin
from policy.docket.docket import Docket
from policy.docket.principals import Principal, Role
from policy.publication.draft import draft_casebook
from policy.publication.held import all_held
from policy.publication.publish import approve_held
from policy.releases import turn_at
from serving.releases import ReleasesRoot, open_casebook

SENIOR = Principal("demo-senior", Role.SENIOR)


def published(root: ReleasesRoot, docket: Docket, *, within_s: float = 60.0, calm_s: float = 6.0) -> tuple[float, int]:
    """Wait until the live casebook is what the rulings in force make, and for the workers to have followed it.

    Returns the seconds to the last change and how many casebooks were approved. A publisher that is not done in
    `within_s` is not waited for.
    """
    began = changed = time.monotonic()
    pin, approved = root.read_pointer().live, 0
    while time.monotonic() - began < within_s:
        approved += _approve(root, docket)
        if (now := root.read_pointer().live) != pin:
            pin, changed = now, time.monotonic()
        if time.monotonic() - changed >= calm_s and _all_heard(root, docket, pin):
            break
        time.sleep(0.2)
    return changed - began, approved


def followed(root: ReleasesRoot, *, settle_s: float = 6.0) -> None:
    """Give workers and publication the time to take up what the pointer names now."""
    pin, since = root.read_pointer().live, time.monotonic()
    until = since + 30.0
    while time.monotonic() < until and time.monotonic() - since < settle_s:
        if (now := root.read_pointer().live) != pin:
            pin, since = now, time.monotonic()
        time.sleep(0.2)


def _approve(root: ReleasesRoot, docket: Docket) -> int:
    """Approve what waits; returns how many were."""
    approved = 0
    try:
        for held in all_held(root):
            approve_held(root, docket, held.manifest.version, now=datetime.now(UTC), principal=SENIOR)
            approved += 1
    except BadInputError:  # a newer ruling came meanwhile: the clerk offers another casebook
        return approved
    return approved


def _all_heard(root: ReleasesRoot, docket: Docket, pin: Pin) -> bool:
    """Whether another publication would change nothing."""
    with turn_at(root, "publication"):
        folder = root.open(pin.release_version)
        draft = draft_casebook(root, folder, docket)
    if pin == folder.pin:
        return not draft.changes
    return open_casebook(root.casebook_path(pin.casebook_version), pin).precedents == draft.digest
