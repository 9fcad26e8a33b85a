"""The docket's rulings in, casebooks that serve out: published when something was ruled, erased or promoted since.

What flips too many recent decisions waits for a person; an alert says what and why.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from contracts.releases import InputShape, ReleasePointer
from contracts.videos import VideoUploaded
from policy.casebook import Frames
from policy.docket.principals import CLERK
from policy.publication.precedents import Decided, Rulings
from policy.publication.publish import PublicationSettings, publish_pending
from policy.publication.traffic import RecentTraffic
from serving.preprocess.media import MediaError
from serving.releases import ReleasesRoot

log = logging.getLogger(__name__)


class Register(Rulings, Protocol):
    """The part of a docket that says whether there is something new."""

    def decided(self, *, after: int = 0) -> Sequence[Decided]: ...
    def erased(self) -> set[str]: ...


@dataclass(frozen=True, slots=True)
class Sampled:
    """Which recent uploads a publication is tried on: so many, of so long."""

    at_most: int = 500
    recent: timedelta = timedelta(days=1)


@dataclass(slots=True)
class AskedTraffic:
    """Recent traffic that is asked for only when a publication needs it, once."""

    ask: Callable[[], Sequence[VideoUploaded]]
    roots: tuple[Path, ...]
    _given: RecentTraffic | None = field(default=None)

    def uploads(self) -> Sequence[VideoUploaded]:
        return self._traffic.uploads()

    def frames(self, uploads: Sequence[VideoUploaded], shape: InputShape) -> Sequence[Frames | MediaError]:
        return self._traffic.frames(uploads, shape)

    @property
    def _traffic(self) -> RecentTraffic:
        if self._given is None:
            self._given = RecentTraffic(self.ask(), self.roots, workers=1)
        return self._given


class Publishing:
    """The duty; it remembers what it published last, so that nothing is drafted while nothing changes."""

    def __init__(
        self,
        root: ReleasesRoot,
        register: Register,
        recent: Callable[[datetime], Sequence[VideoUploaded]],
        media_roots: tuple[Path, ...],
        settings: PublicationSettings | None = None,
    ) -> None:
        self._root = root
        self._register = register
        self._recent = recent
        self._media_roots = media_roots
        self._settings = settings
        self._newest = 0
        self._last: tuple[int, int, ReleasePointer] | None = None
        self._told: set[int] = set()

    def round(self, now: datetime) -> int:
        """Publish what there is to publish; returns how many casebooks went live, or beside it."""
        state = self._state()
        if state == self._last:
            return 0
        traffic = AskedTraffic(lambda: self._recent(now), self._media_roots)
        done = publish_pending(self._root, self._register, traffic, self._settings, now=now, principal=CLERK)
        for one in done:
            if one.outcome == "held" and one.casebook is not None and one.casebook.version not in self._told:
                self._told.add(one.casebook.version)
                log.error(
                    "ALERT casebook %d of release %d waits for a person: %s",
                    one.casebook.version,
                    one.pin.release_version,
                    "; ".join(one.reasons),
                )
        published = [one for one in done if one.outcome == "published"]
        for one in published:
            log.warning("published casebook %d of release %d", one.pin.casebook_version, one.pin.release_version)
        # what was ruled meanwhile is published by the next round: the state before is what was surely seen
        self._last = (state[0], state[1], self._root.read_pointer())
        return len(published)

    def _state(self) -> tuple[int, int, ReleasePointer]:
        if news := self._register.decided(after=self._newest):
            self._newest = news[-1].sequence
        return self._newest, len(self._register.erased()), self._root.read_pointer()
