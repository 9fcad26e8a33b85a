"""What reports weigh: by how their reporter fared, by who reports together, and over how many impressions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from policy.cases.coordination import CoordinationSettings, WeighedReports, weigh_reports
from policy.cases.reliability import UNKNOWN, reliabilities, reliability
from policy.cases.report_rate import ReportLine, report_rates
from warehouse.feedback import Report, ReporterRecord, VideoFeedback

DAY_0 = datetime(2026, 11, 1, tzinfo=UTC)


def seen(
    video: str, reporters: str, *, impressions: int = 100, hour: float = 0.0, ruled: Category | None = None
) -> VideoFeedback:
    """A video that each of these reporters, a letter each, reported in the same hour."""
    said_at = DAY_0 + timedelta(hours=hour)
    return VideoFeedback(video, impressions, tuple(Report(name, said_at) for name in reporters), ruled)


def test_a_reporter_is_as_reliable_as_their_reports_were_upheld() -> None:
    assert reliability(ReporterRecord("ann", upheld=0, rejected=0)) == UNKNOWN == 0.5
    assert reliability(ReporterRecord("ann", upheld=6, rejected=0)) == pytest.approx((6 + 2) / (6 + 4))
    known = reliabilities([ReporterRecord("ann", 1, 0), ReporterRecord("bob", 0, 4)])
    assert known == {"ann": pytest.approx(3 / 5), "bob": pytest.approx(2 / 8)}


def test_independent_reports_weigh_their_reporters_reliability() -> None:
    weighed = weigh_reports([seen("v", "abc"), seen("w", "")], {"a": 0.9, "b": 0.1})
    assert weighed.videos == [
        WeighedReports("v", 100, reporters=3, coordinated=0, weight=pytest.approx(0.9 + 0.1 + UNKNOWN)),
        WeighedReports("w", 100, reporters=0, coordinated=0, weight=0.0),
    ]
    assert weighed.brigades == []


def test_six_who_report_the_same_four_videos_weigh_as_one_and_are_named() -> None:
    weighed = weigh_reports([seen(f"v{n}", "abcdef") for n in range(4)] + [seen("alone", "a")], {})
    assert [v.weight for v in weighed.videos] == [pytest.approx(6 * 0.5 / 6)] * 4 + [0.5]
    assert [v.coordinated for v in weighed.videos] == [6, 6, 6, 6, 0]
    assert [v.coordinated_weight for v in weighed.videos] == [pytest.approx(0.5)] * 4 + [0.0]
    assert [(b.members, b.videos) for b in weighed.brigades] == [(("a", "b", "c", "d", "e", "f"), 4)]


def test_three_shared_videos_bind_nobody() -> None:
    weighed = weigh_reports([seen(f"v{n}", "abcdef") for n in range(3)], {})
    assert [v.weight for v in weighed.videos] == [3.0, 3.0, 3.0]


def test_reports_of_the_same_videos_on_other_days_bind_nobody() -> None:
    spread = [
        VideoFeedback(f"v{n}", 100, (Report("a", DAY_0), Report("b", DAY_0 + timedelta(days=2))), None)
        for n in range(9)
    ]
    assert [v.weight for v in weigh_reports(spread, {}).videos] == [1.0] * 9


def test_agreeing_on_what_was_ruled_violative_binds_nobody_and_on_what_was_cleared_it_does() -> None:
    bad = [seen(f"v{n}", "ab", ruled=Category.PLAGIARISM) for n in range(9)]
    fine = [seen(f"v{n}", "ab", ruled=Category.POSITIVE) for n in range(9)]
    assert {v.weight for v in weigh_reports(bad, {}).videos} == {1.0}
    assert {v.weight for v in weigh_reports(fine, {}).videos} == {0.5}


def test_a_small_overlap_of_two_who_report_much_binds_nobody() -> None:
    together = [seen(f"t{n}", "ab") for n in range(4)]
    apart = [seen(f"{who}{n}", who) for who in "ab" for n in range(37)]
    assert weigh_reports(together + apart, {}).videos[0].weight == 1.0  # 4 of 41 each are less than a tenth
    assert weigh_reports(together + apart[1:-1], {}).videos[0].weight == 0.5  # 4 of 40 are not


def test_a_brigade_cannot_shield_a_video_from_honest_reports() -> None:
    honest = seen("bad", "xyz")
    joined = [seen("bad", "xyzabcdefgh")] + [seen(f"v{n}", "abcdefgh") for n in range(9)]
    alone = weigh_reports([honest], {}).videos[0].weight
    assert weigh_reports(joined, {}).videos[0].weight == pytest.approx(alone + 0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(4, 12), st.floats(0.05, 0.95))
def test_copies_of_one_reporter_weigh_as_one_however_many_they_are(copies: int, videos: int, trust: float) -> None:
    names = [f"c{k}" for k in range(copies)]
    feedback = [VideoFeedback(f"v{n}", 10, tuple(Report(name, DAY_0) for name in names), None) for n in range(videos)]
    weighed = weigh_reports(feedback, dict.fromkeys(names, trust))
    assert [v.weight for v in weighed.videos] == [pytest.approx(trust)] * videos


def test_the_report_rate_is_a_beta_posterior_of_weighted_reports() -> None:
    line = ReportLine(rate=0.5, certainty=0.9, prior=(1.0, 1.0))
    one, none, lost = report_rates(
        [WeighedReports("v", 1, 1, 0, 1.0), WeighedReports("w", 0, 0, 0, 0.0), WeighedReports("x", 0, 4, 0, 2.0)], line
    )
    assert (one.mean, one.over_line) == (pytest.approx(2 / 3), pytest.approx(1 - 0.5**2))  # Beta(2, 1): 1 - x^2
    assert (none.mean, none.over_line) == (pytest.approx(0.5), pytest.approx(0.5))  # uniform
    assert (lost.mean, lost.over_line) == (pytest.approx(3 / 4), pytest.approx(1 - 0.5**3))  # Beta(3, 1): 1 - x^3


def test_impressions_without_reports_lower_the_rate() -> None:
    few, many = report_rates([WeighedReports("v", 100, 6, 0, 5.0), WeighedReports("w", 100_000, 6, 0, 5.0)])
    assert few.over_line > 0.9
    assert many.over_line < 0.001


def test_settings_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(BadInputError, match=r"rate == 0.0"):
        ReportLine(rate=0.0)
    with pytest.raises(BadInputError, match=r"least_overlap == 1.5"):
        CoordinationSettings(least_overlap=1.5)
    with pytest.raises(BadInputError, match=r"together_within"):
        CoordinationSettings(together_within=timedelta(0))
