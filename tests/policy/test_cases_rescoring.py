"""Which videos are scored again with what viewers made of them, in which order, and as which event."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import BadInputError
from contracts.videos import FeedbackCounts, VideoUploaded
from policy.cases.coordination import WeighedReports
from policy.cases.rescoring import Counted, RescoringSettings, has_changed, to_rescore, with_feedback

NOW = datetime(2026, 11, 1, tzinfo=UTC)
UPLOAD = VideoUploaded(event_id="u", video_id="v", author_id="a", occurred_at=NOW - timedelta(hours=1), title="t")


def weighed(impressions: int, weight: float, video: str = "v") -> WeighedReports:
    return WeighedReports(video, impressions, 9, 0, weight)


@pytest.mark.parametrize(
    ("now", "before", "changed"),
    [
        (weighed(99, 0.9), None, False),
        (weighed(100, 0.0), None, True),
        (weighed(3, 1.0), None, True),
        (weighed(1_999, 5.9), Counted(1_000, 5.0), False),
        (weighed(2_000, 5.0), Counted(1_000, 5.0), True),
        (weighed(1_000, 6.0), Counted(1_000, 5.0), True),
        (weighed(1_000, 4.0), Counted(1_000, 5.0), True),
        (weighed(1_000, 34.0), Counted(1_000, 30.0), True),
        (weighed(1_000, 32.0), Counted(1_000, 30.0), False),
        (weighed(80, 0.0), Counted(40, 0.0), False),
    ],
)
def test_feedback_that_changed_enough_asks_for_a_new_score(
    now: WeighedReports, before: Counted | None, changed: bool
) -> None:
    assert has_changed(now, before) is changed


def test_those_with_most_new_impressions_are_scored_first_and_the_others_later() -> None:
    videos = [weighed(5_000, 0, "a"), weighed(3_000, 0, "b"), weighed(200, 0, "c"), weighed(150, 0, "d")]
    before = {"a": Counted(2_500, 0.0), "c": Counted(190, 0.0)}
    assert [one.video_id for one in to_rescore(videos, before, at_most=2)] == ["b", "a"]
    assert [one.video_id for one in to_rescore(videos, before, at_most=9)] == ["b", "a", "d"]


def test_a_version_carries_rounded_weighed_reports_and_what_the_upload_had_beside_them() -> None:
    told = UPLOAD.model_copy(update={"feedback": FeedbackCounts(impressions=7, reports=7, likes=3, skips=2)})
    later = with_feedback(told, weighed(900, 6.5), now=NOW)
    assert later.feedback == FeedbackCounts(impressions=900, reports=7, likes=3, skips=2)
    assert (later.video_id, later.title, later.occurred_at) == ("v", "t", NOW)
    assert with_feedback(UPLOAD, weighed(900, 6.49), now=NOW).feedback == FeedbackCounts(impressions=900, reports=6)
    assert with_feedback(UPLOAD, weighed(2, 6.0), now=NOW).feedback == FeedbackCounts(impressions=6, reports=6)
    VideoUploaded.model_validate_json(later.model_dump_json())


def test_those_who_report_together_ask_for_no_score_and_are_in_none() -> None:
    struck = WeighedReports("v", 900, reporters=905, coordinated=900, weight=3.1, coordinated_weight=0.7)
    assert Counted.of(struck) == Counted(900, 2.4)
    assert with_feedback(UPLOAD, struck, now=NOW).feedback == FeedbackCounts(impressions=900, reports=2)
    assert not has_changed(struck._replace(weight=9.0, coordinated_weight=6.6), Counted(900, 2.4))
    alone = WeighedReports("w", 50, 1_000, 1_000, weight=0.1 + 0.2, coordinated_weight=0.3)
    assert Counted.of(alone) == Counted(50, 0.0)


def test_the_same_counts_are_the_same_event_and_a_version_is_newer_than_the_upload_by_any_clock() -> None:
    first, again = (with_feedback(UPLOAD, weighed(900, weight), now=NOW) for weight in (6.1, 5.6))
    other = with_feedback(UPLOAD, weighed(901, 6.1), now=NOW)
    assert first.event_id == again.event_id != other.event_id
    early = with_feedback(UPLOAD, weighed(900, 6.1), now=NOW - timedelta(days=1))
    assert early.occurred_at == UPLOAD.occurred_at + timedelta(microseconds=1)


def test_settings_that_would_ask_without_end_are_refused() -> None:
    with pytest.raises(BadInputError, match="growth must be over 1"):
        RescoringSettings(growth=1.0)
