"""Rulings whose precedents serve by now in, their own videos sent to be judged again out, until they have been.

While the workers are far behind (`streams.clerk.duties.shedding`) nothing is sent, and sent once more least of all: a
video that waits among others for its verdict would be sent anew every `AGAIN`, and the queue would grow by it.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from contracts.cases import Ruling
from contracts.releases import Pin
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from policy.cases.rejudging import to_judge_again
from streams.clerk.duties.announcing import Delivery
from streams.clerk.duties.shedding import UNLIMITED, Gate
from streams.clerk.notebook import Notebook
from streams.kafka.records import of_uploads

log = logging.getLogger(__name__)
MARK = "rejudge"
GIVEN_UP = timedelta(minutes=10)
"""A ruling that does not serve after so long was left out of the casebook, or its publication waits for a person; a
video that the warehouse does not know after so long is not known to it."""
AGAIN = timedelta(seconds=30)
"""A video without a new verdict after so long is sent once more: workers follow a new casebook in their own time."""
AT_MOST = 2_000


class Decided(Protocol):
    """A ruling in force, by its place in the order in which rulings were entered."""

    @property
    def sequence(self) -> int: ...
    @property
    def ruling(self) -> Ruling: ...


class Rulings(Protocol):
    """The rulings in force that were entered after a place."""

    def decided(self, *, after: int) -> Sequence[Decided]: ...


class Judged(Protocol):
    """Verdicts in force and newest uploads; both raise `DependencyError`."""

    def latest(self, video_ids: Collection[str]) -> Mapping[str, Verdict]: ...
    def uploads(self, video_ids: Collection[str]) -> Mapping[str, VideoUploaded]: ...


class Casebooks(Protocol):
    """What serves now, and whose cases it cites."""

    def live(self) -> Pin: ...
    def precedents(self, pin: Pin) -> Collection[str]: ...


class Rejudging:
    """The duty; it remembers which casebook first knew a ruling, and when a video was sent."""

    def __init__(
        self,
        rulings: Rulings,
        archive: Judged,
        casebooks: Casebooks,
        notebook: Notebook,
        delivery: Delivery,
        gate: Gate = UNLIMITED,
    ) -> None:
        self._rulings = rulings
        self._archive = archive
        self._casebooks = casebooks
        self._notebook = notebook
        self._delivery = delivery
        self._gate = gate
        self._known_since: dict[str, int] = {}
        self._sent_at: dict[str, datetime] = {}

    def round(self, now: datetime) -> int:
        """Send the ruled videos whose verdict is older than a casebook that knows their ruling; returns how many."""
        mark = int(self._notebook.mark(MARK) or 0)
        pending = self._rulings.decided(after=mark)[:AT_MOST]
        if not pending:
            self._gate.left(MARK, 0)
            return 0
        allowed, waiting = self._gate.allowed(MARK, now), 0
        live = self._casebooks.live()
        speaking = self._casebooks.precedents(live)
        videos = {one.ruling.video_id for one in pending}
        verdicts, uploads = self._archive.latest(videos), self._archive.uploads(videos)
        versions, left = list[VideoUploaded](), list[int]()
        for one in pending:
            ruling = one.ruling
            verdict, upload = verdicts.get(ruling.video_id), uploads.get(ruling.video_id)
            known = ruling.case_id in speaking
            since = self._known_since.setdefault(ruling.event_id, live.casebook_version) if known else None
            if since is not None and verdict is not None and verdict.casebook_version >= since:
                continue  # it was judged by a casebook that knows its ruling
            if since is not None and verdict is not None and upload is not None:
                left.append(one.sequence)
                if now - self._sent_at.get(ruling.event_id, datetime.min.replace(tzinfo=now.tzinfo)) < AGAIN:
                    continue
                if len(versions) == allowed:
                    waiting += 1
                else:
                    versions.append(to_judge_again(upload, ruling, live.casebook_version, now=now))
                    self._sent_at[ruling.event_id] = now
            elif now - ruling.ruled_at < GIVEN_UP:
                left.append(one.sequence)
            else:
                why = "no casebook came to know" if since is None else "no upload or no verdict is there to go by for"
                log.warning("video %s keeps its verdict: %s %s", ruling.video_id, why, ruling.event_id)
        self._delivery.send_now(of_uploads(versions))
        self._gate.left(MARK, waiting)
        done = min(left) - 1 if left else pending[-1].sequence
        if done > mark:
            self._notebook.advance(MARK, str(done))
            gone = {one.ruling.event_id for one in pending if one.sequence <= done}
            for memory in (self._known_since, self._sent_at):
                for name in gone & memory.keys():
                    del memory[name]
        return len(versions)
