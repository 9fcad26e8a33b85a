"""Feedback on videos and the records of reporters, on a few events counted by hand."""

from datetime import UTC, datetime
from itertools import chain

from contracts.cases import Ruling
from contracts.taxonomy import Category
from contracts.viewers import Impression, UserReport
from tests.warehouse.viewers import at, impression, report, ruling
from warehouse.address import Client
from warehouse.feedback import (
    Report,
    ReporterRecord,
    VideoFeedback,
    fresh_feedback,
    reported_feedback,
    reporter_records,
    video_feedback,
)
from warehouse.sink import EventSink


def test_a_video_counts_impressions_of_the_window_and_each_reporter_once(database: Client) -> None:
    shown = [
        impression(1, "ann", video_id="v1"),
        impression(2, "ann", video_id="v1", day=0.1),
        impression(3, "bob", video_id="v1", day=-9.0),
        impression(4, "bob", video_id="v2"),
    ]
    said = [
        report(1, "cat", 0.3, video_id="v1"),
        report(2, "ann", 0.2, video_id="v1"),
        report(3, "cat", 0.4, video_id="v1"),
        report(4, "bob", 0.5, video_id="v3"),
        report(5, "bob", -9.0, video_id="v1"),
    ]
    for _ in range(2):
        EventSink(database, Impression).insert(shown)
        EventSink(database, UserReport).insert(said)
    EventSink(database, Ruling).insert(
        [
            ruling(1, video_id="v3", ruled_at=at(0.6), category=Category.POSITIVE),
            ruling(2, video_id="v3", ruled_at=at(0.7), category=Category.PLAGIARISM),
            ruling(3, video_id="unseen"),
        ]
    )
    found = list(chain.from_iterable(video_feedback(database, since=at(-1.0), as_of=at(1.0))))
    assert found == [
        VideoFeedback("v1", 2, (Report("ann", at(0.2)), Report("cat", at(0.3))), None),
        VideoFeedback("v2", 1, (), None),
        VideoFeedback("v3", 0, (Report("bob", at(0.5)),), Category.PLAGIARISM),
    ]


def test_only_reported_or_fresh_videos_are_asked_for_with_their_whole_window(database: Client) -> None:
    window = {"since": at(-1.0), "as_of": at(1.0)}
    EventSink(database, Impression).insert([impression(n, f"u{n}", video_id=f"v{n % 3}") for n in range(6)])
    EventSink(database, UserReport).insert([report(1, "ann", 0.2, video_id="v1"), report(2, "ann", 9.0, video_id="v2")])
    v1 = VideoFeedback("v1", 2, (Report("ann", at(0.2)),), None)
    assert list(chain.from_iterable(reported_feedback(database, **window))) == [v1]
    looked = datetime.now(UTC)
    assert list(fresh_feedback(database, after=looked, **window)) == []
    EventSink(database, Impression).insert(
        [impression(9, "late", video_id="v0"), impression(8, day=9.0, video_id="v1")]
    )
    EventSink(database, UserReport).insert([report(3, "bob", 0.1, video_id="v1")])
    assert list(chain.from_iterable(fresh_feedback(database, after=looked, **window))) == [
        VideoFeedback("v0", 3, (), None),
        VideoFeedback("v1", 2, (Report("bob", at(0.1)), Report("ann", at(0.2))), None),
    ]


def test_a_reporter_is_upheld_by_the_latest_ruling_on_what_they_reported_before_the_first(database: Client) -> None:
    said = [
        report(1, "ann", 0.1, video_id="bad"),
        report(2, "ann", 0.2, video_id="bad"),
        report(3, "ann", 0.1, video_id="fine"),
        report(4, "bob", 0.1, video_id="overruled"),
        report(5, "bob", 0.1, video_id="never-ruled"),
        report(6, "cat", 0.9, video_id="bad"),
    ]
    EventSink(database, UserReport).insert(said)
    EventSink(database, UserReport).insert(said)
    EventSink(database, Ruling).insert(
        [
            ruling(1, video_id="bad", ruled_at=at(0.5)),
            ruling(2, video_id="fine", ruled_at=at(0.5), category=Category.POSITIVE),
            ruling(3, video_id="overruled", ruled_at=at(0.5)),
            ruling(4, video_id="overruled", ruled_at=at(0.8), category=Category.POSITIVE),
        ]
    )
    late = list(chain.from_iterable(reporter_records(database, as_of=at(1.0))))
    assert late == [ReporterRecord("ann", 1, 1), ReporterRecord("bob", 0, 1)]
    early = list(chain.from_iterable(reporter_records(database, as_of=at(0.6))))
    assert early == [ReporterRecord("ann", 1, 1), ReporterRecord("bob", 1, 0)]


def test_an_empty_warehouse_has_no_feedback(database: Client) -> None:
    assert list(video_feedback(database, since=at(-1.0), as_of=at(1.0))) == []
    assert list(reporter_records(database, as_of=at(1.0))) == []
