"""Which verdicts open a case, for which reason and with which chance, and in which order they are ruled on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.cases import CaseAppealed, CaseOpened, CaseReason
from contracts.errors import BadInputError
from contracts.taxonomy import POSITIVE_INDEX, TAXONOMY_VERSION, VIOLATIVE, Category
from contracts.verdicts import Decision, Verdict
from policy.cases.coordination import WeighedReports
from policy.cases.opening import OpeningSettings, case_id, open_cases, refusal_of
from policy.cases.priority import SEVERITY, by_priority, expected_harm, impressions_to_come
from policy.cases.report_rate import ReportRate

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LINES = {3: 0.5, 4: 0.5}
NO_AUDIT = OpeningSettings(audited=dict.fromkeys(Decision, 0.0))
REPORTED = ReportRate(WeighedReports("v", 900, reporters=9, coordinated=2, weight=6.5), mean=0.0125, over_line=0.9)


def scores(toxicity: float, category: Category = Category.PLAGIARISM) -> tuple[float, ...]:
    spread = [0.0] * (POSITIVE_INDEX + 1)
    spread[category.position], spread[POSITIVE_INDEX] = toxicity, 1.0 - toxicity
    return tuple(spread)


def verdict(toxicity: float = 0.1, *, classifier: float | None = None, video: str = "v", **more: Any) -> Verdict:
    fields: dict[str, Any] = {
        "event_id": f"upload-{video}",
        "video_id": video,
        "author_id": "author",
        "occurred_at": NOW - timedelta(hours=2),
        "scored_at": NOW - timedelta(hours=2),
        "probabilities": scores(toxicity),
        "classifier": scores(toxicity if classifier is None else classifier),
        "toxicity": toxicity,
        "category": Category.PLAGIARISM if toxicity >= 0.5 else Category.POSITIVE,
        "decision": Decision.DEMOTE if toxicity >= 0.5 else Decision.ALLOW,
        "citations": (),
        "missing": (),
        "release_version": 3,
        "casebook_version": 7,
        "taxonomy_version": TAXONOMY_VERSION,
        "since_upload_ms": 80.0,
    }
    return Verdict(**fields | more)


def appeal(author: str = "author", video: str = "v") -> CaseAppealed:
    return CaseAppealed(event_id="a", case_id="case-1", video_id=video, author_id=author, appealed_at=NOW)


def opened(*verdicts: Verdict, **more: Any) -> list[CaseOpened]:
    fields: dict[str, Any] = {"rates": {}, "lines": LINES, "now": NOW, "settings": NO_AUDIT}
    return open_cases(verdicts, **fields | more)


@pytest.mark.parametrize(
    ("asked", "more", "reason"),
    [
        (verdict(0.1), {}, None),
        (verdict(0.1), {"rates": {"v": REPORTED}}, CaseReason.REPORT_RATE),
        (verdict(0.1), {"rates": {"v": REPORTED._replace(over_line=0.89)}}, None),
        (verdict(0.41), {}, CaseReason.UNCERTAIN),
        (verdict(0.59), {}, CaseReason.UNCERTAIN),
        (verdict(0.39), {}, None),
        (verdict(0.1, classifier=0.4), {}, CaseReason.DISAGREEMENT),
        (verdict(0.9, classifier=0.7), {}, None),
        (verdict(0.1), {"appeals": [appeal()]}, CaseReason.APPEAL),
        (verdict(0.1), {"appeals": [appeal("somebody-else")]}, None),
    ],
)
def test_a_case_opens_for_a_reason(asked: Verdict, more: dict[str, Any], reason: CaseReason | None) -> None:
    cases = opened(asked, **more)
    assert [(c.reason, c.selection_probability) for c in cases] == ([] if reason is None else [(reason, 1.0)])


def test_a_case_keeps_what_was_known_when_it_opened() -> None:
    (case,) = opened(verdict(0.1), rates={"v": REPORTED})
    assert case.evidence is not None
    assert (case.release_version, case.casebook_version, case.opened_at) == (3, 7, NOW)
    assert case.evidence.probabilities == scores(0.1)
    assert (case.evidence.impressions, case.evidence.reporters, case.evidence.coordinated) == (900, 9, 2)
    assert (case.evidence.weighted_reports, case.evidence.over_line) == (6.5, 0.9)


def test_a_video_opens_one_case_a_release_by_its_latest_verdict_and_none_again() -> None:
    later = verdict(0.5, occurred_at=NOW - timedelta(hours=1))
    cases = opened(later, verdict(0.45), verdict(0.45, release_version=4))
    assert [(c.case_id, c.toxicity) for c in cases] == [(case_id("v", 3), 0.5), (case_id("v", 4), 0.45)]
    assert opened(later, verdict(0.45), already={case_id("v", 3)}) == []


def test_an_appeal_is_heard_once_beside_an_earlier_case_and_leaves_none_behind() -> None:
    first = opened(verdict(0.5), appeals=[appeal(), appeal()], already={case_id("v", 3)})
    assert [c.case_id for c in first] == [case_id("v", 3, appealed=True)]
    assert opened(verdict(0.5), appeals=[appeal()], already={first[0].case_id}) == []


def test_an_appeal_that_is_not_heard_is_told_why() -> None:
    assert refusal_of(appeal(), None) == "video_id == 'v' names a video without a verdict"
    assert refusal_of(appeal("x"), verdict()) == "author_id == 'x' is not the author of the video 'v'"
    assert refusal_of(appeal(), verdict()) is None


def test_the_audit_takes_its_share_of_removed_videos_too_and_says_which() -> None:
    settings = OpeningSettings(audited={**dict.fromkeys(Decision, 0.0), Decision.REMOVE: 0.2, Decision.ALLOW: 0.1})
    removed = [verdict(0.95, video=f"r{n}", decision=Decision.REMOVE) for n in range(1_000)]
    allowed = [verdict(0.05, video=f"a{n}") for n in range(1_000)]
    cases = opened(*removed, *allowed, settings=settings)
    assert {c.reason for c in cases} == {CaseReason.AUDIT}
    counts = [sum(c.selection_probability == share for c in cases) for share in (0.2, 0.1)]
    assert counts[0] == pytest.approx(200, abs=4 * (1_000 * 0.2 * 0.8) ** 0.5)
    assert counts[1] == pytest.approx(100, abs=4 * (1_000 * 0.1 * 0.9) ** 0.5)
    estimate = sum(1 / c.selection_probability for c in cases)
    assert estimate == pytest.approx(2_000, abs=4 * (1_000 * 4 + 1_000 * 9) ** 0.5)
    assert cases == opened(*allowed, *removed, settings=settings)


def test_the_audit_draws_whatever_else_asks_about_a_video_so_that_it_speaks_of_all() -> None:
    settings = OpeningSettings(audited=dict.fromkeys(Decision, 0.2))
    doubted = [verdict(0.5, video=f"d{n}") for n in range(500)]
    clear = [verdict(0.05, video=f"c{n}") for n in range(1_500)]
    cases = opened(*doubted, *clear, settings=settings)
    drawn = [c for c in cases if c.audited]
    assert len(cases) == 500 + sum(c.reason is CaseReason.AUDIT for c in cases)
    assert {(c.reason, c.selection_probability, c.audited) for c in drawn} == {
        (CaseReason.UNCERTAIN, 1.0, 0.2),
        (CaseReason.AUDIT, 0.2, 0.2),
    }
    share = sum(c.toxicity == 0.5 for c in drawn) / len(drawn)
    assert share == pytest.approx(500 / 2_000, abs=4 * (0.25 * 0.75 / 400) ** 0.5)


def test_an_appeal_keeps_what_the_audit_drew() -> None:
    everything = OpeningSettings(audited=dict.fromkeys(Decision, 1.0))
    [case] = opened(verdict(0.05), appeals=[appeal()], settings=everything)
    assert (case.reason, case.audited, case.selection_probability) == (CaseReason.APPEAL, 1.0, 1.0)


def test_a_later_release_draws_the_same_videos_again_and_no_others() -> None:
    half = OpeningSettings(audited=dict.fromkeys(Decision, 0.5))
    videos = [f"v{n}" for n in range(100)]
    first, second = (
        {c.video_id for c in opened(*(verdict(0.05, video=v, release_version=r) for v in videos), settings=half)}
        for r in (3, 4)
    )
    assert first == second
    assert 0 < len(first) < 100


def test_an_audit_by_another_salt_takes_others() -> None:
    videos = [verdict(0.05, video=f"v{n}") for n in range(200)]
    half = dict.fromkeys(Decision, 0.5)
    one, other = (
        {c.video_id for c in opened(*videos, settings=OpeningSettings(audited=half, salt=salt))} for salt in "ab"
    )
    assert one != other


def test_a_release_without_a_line_and_shares_out_of_range_are_refused() -> None:
    with pytest.raises(BadInputError, match="release_version == 5"):
        opened(verdict(release_version=5))
    with pytest.raises(BadInputError, match="audited"):
        OpeningSettings(audited={Decision.ALLOW: 0.1})


def test_a_video_that_halves_each_day_has_as_many_impressions_to_come_as_it_had_today() -> None:
    one_day = timedelta(days=1)
    assert impressions_to_come(700, one_day, half_life=one_day) == pytest.approx(700)
    assert impressions_to_come(700, 2 * one_day, half_life=one_day) == pytest.approx(700 / 3)
    with pytest.raises(BadInputError, match="recent == -1"):
        impressions_to_come(-1, one_day)


def test_expected_harm_is_impressions_times_severity_times_probability() -> None:
    (served,) = opened(verdict(0.5))
    (reported,) = opened(verdict(0.1), rates={"v": REPORTED})
    (removed,) = opened(verdict(0.75, decision=Decision.REMOVE), appeals=[appeal()])
    harms = [expected_harm(case.evidence, 100.0) for case in (served, reported, removed) if case.evidence]
    assert harms == pytest.approx([100 * 2.0 * 0.5, 100 * 2.0 * 0.9, 100 * 1.0 * 0.25])


def test_cases_are_ranked_by_harm_and_then_by_who_waited_longest() -> None:
    cases = opened(*(verdict(0.5, video=video) for video in "abc"))
    older = cases[1].model_copy(update={"opened_at": NOW - timedelta(days=1)})
    ranked = by_priority([cases[0], older, cases[2]], {"c": 10.0})
    assert [(one.case.video_id, one.expected_harm) for one in ranked] == [("c", 10.0), ("b", 0.0), ("a", 0.0)]
    with pytest.raises(BadInputError, match="evidence is missing"):
        by_priority([older.model_copy(update={"evidence": None})], {})


def test_every_violative_category_has_a_severity_with_a_reason() -> None:
    assert set(SEVERITY) == set(VIOLATIVE)
    assert all(one.harm >= 1.0 and one.reason for one in SEVERITY.values())
