"""The clerk among its real embedded parts: reports open a case, its ruling is recorded, a kill loses nothing."""

import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from bench.stand_in import point_to, random_casebook, write_release
from contracts.cases import CaseAppealed, CaseOpened, CaseReason, Ruling
from contracts.dead_letters import DeadLetter
from contracts.taxonomy import Category
from contracts.topics import CASES_APPEALS, CASES_OPENED, USERS_REPORTS, VIDEOS_IMPRESSIONS, VIDEOS_UPLOADED
from contracts.videos import VideoUploaded
from contracts.viewers import Impression, Surface, UserReport
from policy.docket.docket import Docket
from policy.docket.files import NewCase
from policy.docket.principals import Principal, Role
from streams.clerk.duties.weighing import WindowSettings
from streams.stack import Stack, embedded_stack
from tests.streams.conftest import Topics
from tests.streams.watching import event, metric, until
from warehouse.address import Client, connect, parse_address

PACE = 0.1
CLERK = ("--pace", str(PACE), "--session-timeout", "2")
REVIEWER = Principal("rita", Role.REVIEWER)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, another_kafka: str | None) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("clerk")
    root = folder / "releases"
    point_to(root, write_release(root, 1, random_casebook(20)))
    with embedded_stack(
        folder / "state",
        root,
        workers=1,
        triton=False,
        broker=another_kafka,
        worker_options=("--session-timeout", "3"),
        docket=folder / "docket",
        clerk_options=CLERK,
    ) as running:
        yield running


@pytest.fixture
def docket(stack: Stack) -> Docket:
    return Docket(Path(stack.environment["PRECEDENT_DOCKET"]))


@pytest.fixture
def database(stack: Stack) -> Iterator[Client]:
    client = connect(parse_address(stack.warehouse or ""))
    yield client
    client.close()


@pytest.fixture
def topics(stack: Stack) -> Iterator[Topics]:
    opened = Topics(stack.kafka)
    opened.watch(CASES_OPENED.name, CASES_APPEALS.dead, VIDEOS_UPLOADED.name)
    yield opened
    opened.close()


def rows(client: Client, table: str, ids: list[str]) -> list[int]:
    """How many rows each of these events has, once equal ones are one, in their order."""
    found = client.query(
        f"SELECT event_id, count() FROM {table} FINAL WHERE event_id IN {{ids:Array(String)}} GROUP BY event_id",
        {"ids": ids},
    )
    counts = dict(found.result_rows)
    return [counts.get(one, 0) for one in ids]


def seen(video: str, n: int) -> list[bytes]:
    now = datetime.now(UTC)
    made = (
        Impression(
            event_id=f"i-{video}-{i}",
            user_id=f"u{i}",
            video_id=video,
            session_id=f"s{i}",
            shown_at=now,
            surface=Surface.RECOMMEND,
            watch_ms=900,
        )
        for i in range(n)
    )
    return [one.model_dump_json().encode() for one in made]


def reports(video: str, n: int) -> list[bytes]:
    now = datetime.now(UTC)
    made = (
        UserReport(
            event_id=f"r-{video}-{i}", video_id=video, reporter_id=f"u{i}", reported_at=now, surface=Surface.RECOMMEND
        )
        for i in range(n)
    )
    return [one.model_dump_json().encode() for one in made]


def ruling_on(case: CaseOpened, **more: Any) -> Ruling:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "event_id": f"ruling-{case.case_id}",
        "case_id": case.case_id,
        "video_id": case.video_id,
        "ruled_at": now,
        "ruled_by": REVIEWER.name,
        "by": "person",
        "category": Category.OFF_PLATFORM_TRADING,
        "reasoning": "it leads buyers to a private channel",
    }
    return Ruling(**fields | more)


def test_reports_open_a_case_and_its_ruling_reaches_the_warehouse(
    stack: Stack, topics: Topics, docket: Docket, database: Client
) -> None:
    topics.send(VIDEOS_IMPRESSIONS.name, *seen("v-told", 200), *seen("v-calm-1", 200))
    topics.send(USERS_REPORTS.name, *reports("v-told", 12))
    # first, and seen by a look that is taken anew: else a doubtful verdict opens the case before they are known
    until(lambda: rows(database, "reports", [f"r-v-told-{n}" for n in range(12)]) == [1] * 12)
    until(lambda: rows(database, "impressions", [f"i-v-told-{n}" for n in range(200)]) == [1] * 200)
    time.sleep(PACE * WindowSettings().fresh_s)
    topics.send(VIDEOS_UPLOADED.name, *(event(f"calm-{n}") for n in range(5)), event("told", title="加微信，私下交易"))

    [message] = topics.read(CASES_OPENED.name, 1, where=lambda m: m.key() == b"v-told")
    case = CaseOpened.model_validate_json(message.value())
    assert (case.reason, case.selection_probability) == (CaseReason.REPORT_RATE, 1.0)
    assert case.evidence is not None
    assert case.evidence.over_line is not None
    assert case.evidence.over_line > 0.9
    file = docket.file(case.case_id)
    assert (file.opened, file.upload.title, file.ruling) == (case, "加微信，私下交易", None)
    until(lambda: rows(database, "cases", [case.event_id]) == [1])

    docket.rule(ruling_on(case), REVIEWER)
    until(lambda: rows(database, "rulings", [f"ruling-{case.case_id}"]) == [1])
    clerk = stack.part("clerk")
    assert metric(clerk, 'precedent_clerk_cases_opened_total{reason="report_rate"}') == 1
    until(lambda: metric(clerk, "precedent_clerk_outbox_events") == 0)


def test_a_video_is_scored_again_with_what_its_viewers_made_of_it(topics: Topics) -> None:
    topics.send(VIDEOS_UPLOADED.name, event("again"))
    topics.send(VIDEOS_IMPRESSIONS.name, *seen("v-again", 150))

    def with_feedback(message: Message) -> bool:
        return message.key() == b"v-again" and message.value().startswith(b'{"event_id":"feedback-')

    [first, *_] = topics.read(VIDEOS_UPLOADED.name, 1, where=with_feedback)
    version = VideoUploaded.model_validate_json(first.value())
    assert version.feedback is not None
    assert version.feedback.impressions >= 100
    assert (version.title, version.author_id) == ("a title", "a-1")


def test_an_appeal_opens_a_case_and_one_by_somebody_else_is_dead_lettered_with_its_reason(
    topics: Topics, docket: Docket
) -> None:
    topics.send(VIDEOS_UPLOADED.name, event("mine"))
    fields = {"case_id": "case-x", "video_id": "v-mine", "appealed_at": datetime.now(UTC)}
    author, stranger = (
        CaseAppealed(event_id=f"appeal-{who}", author_id=who, **fields).model_dump_json().encode()
        for who in ("a-1", "stranger")
    )
    topics.send(CASES_APPEALS.name, author, b"{")
    opened = topics.read(CASES_OPENED.name, 1, where=lambda m: m.key() == b"v-mine")
    case = CaseOpened.model_validate_json(opened[0].value())
    assert case.reason is CaseReason.APPEAL
    assert [appeal.event_id for appeal in docket.file(case.case_id).appeals] == ["appeal-a-1"]

    topics.send(CASES_APPEALS.name, stranger)
    letters = [DeadLetter.model_validate_json(m.value()) for m in topics.read(CASES_APPEALS.dead, 2)]
    assert sorted(letter.reason.value for letter in letters) == ["invalid_json", "refused"]
    [refused] = [letter for letter in letters if letter.reason.value == "refused"]
    assert refused.raw == stranger
    assert "author_id == 'stranger' is not the author" in refused.text


def test_a_clerk_that_is_killed_announces_what_it_had_not_and_each_event_is_one_row(
    stack: Stack, topics: Topics, docket: Docket, database: Client
) -> None:
    stack.part("clerk").kill()
    now = datetime.now(UTC)
    upload = VideoUploaded.model_validate_json(event("killed"))
    made = [
        CaseOpened(
            event_id=f"opened-killed-{n}",
            case_id=f"case-killed-{n}",
            video_id=f"v-killed-{n}",
            opened_at=now,
            reason=CaseReason.AUDIT,
            selection_probability=0.02,
            toxicity=0.25,
            release_version=1,
            casebook_version=1,
        )
        for n in range(4)
    ]
    docket.enter([NewCase(case, upload.model_copy(update={"video_id": case.video_id}), None) for case in made], now=now)
    waiting = docket.outbox(at_most=10)
    assert len(waiting) == 4
    docket.sent([waiting[0].sequence])  # announced before the kill, and so not again
    again = stack.start("clerk", "clerk", *CLERK)
    found = topics.read(CASES_OPENED.name, 3, where=lambda m: m.key().startswith(b"v-killed"))
    _ = again.address
    until(lambda: docket.outbox(at_most=10) == [])
    assert sorted(m.key() for m in found) == [b"v-killed-1", b"v-killed-2", b"v-killed-3"]
    topics.send(CASES_OPENED.name, found[0].value(), key=found[0].key())  # a repeat, as after a kill before `sent`
    until(lambda: rows(database, "cases", [f"opened-killed-{n}" for n in range(4)]) == [0, 1, 1, 1])


def test_the_clerk_says_how_it_is_and_stops_when_told_to(stack: Stack) -> None:
    clerk = stack.part("clerk")
    with urllib.request.urlopen(f"http://{clerk.address}/live", timeout=5) as answer:
        assert answer.status == 200
    assert metric(clerk, 'precedent_clerk_since_success_seconds{duty="open"}') < 20
    began = datetime.now(UTC)
    assert clerk.end() == 0
    assert datetime.now(UTC) - began < timedelta(seconds=5)
