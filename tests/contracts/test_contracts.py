"""The contracts: what they accept, what they refuse and how they say so."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.kuaimod import read_kuaimod
from contracts.releases import CategoryThresholds, InputShape, Thresholds
from contracts.taxonomy import CATEGORIES, POSITIVE_INDEX, VIOLATIVE, VIOLATIVE_GROUPS, Category, Group
from contracts.topics import EVENTS, TOPICS
from contracts.verdicts import Decision, Verdict
from contracts.videos import MAX_TITLE_CHARS, FeedbackCounts, VideoUploaded
from contracts.viewers import LONGEST_VISIT, UserSession

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
UPLOAD = {"event_id": "e1", "video_id": "v1", "author_id": "a1", "occurred_at": "2026-01-02T12:00:00Z", "title": "你好"}


def upload_json(**changes: object) -> bytes:
    fields = {**UPLOAD, **changes}
    return json.dumps({k: v for k, v in fields.items() if v != "absent"}).encode()


def test_the_taxonomy_has_four_groups_of_violations_and_positive() -> None:
    assert [sum(c.group is group for c in CATEGORIES) for group in Group] == [5, 4, 4, 2, 1]
    assert len(CATEGORIES) == 16
    assert len(VIOLATIVE) == 15
    assert Group.POSITIVE not in VIOLATIVE_GROUPS
    assert CATEGORIES[POSITIVE_INDEX] is Category.POSITIVE
    assert [c.position for c in CATEGORIES] == list(range(16))


def test_each_category_is_found_by_both_of_its_names() -> None:
    for category in CATEGORIES:
        assert Category(category.value) is category
        assert Category.from_chinese(category.chinese) is category
    assert Category.from_chinese("色情低俗") is Category.SEXUAL_CONTENT
    with pytest.raises(ValueError, match="tag == '别的', must be one of the 16 labels"):
        Category.from_chinese("别的")


def test_an_upload_survives_its_own_json() -> None:
    upload = VideoUploaded.model_validate_json(upload_json(feedback={"impressions": 3, "reports": 1}))
    assert VideoUploaded.model_validate_json(upload.model_dump_json()) == upload


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"video_id": "absent"}, "video_id: Field required"),
        ({"video_id": "a b"}, "video_id == 'a b': String should match pattern"),
        ({"colour": "red"}, "colour == 'red': Extra inputs are not permitted"),
        ({"occurred_at": "2026-01-02T12:00:00"}, "occurred_at == '2026-01-02T12:00:00': Input should have timezone"),
        ({"title": "x" * (MAX_TITLE_CHARS + 1)}, "title == 'xxx"),
        ({"picture_count": -1}, "picture_count == -1: Input should be greater than or equal to 0"),
        ({"picture_count": True}, "picture_count == True: Input should be a valid integer"),
        ({"feedback": {"impressions": "3", "reports": 0}}, "feedback.impressions == '3': Input should be a valid int"),
        ({"occurred_at": 1_700_000_000}, "occurred_at == 1700000000: Input should be a valid datetime"),
        ({"feedback": {"impressions": 1, "reports": 2}}, "feedback: Value error, reports == 2, must be at most"),
        ({"title": None}, "record: Value error, title, ocr, asr and media_url are all missing"),
    ],
)
def test_a_broken_upload_names_place_value_and_rule(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        VideoUploaded.model_validate_json(upload_json(**changes))
    assert first_reason(caught.value).startswith(reason)
    assert len(first_reason(caught.value)) < 250


def test_a_reason_is_one_short_line_whatever_names_and_values_were_chosen() -> None:
    hostile = "a\nb\x1b[2J\u202e" * 10_000
    with pytest.raises(ValidationError) as caught:
        VideoUploaded.model_validate_json(upload_json(**{hostile: hostile}))
    reason = first_reason(caught.value)
    assert reason.startswith(r"a\nb\x1b[2J\u202ea\nb")
    assert reason.isprintable()
    assert reason.endswith("Extra inputs are not permitted")
    assert len(reason) < 600


def test_bytes_that_are_not_json_say_so() -> None:
    with pytest.raises(ValidationError) as caught:
        VideoUploaded.model_validate_json(b'{"event_id": ')
    assert first_reason(caught.value).startswith("record: Invalid JSON")


def verdict(**changes: object) -> Verdict:
    p = [0.0] * 16
    p[0], p[POSITIVE_INDEX] = 0.25, 0.75
    fields: dict[str, object] = {
        "event_id": "e1",
        "video_id": "v1",
        "author_id": "a1",
        "occurred_at": NOON,
        "scored_at": NOON + timedelta(seconds=1),
        "probabilities": tuple(p),
        "classifier": tuple(p),
        "toxicity": 0.25,
        "category": Category.POSITIVE,
        "decision": Decision.ALLOW,
        "citations": (),
        "missing": (),
        "release_version": 1,
        "casebook_version": 1,
        "taxonomy_version": "kuaimod-16",
        "since_upload_ms": 1000.0,
    }
    return Verdict.model_validate({**fields, **changes})


def test_a_verdict_knows_each_category_by_name() -> None:
    assert verdict().probability_of(Category.ILLEGAL_ACTIVITY) == 0.25
    assert verdict().probability_of(Category.POSITIVE) == 0.75


def test_a_version_fits_the_column_that_keeps_it() -> None:
    assert verdict(release_version=2**31 - 1).release_version == 2**31 - 1
    with pytest.raises(ValidationError, match="less than 2147483648"):
        verdict(casebook_version=2**31)


def test_a_verdict_whose_toxicity_disagrees_with_its_probabilities_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"toxicity == 0.5, must be 1 - p\(positive\) == 0.25"):
        verdict(toxicity=0.5)
    with pytest.raises(ValidationError, match=r"probabilities sum to 0\.000000, must be 1"):
        verdict(probabilities=(0.0,) * 16)


def test_a_verdict_may_carry_what_a_candidate_release_decided() -> None:
    tried = {
        "release_version": 2, "casebook_version": 3, "toxicity": 0.5, "category": "plagiarism", "decision": "review",
    }  # fmt: skip
    both = verdict(candidate=tried)
    assert (both.decision, both.candidate_decision) == (Decision.ALLOW, Decision.REVIEW)
    assert (both.candidate_toxicity, both.candidate_release_version) == (0.5, 2)
    assert Verdict.model_validate_json(both.model_dump_json()) == both


def test_a_verdict_from_before_there_were_candidates_still_reads() -> None:
    before = json.loads(verdict().model_dump_json())
    assert before.pop("candidate") is None
    read = Verdict.model_validate_json(json.dumps(before))
    assert (read.candidate, read.candidate_decision, read.candidate_toxicity) == (None, None, None)
    assert read.candidate_release_version is None
    assert "candidate" not in Verdict.model_json_schema()["required"]


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_thresholds_hold_in_order_of_strictness_or_are_refused(lines: list[float]) -> None:
    demote, review, remove = lines
    if demote <= review <= remove:
        CategoryThresholds(demote=demote, review=review, remove=remove)
    else:
        with pytest.raises(ValidationError, match="must not decrease"):
            CategoryThresholds(demote=demote, review=review, remove=remove)


def test_thresholds_must_name_each_violative_category() -> None:
    with pytest.raises(ValidationError, match="by_category lacks illegal_activity, political_misconduct"):
        Thresholds(toxicity=0.5, by_category={})


def test_an_input_shape_fits_a_workers_memory() -> None:
    InputShape(n_frames=32, frame_px=256, text_buckets=65_536, max_ngrams=4_096)
    with pytest.raises(ValidationError, match="n_frames == 64 of frame_px == 1024 are 201326592 bytes a video"):
        InputShape(n_frames=64, frame_px=1_024, text_buckets=65_536, max_ngrams=4_096)
    with pytest.raises(ValidationError, match="text_buckets"):  # three ranges of them are int32
        InputShape(n_frames=9, frame_px=64, text_buckets=10**9, max_ngrams=4_096)


def test_feedback_cannot_have_more_reports_than_impressions() -> None:
    FeedbackCounts(impressions=1, reports=1)
    with pytest.raises(ValidationError, match="reports == 2, must be at most impressions == 1"):
        FeedbackCounts(impressions=1, reports=2)


def test_every_topic_is_keyed_by_a_field_of_its_event_and_has_a_place_for_the_dead() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS) == 9
    for topic in TOPICS:
        assert topic.key in topic.event.model_fields
        assert topic.dead == f"{topic.name}.dead"


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_each_event_has_a_json_schema_that_forbids_extra_fields(name: str) -> None:
    schema = EVENTS[name].model_json_schema()
    assert schema["additionalProperties"] is False
    assert "event_id" in schema["required"]


def test_a_broken_benchmark_line_is_named_by_file_and_number(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    good = {"tag": "正向", "title": "t", "OCR": "null", "ASR": "a", "images": ["0.jpg"], "pid": "1"}
    path.write_text(json.dumps(good) + "\n\n" + json.dumps({**good, "tag": "别的"}) + "\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=rf"{path}:3: tag == '别的', must be one of the 16 labels"):
        list(read_kuaimod(path))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("pid", "a b", "pid == 'a b': String should match"), ("images", ["x"] * 1_001, "images == .*at most 1000 items")],
)
def test_a_benchmark_line_that_no_upload_can_be_made_of_is_refused_where_it_is_read(
    tmp_path: Path, field: str, value: object, reason: str
) -> None:
    path = tmp_path / "cases.jsonl"
    good = {"tag": "正向", "title": "t", "OCR": "null", "ASR": "a", "images": ["0.jpg"], "pid": "1"}
    path.write_text(json.dumps({**good, field: value}), encoding="utf-8")
    with pytest.raises(BadInputError, match=rf"{path}:1: {reason}"):
        list(read_kuaimod(path))


def test_a_benchmark_record_becomes_a_case_whose_nulls_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    line = {"tag": "正向", "title": "t", "OCR": "null", "ASR": "a", "images": ["0.jpg", "1.jpg"], "pid": "007"}
    path.write_text(json.dumps(line), encoding="utf-8")
    [case] = [record.to_case() for record in read_kuaimod(path)]
    assert case.category is Category.POSITIVE
    assert case.case_id == "kuaimod-007"
    assert (case.upload.title, case.upload.ocr, case.upload.asr, case.upload.picture_count) == ("t", None, "a", 2)


def test_a_session_lasts_a_day_at_most() -> None:
    visit = {"event_id": "e1", "user_id": "u1", "session_id": "s1", "started_at": NOON, "impressions": 1}
    whole_day = NOON + LONGEST_VISIT
    assert UserSession.model_validate({**visit, "ended_at": whole_day}).ended_at == whole_day
    for ended_at, rule in (
        (whole_day + timedelta(seconds=1), "within 24 hours"),
        (NOON - LONGEST_VISIT, "not be before"),
    ):
        with pytest.raises(ValidationError, match=rule):
            UserSession.model_validate({**visit, "ended_at": ended_at})
