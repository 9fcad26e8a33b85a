"""New verdicts, reports and appeals in, cases on the docket out, each with its evidence frozen.

A video has one case, however many releases judge it; an appeal opens another. Verdicts are read twice: at once, and
again when every insert of their time is surely visible, which is what moves the mark: a slow insert is not missed. A
verdict whose upload is not in the warehouse yet is postponed, and looked at in each round until it is there.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from contracts.cases import CaseAppealed, CaseOpened
from contracts.releases import InputShape, Release
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from policy.cases.opening import OpeningSettings, case_id, open_cases, refusal_of
from policy.docket.files import NewCase
from streams.clerk.duties.evidence import freeze
from streams.clerk.duties.weighing import Weighed
from streams.clerk.notebook import Notebook
from streams.clerk.rounds import aside
from streams.moderation import Decoder
from warehouse.daily import UNSETTLED
from warehouse.verdict_history import Arrived

log = logging.getLogger(__name__)
MARK = "open"


class Verdicts(Protocol):
    """What the warehouse knows of verdicts and uploads; all raise `DependencyError`."""

    def arrived(self, *, after: datetime, until: datetime) -> Iterator[Arrived]: ...
    def latest(self, video_ids: Collection[str]) -> Mapping[str, Verdict]: ...
    def uploads(self, video_ids: Collection[str]) -> Mapping[str, VideoUploaded]: ...


class Register(Protocol):
    """The part of a docket that opening uses."""

    def known(self, case_ids: Collection[str]) -> set[str]: ...
    def enter(self, cases: Sequence[NewCase], *, now: datetime) -> Sequence[str]: ...


class Appeals(Protocol):
    """Appeals that no case hears yet; one that opens none for good is dismissed with the reason."""

    def unheard(self) -> Sequence[CaseAppealed]: ...
    def dismiss(self, appeal_id: str, reason: str, *, now: datetime) -> None: ...


class Shelf(Protocol):
    """The releases that may have judged."""

    def release(self, version: int) -> Release: ...
    def versions(self) -> set[int]: ...


class OpeningGauges(Protocol):
    """Counts cases."""

    def opened(self, reasons: Mapping[str, int], *, without_frames: int) -> None: ...


@dataclass(frozen=True, slots=True)
class OpeningRounds:
    """How opening goes on.

    first_look: verdicts of so long before the clerk's first start are looked at. settled: rows that arrived so long
    ago are all visible. at_once: cases whose evidence is frozen together. given_up: a postponed video is let go then.
    """

    settings: OpeningSettings
    first_look: timedelta = timedelta(days=7)
    settled: timedelta = UNSETTLED
    at_once: int = 64
    given_up: timedelta = timedelta(days=1)


class Opening:
    """The duty; what it holds between rounds is only how far it read ahead of its mark."""

    def __init__(
        self,
        archive: Verdicts,
        register: Register,
        appeals: Appeals,
        shelf: Shelf,
        decoder: Decoder,
        weigh: Callable[[datetime], Weighed],
        notebook: Notebook,
        gauges: OpeningGauges,
        rounds: OpeningRounds,
    ) -> None:
        self._archive = archive
        self._register = register
        self._appeals = appeals
        self._shelf = shelf
        self._decoder = decoder
        self._weigh = weigh
        self._notebook = notebook
        self._gauges = gauges
        self._rounds = rounds
        self._ahead: datetime | None = None

    async def round(self, now: datetime) -> int:
        """Open what there is to open now; returns how many cases are new on the docket."""
        rounds = self._rounds
        weighed = await aside(self._weigh, now)
        mark = await aside(self._mark, now)
        opened = await self._asked_again(weighed, now)
        settled = max(now - rounds.settled, mark)
        opened += await self._read(mark, settled, weighed, now, moves_mark=True)
        ahead = max(self._ahead or settled, settled)
        opened += await self._read(ahead, now, weighed, now, moves_mark=False)
        return opened

    def _mark(self, now: datetime) -> datetime:
        text = self._notebook.mark(MARK)
        return datetime.fromisoformat(text) if text else now - self._rounds.first_look

    async def _read(
        self, after: datetime, until: datetime, weighed: Weighed, now: datetime, *, moves_mark: bool
    ) -> int:
        """Open cases of what arrived in a stretch of time, block by block."""
        blocks, opened = self._archive.arrived(after=after, until=until), 0
        while (block := await aside(next, blocks, None)) is not None:
            count, unknown = await self._open(block.verdicts, (), weighed, now)
            opened += count
            mark = block.through if moves_mark else await aside(self._mark, now)
            await aside(self._note, mark, unknown, (), now)
            if not moves_mark:
                self._ahead = block.through
        if moves_mark:
            await aside(self._note, until, (), (), now)
        return opened

    def _note(self, mark: datetime, postponed: Collection[str], done: Collection[str], now: datetime) -> None:
        self._notebook.opened(MARK, mark.isoformat(), postponed=postponed, done=done, now=now)

    async def _asked_again(self, weighed: Weighed, now: datetime) -> int:
        """Open cases of older verdicts: of what is reported too often, appealed, or was postponed."""
        certainty = self._rounds.settings.line.certainty
        over = {video for video, rate in weighed.rates.items() if rate.over_line >= certainty}
        appeals = await aside(self._appeals.unheard)
        postponed = await aside(self._notebook.postponed)
        over -= await aside(self._with_case, over)
        wanted = sorted(over | postponed.keys() | {appeal.video_id for appeal in appeals})
        if not wanted:
            return 0
        verdicts = await aside(self._archive.latest, wanted)
        await aside(self._dismiss, appeals, verdicts, now)
        count, unknown = await self._open(list(verdicts.values()), appeals, weighed, now)
        lost = {video for video, since in postponed.items() if now - since > self._rounds.given_up}
        for video in sorted(lost & set(unknown)):
            log.error(
                "ALERT video %s opens no case: the warehouse has no upload of it since %s", video, postponed[video]
            )
        done = (postponed.keys() - set(unknown)) | lost
        mark = await aside(self._mark, now)
        await aside(self._note, mark, set(unknown) - lost, done, now)
        return count

    def _dismiss(self, appeals: Sequence[CaseAppealed], verdicts: Mapping[str, Verdict], now: datetime) -> None:
        """Dismiss appeals that open no case; one of a video without a verdict waits for it for a while."""
        for appeal in appeals:
            verdict = verdicts.get(appeal.video_id)
            reason = refusal_of(appeal, verdict)
            if verdict is None and now - appeal.appealed_at <= self._rounds.given_up:
                continue
            if reason is None and verdict is not None:
                heard = case_id(verdict.video_id, verdict.release_version, appealed=True)
                if heard in self._register.known([heard]):
                    reason = f"what release {verdict.release_version} decided was appealed and ruled on: case {heard}"
            if reason is not None:
                log.warning("appeal %s opens no case: %s", appeal.event_id, reason)
                self._appeals.dismiss(appeal.event_id, reason, now=now)

    async def _open(
        self, verdicts: Sequence[Verdict], appeals: Sequence[CaseAppealed], weighed: Weighed, now: datetime
    ) -> tuple[int, list[str]]:
        """Open what these verdicts open: how many cases are new, and the videos whose upload is not there yet."""
        cases = await aside(self._cases, verdicts, appeals, weighed, now)
        entered, unknown = 0, list[str]()
        left = iter(cases)
        while some := list(islice(left, self._rounds.at_once)):
            frozen = await freeze(some, self._uploads, self._shape, self._decoder)
            new = set(await aside(self._register.enter, frozen.cases, now=now))
            reasons = Counter(one.opened.reason.value for one in frozen.cases if one.opened.case_id in new)
            self._gauges.opened(reasons, without_frames=frozen.without_frames)
            entered += len(new)
            unknown += frozen.unknown
        return entered, unknown

    def _cases(
        self, verdicts: Sequence[Verdict], appeals: Sequence[CaseAppealed], weighed: Weighed, now: datetime
    ) -> list[CaseOpened]:
        videos = {verdict.video_id for verdict in verdicts}
        closed = self._with_case(videos, {verdict.release_version for verdict in verdicts})
        appealed = {appeal.video_id for appeal in appeals}
        asked = [verdict for verdict in verdicts if verdict.video_id not in closed or verdict.video_id in appealed]
        lines = {v: self._shelf.release(v).thresholds.toxicity for v in {one.release_version for one in asked}}
        ids = {case_id(one.video_id, one.release_version) for one in asked}
        ids |= {case_id(one.video_id, one.release_version, appealed=True) for one in asked}
        known = self._register.known(ids)
        known |= {case_id(one.video_id, one.release_version) for one in asked if one.video_id in closed}
        return open_cases(
            asked, weighed.rates, appeals, lines=lines, now=now, already=known, settings=self._rounds.settings
        )

    def _with_case(self, videos: Collection[str], judged_by: Iterable[int] = ()) -> set[str]:
        """Those of the videos that have a case, by whatever release."""
        versions = self._shelf.versions() | set(judged_by)
        by_id = {case_id(video, version): video for video in videos for version in versions}
        return {by_id[one] for one in self._register.known(by_id)}

    async def _uploads(self, video_ids: Sequence[str]) -> Mapping[str, VideoUploaded]:
        return await aside(self._archive.uploads, video_ids)

    def _shape(self, version: int) -> InputShape:
        return self._shelf.release(version).inputs


def with_salt(settings: OpeningSettings, salt: str) -> OpeningSettings:
    """The same settings with the audit's secret."""
    return replace(settings, salt=salt)
