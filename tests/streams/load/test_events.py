"""The bytes that a load sends keep the contract, or break it as they say."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import BadInputError
from contracts.topics import USERS_REPORTS, VIDEOS_UPLOADED
from contracts.videos import VideoUploaded
from contracts.viewers import UserReport
from streams import edge
from streams.load.events import POISON, Encoder, read_uploads
from streams.load.plan import Drawn, LoadPlan, Mix

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOME = [
    VideoUploaded(event_id="a", video_id="a", author_id="x", occurred_at=NOW, title="第一", media_url="/m/1.mp4"),
    VideoUploaded(event_id="b", video_id="b", author_id="y", occurred_at=NOW, asr="words"),
]


def encoder(kinds: list[int], of: list[int], mix: str = "text=0.9,media=0.1") -> Encoder:
    plan = LoadPlan("run", len(kinds), rate=1.0, mix=Mix.parse(mix))
    return Encoder(plan, Drawn(np.array(kinds, np.int8), np.array(of, np.int64)), SOME)


def test_text_has_words_only_and_media_has_its_file():
    encode = encoder([0, 1], [0, 1])
    text, media = (VideoUploaded.model_validate_json(encode(n, NOW.timestamp()).value) for n in (0, 1))
    assert (text.event_id, text.video_id, text.title, text.media_url) == ("run-00000000", "run-00000000", "第一", None)
    assert (media.video_id, media.media_url) == ("run-00000001", "/m/1.mp4")
    assert text.occurred_at == NOW


def test_versions_are_of_the_same_video_and_a_late_one_is_an_hour_older():
    encode = encoder([0, 2, 3], [0, 0, 0])
    records = [encode(n, NOW.timestamp() + n) for n in range(3)]
    first, update, late = (VideoUploaded.model_validate_json(one.value) for one in records)
    assert {one.key for one in records} == {b"run-00000000"}
    assert first.video_id == update.video_id == late.video_id
    assert len({first.event_id, update.event_id, late.event_id}) == 3
    assert late.occurred_at < first.occurred_at < update.occurred_at
    assert (first.occurred_at - late.occurred_at).total_seconds() == 3_598.0


def test_a_repeat_is_the_same_record_byte_for_byte():
    encode = encoder([0, 4], [0, 0])
    assert encode(1, NOW.timestamp()) == encode(0, NOW.timestamp())


def test_a_report_is_of_an_earlier_video():
    record = encoder([0, 6], [0, 0])(1, NOW.timestamp())
    report = UserReport.model_validate_json(record.value)
    assert (record.topic, report.video_id, report.event_id) == (USERS_REPORTS.name, "run-00000000", "run-00000001")


@dataclass(frozen=True)
class Raw:
    value: bytes
    topic: str = VIDEOS_UPLOADED.name
    partition: int = 0
    offset: int = 0
    timestamp: float = 0.0
    key: bytes | None = None


def test_each_poison_is_refused_for_the_reason_that_it_says():
    letters = [edge.read([Raw(value)], VIDEOS_UPLOADED, NOW).dead for value, _ in POISON]
    assert [[letter.reason.value for letter in some] for some in letters] == [[reason] for _, reason in POISON]


def test_a_mix_that_the_uploads_cannot_make_is_refused():
    plan = LoadPlan("run", 1, rate=1.0, mix=Mix.parse("media=1"))
    with pytest.raises(BadInputError, match="no upload of --uploads has media"):
        Encoder(plan, Drawn(np.array([1], np.int8), np.array([0])), SOME[1:])


def test_a_file_of_uploads_is_refused_at_the_line_that_breaks_the_contract(tmp_path: Path):
    file = tmp_path / "uploads.jsonl"
    file.write_text(SOME[0].model_dump_json() + '\n{"event_id": "x"}\n')
    with pytest.raises(BadInputError, match=r"uploads.jsonl:2: .*video_id"):
        list(read_uploads(file))
