"""Fresh feedback becomes a later version of the upload: the hottest first, once, and the same after a crash."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import DependencyError
from contracts.videos import FeedbackCounts, VideoUploaded
from policy.cases.coordination import WeighedReports
from streams.clerk.duties.announcing import announce
from streams.clerk.duties.rescoring import RescoringRounds, rescore
from streams.clerk.duties.weighing import Weighed
from streams.clerk.notebook import Notebook
from streams.kafka.delivery import OutgoingRecord

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Broker:
    """Keeps what was sent; fails after having taken it, as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.records: list[OutgoingRecord] = []

    def send_now(self, records: Sequence[OutgoingRecord]) -> None:
        self.records += records
        if self.failures and records:
            self.failures -= 1
            raise DependencyError("the broker does not confirm")

    @property
    def uploads(self) -> list[VideoUploaded]:
        return [VideoUploaded.model_validate_json(record.value) for record in self.records]


class Uploads:
    """Uploads by video."""

    def __init__(self, **told: FeedbackCounts | None) -> None:
        self.known = {
            video: VideoUploaded(
                event_id=f"e-{video}", video_id=video, author_id="a", occurred_at=NOW, title="t", feedback=feedback
            )
            for video, feedback in told.items()
        }

    def uploads(self, video_ids: Collection[str]) -> Mapping[str, VideoUploaded]:
        return {video: self.known[video] for video in video_ids if video in self.known}


class Look:
    """What the window weighs, by video: impressions and weight."""

    def __init__(self, **counts: tuple[int, float]) -> None:
        self.counts = counts

    def __call__(self, now: datetime) -> Weighed:
        seen = [WeighedReports(video, n, 9, 0, weight) for video, (n, weight) in self.counts.items()]
        return Weighed(now, {}, seen)


def counts(broker: Broker) -> list[tuple[str, int, int]]:
    return [(u.video_id, u.feedback.impressions, u.feedback.reports) for u in broker.uploads if u.feedback]


def test_the_hottest_are_scored_again_first_and_each_once_until_it_changes(notebook: Notebook) -> None:
    archive, broker = Uploads(a=None, b=None, c=None), Broker()
    look, rounds = Look(a=(300, 0.0), b=(900, 6.5), c=(150, 0.4)), RescoringRounds(at_most=2)
    done = [rescore(archive, look, notebook, broker, now=NOW, rounds=rounds) for _ in range(3)]
    assert done == [2, 1, 0]
    assert counts(broker) == [("a", 300, 0), ("b", 900, 7), ("c", 150, 0)]
    look.counts = {"a": (599, 0.9), "b": (1_000, 7.6), "c": (300, 0.4)}
    assert rescore(archive, look, notebook, broker, now=NOW + timedelta(hours=1), rounds=rounds) == 2
    assert counts(broker)[3:] == [("b", 1_000, 8), ("c", 300, 0)]
    assert {record.topic for record in broker.records} == {"videos.uploaded"}
    assert broker.records[0].key == b"a"


def test_what_was_not_confirmed_is_sent_again_byte_for_byte(notebook: Notebook) -> None:
    archive, broker = Uploads(a=None), Broker(failures=2)
    look = Look(a=(300, 2.0))
    for hour in range(2):
        with pytest.raises(DependencyError):
            rescore(archive, look, notebook, broker, now=NOW + timedelta(hours=hour))
        look.counts = {"a": (900, 5.0)}
    assert rescore(archive, look, notebook, broker, now=NOW + timedelta(hours=3)) == 2
    first, again, third, fourth = broker.records
    assert first == again == third
    assert counts(broker)[3:] == [("a", 900, 5)]
    assert fourth.value != first.value


def test_the_feedback_that_an_upload_came_with_counts_as_scored(notebook: Notebook) -> None:
    archive, broker = Uploads(a=FeedbackCounts(impressions=1_000, reports=5, likes=40)), Broker()
    look = Look(a=(1_500, 5.5), unknown=(9_000, 9.0))
    assert rescore(archive, look, notebook, broker, now=NOW) == 0
    look.counts = {"a": (2_000, 5.5), "unknown": (9_100, 9.0)}
    assert rescore(archive, look, notebook, broker, now=NOW) == 1
    assert broker.uploads[0].feedback == FeedbackCounts(impressions=2_000, reports=6, likes=40)


class Letter:
    topic, key, value = "cases.opened", "v", b"{}"

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence


class Letters:
    """An outbox of numbered letters."""

    def __init__(self, n: int) -> None:
        self.waiting = list(range(n))

    def outbox(self, *, at_most: int) -> list[Letter]:
        return [Letter(n) for n in self.waiting[:at_most]]

    def sent(self, sequences: Sequence[int]) -> None:
        self.waiting = [n for n in self.waiting if n not in sequences]


def test_events_leave_the_outbox_when_their_delivery_is_confirmed_and_not_before() -> None:
    letters, broker = Letters(5), Broker(failures=1)
    with pytest.raises(DependencyError):
        announce(letters, broker, at_once=2)
    assert letters.waiting == [0, 1, 2, 3, 4]
    assert announce(letters, broker, at_once=2) == 5
    assert (letters.waiting, len(broker.records)) == ([], 7)
    assert announce(letters, broker) == 0
