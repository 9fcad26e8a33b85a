"""One look at a rollout: the pointer and the figures in; a halt, a promotion, or nothing yet out."""

from datetime import datetime
from typing import NamedTuple

from contracts.errors import CheckFailedError
from contracts.releases import Pin, ReleasePointer, Seat
from policy.moves import read_history
from policy.releases import halt, promote
from policy.rollout.assess import DEFAULTS, Assessment, RolloutSettings, assess
from policy.rollout.figures import FiguresOf, RolloutFigures
from serving.releases import ReleasesRoot

WATCH = "rollout-watch"
"""Who moves the pointer, where nobody else is named."""


class Look(NamedTuple):
    """What was found of the candidate, if there is one, and what was done; `moved` is the pointer that it led to."""

    candidate: Pin | None
    seat: Seat | None
    assessment: Assessment
    figures: RolloutFigures | None = None
    moved: ReleasePointer | None = None


def watch(
    root: ReleasesRoot,
    figures_of: FiguresOf,
    *,
    now: datetime,
    settings: RolloutSettings = DEFAULTS,
    go_on: bool = False,
    moved_by: str = WATCH,
) -> Look:
    """Look once: halt a candidate that crosses a line; with `go_on` give one that showed enough its next seat.

    A halted candidate loses its seat at once, and the gate and the history say why. Raises `DependencyError` where
    the figures cannot be had: then nothing moves.
    """
    pointer = root.read_pointer()
    candidate = pointer.candidate
    if candidate is None:
        return Look(None, None, Assessment("wait", "no candidate is seated"))
    seat: Seat = "canary" if candidate == pointer.canary else "shadow"
    since = seated_since(root, candidate, seat)
    figures = figures_of(live=pointer.live, candidate=candidate, since=since, now=now)
    found = assess(figures, seat, now - since, settings)
    if found.outcome == "halt":
        moved = halt(root, candidate.release_version, now=now, reason=found.reason, moved_by=moved_by)
        return Look(candidate, seat, found, figures, moved)
    if found.outcome == "wait" or not go_on:
        return Look(candidate, seat, found, figures)
    try:
        moved = advance(root, candidate, seat, now=now, settings=settings, moved_by=moved_by)
    except CheckFailedError as error:
        return Look(candidate, seat, Assessment("wait", f"a person must look: {error}"), figures)
    return Look(candidate, seat, found, figures, moved)


def advance(
    root: ReleasesRoot,
    candidate: Pin,
    seat: Seat,
    *,
    now: datetime,
    settings: RolloutSettings = DEFAULTS,
    moved_by: str = WATCH,
) -> ReleasePointer:
    """Give a candidate its next seat: a shadow becomes the canary of a share of the videos, a canary becomes live.

    Raises `CheckFailedError` where the gate did not let it pass against the release that is live now.
    """
    home = root.release_path(candidate.release_version)
    if seat == "canary":
        return promote(root, home, now=now, seat="live", moved_by=moved_by)
    return promote(root, home, now=now, seat="canary", share=settings.canary_share, moved_by=moved_by)


def seated_since(root: ReleasesRoot, candidate: Pin, seat: Seat) -> datetime:
    """When the release of a pin took its seat last; when the pointer moved last, where no history says so."""
    for move in reversed(read_history(root)):
        if (move.move, move.seat, move.pin.release_version) == ("promote", seat, candidate.release_version):
            return move.moved_at
    return root.read_pointer().updated_at
