"""A window's impressions and reports in, what each video's reports weigh out, and the brigades that reported.

The window is bounded in days and in videos, because neighbours among reporters are looked for over all of it at once.
Of more reported videos than it holds, those with the fewest reporters are left out, which the log says: they come in
again when more report them.
"""

import heapq
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from contracts.errors import BadInputError
from policy.cases.brigades import note_brigades
from policy.cases.coordination import DEFAULT_COORDINATION, CoordinationSettings, WeighedReports, weigh_reports
from policy.cases.reliability import reliabilities
from policy.cases.report_rate import DEFAULT_LINE, ReportLine, ReportRate, report_rates
from warehouse.feedback import ReporterRecord, VideoFeedback

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How far back reports and impressions count, how many videos at most, and from when on a look is out of date.

    days: of the window. reported, unreported: videos with and without reports that are held; of the latter only such
    with `seen_often` impressions, to be scored again with them.
    """

    days: float = 7.0
    reported: int = 100_000
    unreported: int = 50_000
    seen_often: int = 100
    fresh_s: float = 10.0

    def __post_init__(self) -> None:
        if min(self.days, self.reported, self.unreported, self.seen_often) <= 0:
            raise BadInputError(f"{self}: days, reported, unreported and seen_often must be over 0")


class FeedbackSource(Protocol):
    """What viewers made of videos, and how reporters fared; both raise `DependencyError`."""

    def videos(self, *, since: datetime, as_of: datetime) -> Iterable[list[VideoFeedback]]: ...
    def reporters(self, *, as_of: datetime) -> Iterable[list[ReporterRecord]]: ...


class Weighed(NamedTuple):
    """What the window's reports weigh, of the videos that were reported or often seen, and their report rates."""

    as_of: datetime
    rates: dict[str, ReportRate]
    seen: list[WeighedReports]


def weigh_window(
    source: FeedbackSource,
    folder: Path,
    *,
    now: datetime,
    window: WindowSettings,
    line: ReportLine = DEFAULT_LINE,
    coordination: CoordinationSettings = DEFAULT_COORDINATION,
) -> Weighed:
    """Weigh the reports of the window up to `now`; brigades are kept in `folder`, the new ones told by an alert."""
    reported = _Largest[VideoFeedback](window.reported)
    unreported = _Largest[WeighedReports](window.unreported)
    since = now - timedelta(days=window.days)
    for block in source.videos(since=since, as_of=now):
        for video in block:
            if video.reports:
                reported.add(len(video.reports), video.video_id, video)
            elif video.impressions >= window.seen_often:
                unreported.add(
                    video.impressions, video.video_id, WeighedReports(video.video_id, video.impressions, 0, 0, 0.0)
                )
    if reported.left_out:
        log.error(
            "ALERT %d reported videos are not weighed: %g days hold more than %d, the least reported wait",
            reported.left_out,
            window.days,
            window.reported,
        )
    videos = sorted(reported.kept(), key=lambda video: video.video_id)
    said = {report.reporter_id for video in videos for report in video.reports}
    trust = reliabilities(one for block in source.reporters(as_of=now) for one in block if one.reporter_id in said)
    weighing = weigh_reports(videos, trust, coordination)
    for brigade in note_brigades(folder, weighing.brigades, now=now):
        shown = ", ".join(brigade.members[:10]) + (", ..." if len(brigade.members) > 10 else "")
        log.error(
            "ALERT %d reporters report together, %d videos so far: %s", len(brigade.members), brigade.videos, shown
        )
    seen = weighing.videos + sorted(unreported.kept())
    return Weighed(now, {rate.reports.video_id: rate for rate in report_rates(seen, line)}, seen)


class SharedLook:
    """A look at the window that several duties share: taken anew when the last one is `fresh_s` old."""

    def __init__(self, look: Callable[[datetime], Weighed], *, fresh_s: float) -> None:
        self._look = look
        self._fresh = timedelta(seconds=fresh_s)
        self._turn = threading.Lock()
        self._last: Weighed | None = None

    def __call__(self, now: datetime) -> Weighed:
        with self._turn:
            if self._last is None or not timedelta(0) <= now - self._last.as_of < self._fresh:
                self._last = self._look(now)
            return self._last


class _Largest(Generic[T]):
    """The items with the largest size of all that are added, `at_most` of them."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._heap: list[tuple[int, str, T]] = []
        self.left_out = 0

    def add(self, size: int, name: str, item: T) -> None:
        if len(self._heap) < self._at_most:
            heapq.heappush(self._heap, (size, name, item))
        else:
            heapq.heappushpop(self._heap, (size, name, item))
            self.left_out += 1

    def kept(self) -> list[T]:
        return [item for _, _, item in self._heap]
