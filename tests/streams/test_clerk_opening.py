"""Verdicts, reports and appeals become cases on a real docket, with what they stood on; the warehouse is by hand."""

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.cases import CaseAppealed, CaseReason, Ruling
from contracts.errors import DependencyError
from contracts.releases import Release
from contracts.taxonomy import POSITIVE_INDEX, TAXONOMY_VERSION, Category
from contracts.verdicts import Decision, Verdict
from contracts.videos import VideoUploaded
from policy.cases.coordination import WeighedReports
from policy.cases.opening import OpeningSettings
from policy.cases.report_rate import ReportRate
from policy.docket.docket import Docket
from policy.docket.principals import CLERK, Principal, Role
from streams.clerk.duties.opening import Opening, OpeningRounds
from streams.clerk.duties.weighing import Weighed
from streams.clerk.notebook import Notebook
from tests.policy.docket.cases import frames_digest
from tests.streams.stand_ins import RELEASE, DecoderByName
from warehouse.verdict_history import Arrived

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NO_AUDIT = OpeningSettings(audited=dict.fromkeys(Decision, 0.0))


def verdict(video: str, toxicity: float = 0.1, **more: Any) -> Verdict:
    scores = [0.0] * (POSITIVE_INDEX + 1)
    scores[Category.PLAGIARISM.position], scores[POSITIVE_INDEX] = toxicity, 1.0 - toxicity
    fields: dict[str, Any] = {
        "event_id": f"e-{video}",
        "video_id": video,
        "author_id": "author",
        "occurred_at": NOW - timedelta(hours=2),
        "scored_at": NOW - timedelta(hours=2),
        "probabilities": scores,
        "classifier": scores,
        "toxicity": toxicity,
        "category": Category.PLAGIARISM if toxicity >= 0.5 else Category.POSITIVE,
        "decision": Decision.DEMOTE if toxicity >= 0.5 else Decision.ALLOW,
        "citations": (),
        "missing": (),
        "release_version": 1,
        "casebook_version": 1,
        "taxonomy_version": TAXONOMY_VERSION,
        "since_upload_ms": 80.0,
    }
    return Verdict(**fields | more)


@dataclass
class Archive:
    """Verdicts by when they arrived, and the uploads that are known."""

    came: list[tuple[datetime, Verdict]] = field(default_factory=list)
    known: dict[str, VideoUploaded] = field(default_factory=dict)
    away: bool = False
    asked: list[tuple[datetime, datetime]] = field(default_factory=list)

    def add(self, *verdicts: Verdict, at: datetime = NOW, upload: bool = True, media_url: str | None = None) -> None:
        for one in verdicts:
            self.came.append((at, one))
            if upload:
                self.know(one.video_id, media_url)

    def know(self, video: str, media_url: str | None = None) -> None:
        self.known[video] = VideoUploaded(
            event_id=f"e-{video}", video_id=video, author_id="author", occurred_at=NOW, title="t", media_url=media_url
        )

    def arrived(self, *, after: datetime, until: datetime) -> Iterator[Arrived]:
        if self.away:
            raise DependencyError("the warehouse is away")
        self.asked.append((after, until))
        for at, one in sorted(self.came, key=lambda pair: pair[0]):
            if after < at <= until:
                yield Arrived((one,), at)

    def latest(self, video_ids: Collection[str]) -> Mapping[str, Verdict]:
        return {one.video_id: one for _, one in self.came if one.video_id in video_ids}

    def uploads(self, video_ids: Collection[str]) -> Mapping[str, VideoUploaded]:
        return {video: self.known[video] for video in video_ids if video in self.known}


class Shelf:
    """One release under several versions."""

    def release(self, version: int) -> Release:
        return RELEASE.model_copy(update={"version": version})

    def versions(self) -> set[int]:
        return {1, 2}


class Gauges:
    def __init__(self) -> None:
        self.reasons: list[dict[str, int]] = []
        self.blind = 0

    def opened(self, reasons: Mapping[str, int], *, without_frames: int) -> None:
        self.reasons += [dict(reasons)] if reasons else []
        self.blind += without_frames


class Court:
    """A docket, the duty that opens its cases, and what both stand on."""

    def __init__(self, folder: Path, **rounds: Any) -> None:
        self.archive = Archive()
        self.docket = Docket(folder)
        self.notebook = Notebook(folder)
        self.gauges = Gauges()
        self.rates: dict[str, ReportRate] = {}
        self.opening = Opening(
            self.archive,
            self.docket,
            self.docket,
            Shelf(),
            DecoderByName(),
            lambda now: Weighed(now, self.rates, []),
            self.notebook,
            self.gauges,
            OpeningRounds(**{"settings": NO_AUDIT} | rounds),
        )

    def look(self, *, after: timedelta = timedelta(0)) -> int:
        return asyncio.run(self.opening.round(NOW + after))

    def report(self, video: str, over_line: float) -> None:
        self.rates[video] = ReportRate(WeighedReports(video, 900, 9, 2, 6.5), 0.0125, over_line)

    @property
    def waiting(self) -> dict[str, CaseReason]:
        return {file.opened.video_id: file.opened.reason for file in self.docket.waiting(at_most=100)}


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Court]:
    made = Court(tmp_path)
    yield made
    made.notebook.close()
    made.docket.close()


def test_verdicts_and_report_rates_open_cases_with_their_evidence_and_none_twice(court: Court) -> None:
    court.archive.add(verdict("calm"), verdict("unsure", 0.45), verdict("told"), at=NOW - timedelta(minutes=5))
    court.report("told", 0.95)
    assert court.look() == 2
    assert court.waiting == {"unsure": CaseReason.UNCERTAIN, "told": CaseReason.REPORT_RATE}
    told = next(file for file in court.docket.waiting(at_most=9) if file.opened.video_id == "told")
    assert told.upload.title == "t"
    assert told.opened.evidence is not None
    assert (told.opened.evidence.weighted_reports, told.opened.evidence.over_line) == (6.5, 0.95)
    assert court.look(after=timedelta(seconds=5)) == 0
    assert court.look(after=timedelta(hours=1)) == 0
    assert [reason for one in court.gauges.reasons for reason in one] == ["report_rate", "uncertain"]


def test_a_rate_that_crosses_the_line_later_opens_a_case_of_the_old_verdict(court: Court) -> None:
    court.archive.add(verdict("told"), at=NOW - timedelta(minutes=5))
    assert court.look() == 0
    court.report("told", 0.95)
    assert court.look(after=timedelta(hours=1)) == 1
    assert court.waiting == {"told": CaseReason.REPORT_RATE}


def test_a_verdict_is_read_at_once_and_again_when_slower_inserts_are_visible_too(court: Court) -> None:
    court.archive.add(verdict("quick", 0.5), at=NOW - timedelta(seconds=1))
    assert court.look() == 1
    court.archive.add(verdict("slow", 0.5), at=NOW - timedelta(seconds=2))  # seen only now, though it came before
    assert court.look(after=timedelta(seconds=5)) == 0
    assert court.look(after=timedelta(seconds=65)) == 1
    assert set(court.waiting) == {"quick", "slow"}


def test_frames_are_decoded_now_and_media_that_is_gone_leaves_the_case_without(
    court: Court, caplog: pytest.LogCaptureFixture
) -> None:
    court.archive.add(verdict("film", 0.5), media_url="/media/film.mp4")
    court.archive.add(verdict("gone", 0.5), media_url="/media/gone")
    with caplog.at_level(logging.WARNING):
        assert court.look() == 2
    files = {file.opened.video_id: file for file in court.docket.waiting(at_most=9)}
    digest = frames_digest(files["film"])
    assert digest is not None
    assert court.docket.frames(digest).tolist() == np.zeros((1, 8, 8, 3), np.uint8).tolist()
    assert frames_digest(files["gone"]) is None
    assert court.gauges.blind == 1
    assert "opens without frames" in caplog.text
    assert "no such file" in caplog.text


def test_a_verdict_whose_upload_is_not_there_yet_waits_for_it_over_the_clerks_end(
    tmp_path: Path, court: Court, caplog: pytest.LogCaptureFixture
) -> None:
    court.archive.add(verdict("late", 0.5), verdict("never", 0.5), upload=False)
    assert court.look() == 0
    court.notebook.close()
    court.notebook = court.opening._notebook = Notebook(tmp_path)
    court.archive.know("late")
    assert court.look(after=timedelta(hours=1)) == 1
    assert court.waiting == {"late": CaseReason.UNCERTAIN}
    assert set(court.notebook.postponed()) == {"never"}
    assert court.look(after=timedelta(days=2)) == 0
    assert court.notebook.postponed() == {}
    assert "ALERT video never opens no case: the warehouse has no upload of it since 2026-11-01" in caplog.text


def test_a_video_has_one_case_whichever_release_judges_it(court: Court) -> None:
    court.archive.add(verdict("v", 0.5), at=NOW - timedelta(minutes=9))
    assert court.look() == 1
    court.archive.add(verdict("v", 0.5, event_id="e-2", release_version=2), at=NOW + timedelta(minutes=1))
    assert court.look(after=timedelta(minutes=2)) == 0


def test_an_appeal_opens_a_case_beside_the_first_and_one_of_them_only(court: Court) -> None:
    court.archive.add(verdict("v", 0.5))
    assert court.look() == 1
    [file] = court.docket.waiting(at_most=9)
    for n in range(2):
        court.docket.appeal(
            CaseAppealed(
                event_id=f"appeal-{n}",
                case_id=file.opened.case_id,
                video_id="v",
                author_id="author",
                appealed_at=NOW + timedelta(minutes=1),
            ),
            CLERK,
        )
    assert court.look(after=timedelta(minutes=2)) == 1
    assert court.look(after=timedelta(minutes=3)) == 0
    reasons = [file.opened.reason for file in court.docket.waiting(at_most=9)]
    assert sorted(reasons) == [CaseReason.APPEAL, CaseReason.UNCERTAIN]


def test_an_appeal_that_opens_no_case_is_dismissed_with_the_reason(
    court: Court, caplog: pytest.LogCaptureFixture
) -> None:
    court.archive.add(verdict("v"))

    def appeal(name: str, author: str, video: str = "v") -> None:
        fields = {"case_id": "case-x", "video_id": video, "author_id": author, "appealed_at": NOW}
        court.docket.appeal(CaseAppealed(event_id=name, **fields), CLERK)

    appeal("stranger", "somebody")
    appeal("early", "author", "not-judged-yet")
    assert court.look() == 0
    assert [one.event_id for one in court.docket.unheard()] == ["early"]
    court.look(after=timedelta(days=2))
    assert court.docket.unheard() == []
    assert {entry.subject for entry in court.docket.audit() if entry.action == "dismiss"} == {"stranger", "early"}
    assert "stranger opens no case: author_id == 'somebody' is not the author of the video 'v'" in caplog.text
    assert "early opens no case: video_id == 'not-judged-yet' names a video without a verdict" in caplog.text


def test_a_decision_is_appealed_once_and_a_second_appeal_after_the_ruling_is_dismissed(
    court: Court, caplog: pytest.LogCaptureFixture
) -> None:
    court.archive.add(verdict("v"))
    for name in ("first", "second"):
        fields = {"case_id": "case-x", "video_id": "v", "author_id": "author", "appealed_at": NOW}
        court.docket.appeal(CaseAppealed(event_id=name, **fields), CLERK)
        if name == "first":
            assert court.look() == 1
            [file] = court.docket.waiting(at_most=9)
            rita = Principal("rita", Role.REVIEWER)
            fields = {"case_id": file.opened.case_id, "video_id": "v", "ruled_at": NOW, "ruled_by": "rita"}
            ruling = Ruling(event_id="ruling-1", by="person", category=Category.POSITIVE, **fields)
            court.docket.rule(ruling, rita)
    assert court.look(after=timedelta(minutes=1)) == 0
    assert court.docket.unheard() == []
    assert "second opens no case: what release 1 decided was appealed and ruled on: case appeal-" in caplog.text


def test_while_the_warehouse_is_away_nothing_is_skipped(court: Court) -> None:
    court.archive.add(verdict("v", 0.5), at=NOW)
    court.archive.away = True
    with pytest.raises(DependencyError):
        court.look(after=timedelta(minutes=5))
    court.archive.away = False
    assert court.look(after=timedelta(minutes=10)) == 1
    assert court.archive.asked[0] == (NOW - timedelta(days=7) + timedelta(minutes=10), NOW + timedelta(minutes=9))
