"""A ruled video is judged again once a casebook knows its ruling; waiting cases are ranked by who sees their videos."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from contracts.cases import CaseEvidence, CaseOpened, CaseReason, Ruling
from contracts.releases import Pin
from contracts.taxonomy import POSITIVE_INDEX, Category
from contracts.verdicts import Decision, Verdict
from contracts.videos import VideoUploaded
from streams.clerk.duties.prioritising import prioritise
from streams.clerk.duties.rejudging import AGAIN, GIVEN_UP, Rejudging
from streams.clerk.duties.shedding import Shedding, SheddingSettings
from streams.clerk.notebook import Notebook
from streams.kafka.delivery import OutgoingRecord
from tests.streams.stand_ins import Gauges
from tests.streams.test_clerk_opening import verdict

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Decided(NamedTuple):
    sequence: int
    ruling: Ruling


class Bench:
    """Rulings, verdicts, uploads and casebooks by hand, and what was sent."""

    def __init__(self) -> None:
        self.rulings: list[Decided] = []
        self.verdicts: dict[str, Verdict] = {}
        self.pin = Pin(release_version=1, casebook_version=1)
        self.known: set[str] = set()
        self.records: list[OutgoingRecord] = []
        self.unknown: set[str] = set()

    def rule(self, video: str) -> None:
        ruling = Ruling(
            event_id=f"ruling-{video}",
            case_id=f"case-{video}",
            video_id=video,
            ruled_at=NOW,
            ruled_by="rita",
            by="person",
            category=Category.PLAGIARISM,
        )
        self.rulings.append(Decided(len(self.rulings) + 1, ruling))
        self.verdicts[video] = verdict(video)

    def decided(self, *, after: int) -> Sequence[Decided]:
        return [one for one in self.rulings if one.sequence > after]

    def latest(self, video_ids: Collection[str]) -> Mapping[str, Verdict]:
        return {video: self.verdicts[video] for video in video_ids if video in self.verdicts}

    def uploads(self, video_ids: Collection[str]) -> Mapping[str, VideoUploaded]:
        return {
            video: VideoUploaded(event_id=f"e-{video}", video_id=video, author_id="a", occurred_at=NOW, title="t")
            for video in video_ids
            if video not in self.unknown
        }

    def live(self) -> Pin:
        return self.pin

    def precedents(self, pin: Pin) -> Collection[str]:
        return self.known

    def send_now(self, records: Sequence[OutgoingRecord]) -> None:
        self.records += records

    def judge(self, video: str, casebook_version: int) -> None:
        self.verdicts[video] = verdict(video, casebook_version=casebook_version)

    @property
    def sent(self) -> list[tuple[str, str]]:
        uploads = [VideoUploaded.model_validate_json(record.value) for record in self.records]
        return [(upload.video_id, upload.event_id) for upload in uploads]


def test_a_ruled_video_is_sent_when_its_ruling_serves_and_until_it_is_judged_by_it(notebook: Notebook) -> None:
    bench = Bench()
    duty = Rejudging(bench, bench, bench, notebook, bench)
    bench.rule("v")
    assert duty.round(NOW) == 0  # no casebook knows it yet
    bench.pin, bench.known = Pin(release_version=1, casebook_version=2), {"case-v"}
    assert [duty.round(NOW + timedelta(seconds=s)) for s in (1, 4, 10)] == [1, 0, 0]
    assert duty.round(NOW + AGAIN + timedelta(seconds=1)) == 1
    assert len(set(bench.sent)) == 1  # the same event, sent twice
    bench.judge("v", 2)
    assert (duty.round(NOW + 2 * AGAIN + timedelta(seconds=2)), notebook.mark("rejudge")) == (0, "1")


def test_while_the_workers_are_far_behind_ruled_videos_wait_and_none_is_sent_once_more(notebook: Notebook) -> None:
    bench, gauges = Bench(), Gauges()
    lag = [0]
    gate = Shedding(lambda: lag[0], notebook, gauges, SheddingSettings(lag_events=100, patience=timedelta(hours=1)))
    duty = Rejudging(bench, bench, bench, notebook, bench, gate)
    for video in ("a", "b"):
        bench.rule(video)
    bench.pin, bench.known = Pin(release_version=1, casebook_version=2), {"case-a", "case-b"}
    lag[0] = 101
    assert (duty.round(NOW), bench.sent, gauges.waiting) == (0, [], {"rejudge": 2})
    lag[0] = 0
    assert (duty.round(NOW + AGAIN), gauges.waiting) == (2, {"rejudge": 0})
    lag[0] = 5_000  # both lie in the queue: they are not sent anew, however long their verdicts take
    assert [duty.round(NOW + n * AGAIN) for n in range(2, 9)] == [0] * 7
    lag[0] = 0
    bench.judge("a", 2)
    bench.judge("b", 2)
    assert (duty.round(NOW + 9 * AGAIN), notebook.mark("rejudge")) == (0, "2")


def test_another_publication_does_not_have_it_judged_once_more(notebook: Notebook) -> None:
    bench = Bench()
    duty = Rejudging(bench, bench, bench, notebook, bench)
    bench.rule("v")
    bench.pin, bench.known = Pin(release_version=1, casebook_version=2), {"case-v"}
    assert duty.round(NOW) == 1
    bench.judge("v", 2)
    bench.pin = Pin(release_version=1, casebook_version=3)
    assert duty.round(NOW + AGAIN) == 0
    assert notebook.mark("rejudge") == "1"


def test_a_ruling_that_never_serves_is_let_go_and_holds_up_no_other(notebook: Notebook) -> None:
    bench = Bench()
    duty = Rejudging(bench, bench, bench, notebook, bench)
    bench.rule("held")
    bench.rule("v")
    bench.pin, bench.known = Pin(release_version=1, casebook_version=2), {"case-v"}
    assert duty.round(NOW) == 1
    assert [video for video, _ in bench.sent] == ["v"]
    bench.judge("v", 2)
    assert (duty.round(NOW + timedelta(seconds=3)), notebook.mark("rejudge")) == (0, "")
    assert (duty.round(NOW + GIVEN_UP), notebook.mark("rejudge")) == (0, "2")


@pytest.mark.parametrize("lacks", ["upload", "verdict"])
def test_a_ruled_video_that_the_warehouse_does_not_know_is_waited_for_and_then_let_go_by_name(
    notebook: Notebook, caplog: pytest.LogCaptureFixture, lacks: str
) -> None:
    bench = Bench()
    duty = Rejudging(bench, bench, bench, notebook, bench)
    for video in ("lost", "late"):
        bench.rule(video)
    bench.pin, bench.known = Pin(release_version=1, casebook_version=2), {"case-lost", "case-late"}
    if lacks == "upload":
        bench.unknown = {"lost", "late"}
    else:
        bench.verdicts.clear()
    assert (duty.round(NOW), notebook.mark("rejudge")) == (0, "")
    bench.unknown = {"lost"} if lacks == "upload" else set()
    bench.judge("late", 1)
    assert duty.round(NOW + timedelta(seconds=9)) == 1, "it came, by a casebook that did not know the ruling"
    assert [video for video, _ in bench.sent] == ["late"]
    bench.judge("late", 2)
    assert (duty.round(NOW + GIVEN_UP), notebook.mark("rejudge")) == (0, "2")
    assert caplog.messages == [
        "video lost keeps its verdict: no upload or no verdict is there to go by for ruling-lost"
    ]


class Waiting(NamedTuple):
    opened: CaseOpened


class Desk:
    """Two waiting cases of equal scores, and how often their videos are shown."""

    def __init__(self, **shown: int) -> None:
        self.shown = shown
        self.harm: dict[str, float] = {}
        self.asked: list[tuple[datetime, datetime]] = []

    def waiting(self, *, at_most: int) -> list[Waiting]:
        scores = [0.0] * (POSITIVE_INDEX + 1)
        scores[Category.PLAGIARISM.position] = scores[POSITIVE_INDEX] = 0.5
        evidence = CaseEvidence(
            probabilities=scores, classifier=scores, category=Category.PLAGIARISM, decision=Decision.ALLOW
        )
        common: dict[str, Any] = {"opened_at": NOW, "reason": CaseReason.AUDIT, "selection_probability": 1.0}
        common |= {"toxicity": 0.5, "release_version": 1, "casebook_version": 1, "evidence": evidence}
        made = [CaseOpened(event_id=f"o-{v}", case_id=f"case-{v}", video_id=v, **common) for v in ("a", "b", "c")]
        made.append(made[0].model_copy(update={"case_id": "case-old", "evidence": None}))
        return [Waiting(case) for case in made][:at_most]

    def impressions(self, video_ids: Collection[str], *, since: datetime, as_of: datetime) -> Mapping[str, int]:
        self.asked.append((since, as_of))
        return {video: n for video, n in self.shown.items() if video in video_ids}

    def weigh(self, harm: Mapping[str, float], *, now: datetime) -> None:
        self.harm |= harm


def test_cases_are_weighed_by_the_impressions_still_to_come() -> None:
    desk = Desk(a=100, b=400)
    assert prioritise(desk, desk, now=NOW) == 3
    assert desk.asked == [(NOW - timedelta(days=1), NOW)]
    # half-life 2 days: 100 of the last day leave 100 / (2^(1/2) - 1) to come; plagiarism harms 2, with probability 1/2
    assert desk.harm == pytest.approx({"case-a": 100 / (2**0.5 - 1), "case-b": 400 / (2**0.5 - 1), "case-c": 0.0})
