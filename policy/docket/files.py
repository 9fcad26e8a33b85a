"""What goes into the docket and what comes out of it: new cases, files of cases, rulings in force and fallen ones."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from contracts.cases import CaseAppealed, CaseOpened, Ruling
from contracts.videos import VideoUploaded

Clip = npt.NDArray[np.uint8]
"""Frames of a video: uint8 [f, S, S, 3]."""


@dataclass(frozen=True, slots=True, eq=False)
class NewCase:
    """A case with its evidence: the upload and the frames that it was scored by, None where it has no media."""

    opened: CaseOpened
    upload: VideoUploaded
    frames: Clip | None = None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """All that the docket has of a case. Rulings and appeals are those on its video, oldest first.

    `ruling` is the one in force, `affirmed` are those that it upholds, `overruled` those that fell. `expected_harm`
    is what the clerk weighed last. `waiting` says that somebody has still to rule on it. `leaf` is that of the ruling
    in force, whenever it was named, or empty.
    """

    opened: CaseOpened
    upload: VideoUploaded
    ruling: Ruling | None = None
    overruled: tuple[Ruling, ...] = ()
    appeals: tuple[CaseAppealed, ...] = ()
    affirmed: tuple[Ruling, ...] = ()
    expected_harm: float = 0.0
    waiting: bool = True
    leaf: str = ""

    def with_history(self, standing: "Standing", appeals: tuple[CaseAppealed, ...], leaf: str) -> "CaseFile":
        """The file with what was ruled on its video, and appealed."""
        return replace(
            self,
            ruling=standing.in_force,
            affirmed=standing.affirmed,
            overruled=tuple(one.ruling for one in standing.fell),
            appeals=appeals,
            leaf=leaf,
        )


class Decided(NamedTuple):
    """A ruling in force, by its place in the order in which rulings were entered, and the case it was given in.

    `audited` is the case's, and 0 where a case that the audit drew no later still waits: what is ruled on before its
    turn comes first for its harm, so that of an unfinished draw what is ruled on is no random sample. `leaf` is in
    force on its video, whenever it was named, or empty.
    """

    sequence: int
    ruling: Ruling
    opened: CaseOpened
    upload: VideoUploaded
    audited: float
    leaf: str = ""


class Fallen(NamedTuple):
    """A ruling that was overruled, and by which; `sequence` is the place of the latter."""

    sequence: int
    ruling: Ruling
    by: Ruling


class Standing(NamedTuple):
    """What the rulings on one video come to; of an unruled video nothing is in force."""

    in_force: Ruling | None
    affirmed: tuple[Ruling, ...]
    fell: tuple[Fallen, ...]


class Depth(NamedTuple):
    """How many cases wait, since when the oldest, and how many events are to be announced."""

    waiting: int
    oldest_opened_at: datetime | None
    outbox: int


class OutboxEntry(NamedTuple):
    """An event that waits to be announced: its topic, the key that divides it, and the event as JSON."""

    sequence: int
    topic: str
    key: str
    value: bytes
