"""Exposure to violative videos, worked out by hand; days are counted from DAY_0, moments in days."""

import json
import math
from collections.abc import Sequence
from datetime import timedelta

import pytest
from click.testing import CliRunner

from contracts.cases import CaseOpened, CaseReason, Ruling
from contracts.errors import BadInputError
from contracts.taxonomy import Category
from contracts.verdicts import Decision, Verdict
from contracts.videos import VideoUploaded
from contracts.viewers import Impression
from tests.warehouse.samples import upload, verdict
from tests.warehouse.viewers import DAY_0, at, case, evidence, impression, ruling
from warehouse.address import Client, WarehouseAddress
from warehouse.commands import warehouse
from warehouse.exposure import (
    AuditEstimate,
    DayExposure,
    Demotions,
    Exposure,
    KindExposure,
    audit_estimate,
    exposure,
    exposure_by_leaf,
    kind_lines,
)
from warehouse.sink import EventSink, VerdictSink

FIRST, LAST = DAY_0.date(), DAY_0.date() + timedelta(days=2)
NOBODY = AuditEstimate(0, 0, None, None, None)


def judged(video: str, scored: float, decision: Decision, *, version: float | None = None) -> Verdict:
    """The verdict on the version of `video` that came at `version`, by default just before."""
    moment = at(scored - 0.001 if version is None else version)
    return verdict(
        1, event_id=f"{video}-{scored}", video_id=video, occurred_at=moment, scored_at=at(scored), decision=decision
    )


def shown(video: str, moments: Sequence[float]) -> list[Impression]:
    return [
        impression(n, f"u{n}", moment, event_id=f"{video}-{moment}", video_id=video) for n, moment in enumerate(moments)
    ]


def ruled(video: str, moment: float, category: Category = Category.PLAGIARISM) -> Ruling:
    return ruling(1, event_id=f"r-{video}-{moment}", video_id=video, ruled_at=at(moment), category=category)


@pytest.fixture
def told(database: Client) -> Client:
    """One video demoted soon, one long after its ruling, one demoted and let through again, one never, one fine."""
    allow, demote = Decision.ALLOW, Decision.DEMOTE
    verdicts = [
        judged("soon", 0.1, allow, version=0.05),
        judged("soon", 0.2, demote),
        judged("late", 0.1, allow, version=0.0),
        judged("late", 1.5, Decision.REMOVE),
        judged("back", 1.1, demote, version=1.0),
        judged("back", 1.2, allow),
        judged("back", 1.3, demote, version=0.5),  # of an older version: never in force
        judged("never", -3.0, allow),
        judged("fine", 0.1, demote),
    ]
    impressions = [
        *shown("soon", [0.06, 0.15, 0.25, 1.0]),  # before any verdict, allowed, demoted, demoted
        *shown("late", [0.2, 0.4, 0.9, 1.4, 1.6]),  # ruled on at 0.8
        *shown("back", [1.15, 1.25, 1.35]),
        *shown("never", [2.0]),
        *shown("fine", [0.05, 0.2]),
        *shown("outside", [0.3, 3.0, -0.5]),
    ]
    rulings = [
        ruled("soon", 0.3),
        ruled("late", 0.8),
        ruled("back", 1.9),
        ruled("never", 1.0, Category.POSITIVE),
        ruled("never", 2.5),
        ruled("fine", 0.1),
        ruled("fine", 0.2, Category.POSITIVE),
    ]
    uploads = [upload(1, at(0.0), video_id="soon"), upload(2, at(0.9), event_id="x", video_id="back")]
    for _ in range(2):
        VerdictSink(database).insert(verdicts)
        EventSink(database, Impression).insert(impressions)
        EventSink(database, Ruling).insert(rulings)
        EventSink(database, VideoUploaded).insert(uploads)
    return database


def test_impressions_are_exposure_while_the_verdict_in_force_lets_a_violative_video_through(told: Client) -> None:
    found = exposure(told, since=FIRST, through=LAST)
    assert found.days == (
        DayExposure(FIRST, impressions=9, violative=6, exposed=5, known=1),
        DayExposure(FIRST + timedelta(days=1), impressions=6, violative=6, exposed=3, known=1),
        DayExposure(LAST, impressions=1, violative=1, exposed=1, known=0),
    )
    assert (found.since, found.through, found.unseen) == (FIRST, LAST, NOBODY)


def test_time_to_demotion_is_of_videos_uploaded_on_these_days(told: Client) -> None:
    # soon 0.2 and late 1.5 days after the upload; back 1.1 - 0.5, whose oldest version only a verdict tells of
    found = exposure(told, since=FIRST, through=LAST).demotions
    assert (found.videos, found.demoted) == (3, 3)
    assert found.p50_s == pytest.approx(0.6 * 86_400)
    assert found.p90_s == pytest.approx(1.5 * 86_400)
    before = exposure(told, since=FIRST - timedelta(days=5), through=FIRST - timedelta(days=1))
    assert before.demotions == Demotions(1, 0, None, None)


def test_a_ruling_of_tomorrow_changes_what_is_said_of_today(told: Client) -> None:
    EventSink(told, Ruling).insert([ruled("outside", 9.0), ruled("late", 9.0, Category.POSITIVE)])
    first, *_ = exposure(told, since=FIRST, through=FIRST).days
    assert first == DayExposure(FIRST, impressions=9, violative=4, exposed=3, known=0)


def test_exposure_is_of_categories_and_of_the_leaves_that_rulings_name_until_now(told: Client) -> None:
    fraud = Category.FALSE_BENEFITS
    wheel = ruling(2, event_id="r-back-1.9", video_id="back", ruled_at=at(1.9), category=fraud, leaf="t-wheel")
    EventSink(told, Ruling).insert([ruled("back", 1.9), wheel])  # the same ruling again, with the leaf named since
    found = exposure_by_leaf(told, since=FIRST, through=LAST)
    assert found == (
        KindExposure("plagiarism", "t-1", videos=3, violative=10, exposed=7, known=2),
        KindExposure("false_benefits", "t-wheel", videos=1, violative=3, exposed=2, known=0),
    )
    days = exposure(told, since=FIRST, through=LAST).days
    assert sum(kind.exposed for kind in found) == sum(day.exposed for day in days)
    lines = list(kind_lines(found, {"t-wheel": "commercial~false_benefits~wheel"}))
    assert lines[1].split() == ["plagiarism", "t-1", "3", "10", "7", "2"]
    assert lines[2].split() == ["false_benefits", "commercial~false_benefits~wheel", "1", "3", "2", "0"]


def test_an_empty_warehouse_has_no_exposure(database: Client) -> None:
    assert exposure(database, since=FIRST, through=LAST) == Exposure(
        FIRST, LAST, (), Demotions(0, 0, None, None), NOBODY
    )


def test_a_window_the_wrong_way_round_or_whose_impressions_leave_is_refused(database: Client) -> None:
    with pytest.raises(BadInputError, match="since == 2026-11-03, must not be after through == 2026-11-01"):
        exposure(database, since=LAST, through=FIRST)
    columns = "event_id, user_id, video_id, session_id, shown_at, surface, watch_ms, received_at"
    values = f"'i', 'ann', 'v', 's', '{FIRST} 01:00:00', 'recommend', 1, now() - INTERVAL 181 DAY"
    database.command(f"INSERT INTO impressions ({columns}) SELECT {values}")
    with pytest.raises(BadInputError, match=r"impressions of 2026-11-01 have begun to leave, must be younger: .* 180"):
        exposure(database, since=FIRST, through=LAST)


def audit(number: int, probability: float, decision: Decision = Decision.ALLOW, **replaced: object) -> CaseOpened:
    stood = evidence(number).model_copy(update={"decision": decision})
    fields = {"reason": CaseReason.AUDIT, "selection_probability": probability, "evidence": stood}
    return case(number, **fields | replaced)


def test_the_unseen_share_weighs_audited_cases_by_how_rarely_they_are_drawn(database: Client) -> None:
    """Weights 4, 4, 2, 2: the violative one of weight 4 is a third of 12; 12^2 / 40 = 3.6 cases in effect."""
    cases = [
        *(audit(n, probability) for n, probability in enumerate([0.25, 0.25, 0.5, 0.5])),
        audit(4, 0.25),  # waits for its ruling
        audit(5, 0.25, Decision.REMOVE),
        audit(6, 1.0, reason=CaseReason.UNCERTAIN),
        audit(7, 0.25, opened_at=at(9.0)),
        audit(8, 0.25, evidence=None),
    ]
    EventSink(database, CaseOpened).insert(cases)
    found = [Category.PLAGIARISM, *[Category.POSITIVE] * 3]
    rulings = [ruled(f"video-{n}", 0.5, category) for n, category in enumerate(found)]
    EventSink(database, Ruling).insert([*rulings, *(ruled(f"video-{n}", 0.5) for n in (5, 6, 7, 8))])
    unseen = exposure(database, since=FIRST, through=LAST).unseen
    assert (unseen.cases, unseen.ruled) == (5, 4)
    assert unseen.share == pytest.approx(1 / 3)
    assert unseen == audit_estimate(5, 4, 12.0, 40.0, 4.0)


def test_the_interval_is_wilson_s() -> None:
    """10 of 100 at equal weights: Wilson's 95% interval is 5.52% to 17.44% (Brown, Cai and DasGupta, 2001, eq. 4)."""
    found = audit_estimate(120, 100, 100 * 50.0, 100 * 50.0**2, 10 * 50.0)
    assert (found.low, found.high) == (pytest.approx(0.0552, abs=5e-5), pytest.approx(0.1744, abs=5e-5))
    none = audit_estimate(20, 20, 20.0, 20.0, 0.0)
    assert none.low == 0.0
    assert none.high == pytest.approx(1.959964**2 / (20 + 1.959964**2))
    assert not math.isnan(none.high)


def test_the_command_prints_a_table_or_json(
    address: WarehouseAddress, told: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRECEDENT_WAREHOUSE", address.url)
    asked = ["exposure", "--since", "2026-11-01", "--through", "2026-11-03"]
    shown_lines = CliRunner().invoke(warehouse, asked, catch_exceptions=False).output.splitlines()
    assert shown_lines[1].split() == ["2026-11-01", "9", "6", "5", "1", "555.556"]
    assert shown_lines[4].split() == ["together", "16", "13", "9", "2", "562.500"]
    assert "half of all within 14.4 h, nine in ten within 1.5 days" in shown_lines[6]
    assert shown_lines[7].startswith("a lower bound")
    document = json.loads(CliRunner().invoke(warehouse, [*asked, "--json"], catch_exceptions=False).output)
    assert document["demotions"]["demoted"] == 3
    assert document["days"][2]["exposed"] == 1
