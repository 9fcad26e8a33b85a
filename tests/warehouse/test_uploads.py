"""Uploads that the warehouse keeps: samples of the recent ones, and the newest version of given videos."""

from datetime import timedelta

from contracts.videos import FeedbackCounts, VideoUploaded
from tests.warehouse.samples import START, upload
from warehouse.address import Client
from warehouse.sink import EventSink
from warehouse.uploads import recent_uploads, uploads_of


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def rescored(number: int, version: int) -> VideoUploaded:
    """A later version of video `number`, an hour after the one before."""
    counts = FeedbackCounts(impressions=100 * version, reports=version)
    return upload(number, START + hours(version), event_id=f"upload-{number}-v{version}", feedback=counts)


def test_a_video_is_given_by_its_newest_version_of_the_window(database: Client) -> None:
    versions = [upload(1, START), rescored(1, 2), rescored(1, 1), rescored(1, 5), upload(2, START - hours(9))]
    for _ in range(2):
        EventSink(database, VideoUploaded).insert(versions)
    found = recent_uploads(database, since=START - hours(1), until=START + hours(4), at_most=10)
    assert found == [rescored(1, 2)]
    assert recent_uploads(database, since=START, until=START + hours(0.5), at_most=10) == []


def test_a_sample_is_the_beginning_of_every_larger_one_and_another_salt_draws_another(database: Client) -> None:
    EventSink(database, VideoUploaded).insert([upload(n, START) for n in range(200)])
    window = {"since": START - hours(1), "until": START + hours(1)}
    every = recent_uploads(database, **window, at_most=1_000)
    assert sorted(one.video_id for one in every) == sorted(f"video-{n}" for n in range(200))
    some = recent_uploads(database, **window, at_most=20)
    assert some == every[:20]
    other = recent_uploads(database, **window, at_most=20, salt="night-2")
    assert len({one.video_id for one in other} & {one.video_id for one in some}) < 15


def test_uploads_of_videos_are_their_newest_versions_and_unknown_videos_are_left_out(database: Client) -> None:
    versions = [upload(n, START) for n in range(3)] + [rescored(1, 3), rescored(1, 2)]
    EventSink(database, VideoUploaded).insert(versions)
    assert uploads_of(database, ["video-0", "video-1", "no\tsuch"]) == {
        "video-0": upload(0, START),
        "video-1": rescored(1, 3),
    }
    assert uploads_of(database, []) == {}
