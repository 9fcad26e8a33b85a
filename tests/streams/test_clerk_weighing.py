"""The window that reports are weighed in: bounded, shared by the duties, and brigades are told once."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policy.cases.brigades import read_brigades
from streams.clerk.duties.weighing import SharedLook, Weighed, WindowSettings, weigh_window
from warehouse.feedback import Report, ReporterRecord, VideoFeedback

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Feedback:
    """Videos and reporters as the warehouse would tell of them, in blocks of two."""

    def __init__(self, videos: list[VideoFeedback], records: list[ReporterRecord] | None = None) -> None:
        self.given = videos
        self.records = records or []
        self.asked: list[tuple[datetime, datetime]] = []

    def videos(self, *, since: datetime, as_of: datetime) -> Iterator[list[VideoFeedback]]:
        self.asked.append((since, as_of))
        for start in range(0, len(self.given), 2):
            yield self.given[start : start + 2]

    def reporters(self, *, as_of: datetime) -> Iterator[list[ReporterRecord]]:
        yield self.records


def video(name: str, impressions: int, *reporters: str, hours: float = 0.0) -> VideoFeedback:
    reports = tuple(Report(who, NOW - timedelta(hours=1 + hours)) for who in reporters)
    return VideoFeedback(name, impressions, reports, None)


def test_reports_weigh_by_their_reporters_and_what_was_often_seen_is_counted_without_any(tmp_path: Path) -> None:
    source = Feedback(
        [video("a", 400, "ann", "bob"), video("b", 99), video("c", 100)],
        [ReporterRecord("ann", 2, 0), ReporterRecord("bob", 0, 4), ReporterRecord("stranger", 9, 9)],
    )
    weighed = weigh_window(source, tmp_path, now=NOW, window=WindowSettings(days=3.0))
    assert source.asked == [(NOW - timedelta(days=3), NOW)]
    # Beta(2, 2): ann is right with 4 of 6, bob with 2 of 8
    assert weighed.rates["a"].reports.weight == pytest.approx(4 / 6 + 2 / 8)
    assert weighed.rates["a"].mean == pytest.approx((1 + 4 / 6 + 2 / 8) / 900)
    assert {name: rate.reports.impressions for name, rate in weighed.rates.items()} == {"a": 400, "c": 100}
    assert [one.video_id for one in weighed.seen] == ["a", "c"]


def test_of_more_videos_than_the_window_holds_the_most_reported_are_weighed_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Feedback([video("a", 9, "x"), video("b", 9, "x", "y", "z"), video("c", 9, "x", "y"), video("d", 500)])
    weighed = weigh_window(source, tmp_path, now=NOW, window=WindowSettings(reported=2, unreported=1))
    assert sorted(weighed.rates) == ["b", "c", "d"]
    assert "ALERT 1 reported videos are not weighed: 7 days hold more than 2" in caplog.text


def test_a_brigade_is_told_once_and_its_reports_weigh_as_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    crowd = [f"u{n}" for n in range(6)]
    source = Feedback([video(f"v{n}", 1_000, *crowd) for n in range(5)])
    for _ in range(2):
        weighed = weigh_window(source, tmp_path, now=NOW, window=WindowSettings())
    assert weighed.rates["v0"].reports.weight == pytest.approx(6 * 0.5 / 6)
    assert weighed.rates["v0"].reports.coordinated == 6
    alerts = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert alerts == ["ALERT 6 reporters report together, 5 videos so far: u0, u1, u2, u3, u4, u5"]
    (brigade,) = read_brigades(tmp_path)
    assert (brigade.members, brigade.videos) == (tuple(crowd), 5)


def test_duties_share_a_look_until_it_is_out_of_date() -> None:
    looks: list[datetime] = []

    def look(now: datetime) -> Weighed:
        looks.append(now)
        return Weighed(now, {}, [])

    shared = SharedLook(look, fresh_s=10.0)
    for seconds in (0.0, 9.0, 10.0, 12.0, 5.0):
        shared(NOW + timedelta(seconds=seconds))
    assert [(at - NOW).total_seconds() for at in looks] == [0.0, 10.0, 5.0]
