"""Batches in, verdicts and dead letters out; by hand and, for bytes of any kind, by property."""

import asyncio
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.dead_letters import MAX_KEPT_BYTES, DeadLetter, DeadReason
from contracts.errors import DependencyError
from contracts.verdicts import Decision
from streams.moderation import Moderated, check, groups, moderate
from tests.streams.events import NOW, Raw, raw, upload
from tests.streams.stand_ins import PIN, POLICY, StandInScorer, stand_in_parts


def moderated(*batch: Raw, scorer: StandInScorer | None = None) -> Moderated:
    """Every event checked, and those accepted judged together."""
    parts = stand_in_parts(scorer or StandInScorer())
    checked = check(batch, NOW)
    judged = asyncio.run(moderate(checked.accepted, parts, POLICY, now=lambda: NOW))
    return Moderated(judged.verdicts, checked.dead + judged.dead)


def letter_for(event: Raw) -> DeadLetter:
    result = moderated(event)
    assert result.verdicts == []
    return result.dead[0]


def test_each_upload_gets_the_verdict_of_its_own_scores_by_the_pinned_release():
    result = moderated(raw("mild", title="t 0.2"), raw("bad", title="t 0.95"))

    mild, bad = result.verdicts
    assert (mild.video_id, mild.decision, mild.toxicity) == ("v-mild", Decision.ALLOW, pytest.approx(0.2))
    assert (bad.video_id, bad.decision, bad.toxicity) == ("v-bad", Decision.REMOVE, pytest.approx(0.95))
    assert (bad.release_version, bad.casebook_version) == (PIN.release_version, PIN.casebook_version)
    assert result.dead == []


def test_the_verdict_carries_the_uploads_event_id_and_the_time_since_it():
    [verdict] = moderated(raw("x", occurred_at=(NOW - timedelta(milliseconds=250)).isoformat())).verdicts

    assert verdict.event_id == "e-x"
    assert verdict.scored_at == NOW
    assert verdict.since_upload_ms == 250.0


def test_an_upload_from_a_clock_slightly_ahead_has_waited_no_time():
    [verdict] = moderated(raw("x", occurred_at=(NOW + timedelta(minutes=5)).isoformat())).verdicts

    assert verdict.since_upload_ms == 0.0


@pytest.mark.parametrize(
    ("value", "reason", "place"),
    [
        (None, DeadReason.EMPTY, "value"),
        (b"", DeadReason.EMPTY, "value"),
        (b"{", DeadReason.INVALID_JSON, "value"),
        (b"[" * 50_000, DeadReason.INVALID_JSON, "value"),
        (b'{"event_id": "\xff"}', DeadReason.INVALID_UTF8, "byte 14"),
        (b"[]", DeadReason.CONTRACT, "record"),
        (b"null", DeadReason.CONTRACT, "record"),
    ],
)
def test_what_is_no_json_object_is_refused_with_where_it_breaks(value, reason, place):
    letter = letter_for(Raw(value))

    assert (letter.reason, letter.place) == (reason, place)
    assert letter.raw == (value or b"")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"video_id": None}, "video_id"),
        ({"surprise": 1}, "surprise"),
        ({"title": "字" * 33_334}, "title"),
        ({"title": None}, "record"),
        ({"event_id": "no spaces"}, "event_id"),
        ({"occurred_at": "2026-11-23T08:00:00"}, "occurred_at"),
        ({"occurred_at": 1e400}, "occurred_at"),
        ({"picture_count": -1}, "picture_count"),
        ({"feedback": {"impressions": 1, "reports": 2}}, "feedback"),
        ({"feedback": {"impressions": 10**400, "reports": 2}}, "feedback.impressions"),
    ],
)
def test_what_the_contract_refuses_is_refused_with_the_field(changes, place):
    letter = letter_for(raw("x", **changes))

    assert (letter.reason, letter.place) == (DeadReason.CONTRACT, place)
    assert letter.text


@pytest.mark.parametrize(
    "occurred_at",
    [
        (NOW + timedelta(minutes=5, seconds=1)).isoformat(),
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "1999-12-31T23:59:59Z",
    ],
)
def test_clocks_in_the_future_or_before_the_calendar_are_refused(occurred_at):
    letter = letter_for(raw("x", occurred_at=occurred_at))

    assert (letter.reason, letter.place) == (DeadReason.CLOCK, "occurred_at")


def test_broken_media_refuses_its_event_although_the_text_could_be_judged():
    result = moderated(raw("seen", media_url="a.mp4"), raw("broken", media_url="a.txt"), raw("text"))

    assert [v.video_id for v in result.verdicts] == ["v-seen", "v-text"]
    assert ["frames" in v.missing for v in result.verdicts] == [False, True]
    [letter] = result.dead
    assert (letter.reason, letter.place) == (DeadReason.MEDIA, "unreachable")
    assert json.loads(letter.raw)["video_id"] == "v-broken"


def test_a_dead_letter_says_where_its_event_lay_and_when_it_was_sent():
    letter = letter_for(Raw(b"{", offset=7, partition=3, timestamp=NOW.timestamp(), key=b"v-7"))

    assert (letter.topic, letter.partition, letter.offset) == ("videos.uploaded", 3, 7)
    assert letter.sent_at == NOW
    assert letter.refused_at == NOW
    assert letter.key_base64 == "di03"


@pytest.mark.parametrize("timestamp", [None, -1.0, 1e300, float("nan")])
def test_a_record_without_a_usable_time_still_gets_its_letter(timestamp):
    assert letter_for(Raw(b"{", timestamp=timestamp)).sent_at is None


def test_a_dead_letter_of_a_huge_event_fits_a_topic_and_knows_the_whole():
    huge = json.dumps(upload("x", asr="字" * 300_000), ensure_ascii=False).encode()
    letter = letter_for(Raw(huge))

    assert letter.raw == huge[:MAX_KEPT_BYTES]
    assert letter.raw_bytes == len(huge)
    assert len(letter.model_dump_json()) < 1_000_000


def test_the_same_event_twice_in_a_batch_is_judged_once():
    checked = check([raw("a", offset=1), raw("b", offset=2), raw("a", offset=3)], NOW)

    assert [one.upload.event_id for one in checked.accepted] == ["e-a", "e-b"]
    assert checked.repeated == 1


def test_two_events_that_share_an_id_but_differ_are_both_judged():
    result = moderated(raw("a", title="t 0.1"), raw("a", title="t 0.2"))

    assert [v.toxicity for v in result.verdicts] == [pytest.approx(0.1), pytest.approx(0.2)]


def test_those_with_media_go_in_small_groups_beside_all_the_others():
    names = {"a": None, "b": "b.mp4", "c": None, "d": "d.mp4", "e": "e.mp4"}
    checked = check([raw(name, media_url=url) for name, url in names.items()], NOW)

    found = [[one.upload.video_id[2:] for one in group] for group in groups(checked.accepted, 2)]
    assert found == [["a", "c"], ["b", "d"], ["e"]]
    assert list(groups([], 2)) == []


def test_a_scorer_that_is_away_fails_the_batch_and_refuses_nobody():
    with pytest.raises(DependencyError):
        moderated(raw("a"), Raw(b"{"), scorer=StandInScorer(away=True))


def test_one_event_that_breaks_the_code_does_not_hold_up_the_others():
    result = moderated(raw("a"), raw("poison", title="t 0.5"), raw("b"), scorer=StandInScorer(broken_by=0.5))

    assert [v.video_id for v in result.verdicts] == ["v-a", "v-b"]
    [letter] = result.dead
    assert (letter.reason, letter.text) == (DeadReason.UNEXPECTED, "ZeroDivisionError: a fault of the code")


def test_when_every_event_breaks_the_code_the_fault_is_ours_and_nobody_is_refused():
    with pytest.raises(ZeroDivisionError):
        moderated(raw("a", title="t 0.5"), raw("b", title="t 0.5"), scorer=StandInScorer(broken_by=0.5))


def test_an_empty_batch_asks_no_model():
    scorer = StandInScorer()
    assert moderated(scorer=scorer) == Moderated([], [])
    assert scorer.pins == []


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(json.dumps(upload("ok")).encode())), max_size=8))
def test_whatever_the_bytes_every_event_gets_a_verdict_or_a_letter(values):
    batch = [Raw(value, offset) for offset, value in enumerate(values)]
    repeated = check(batch, NOW).repeated
    result = moderated(*batch)

    assert len(result.verdicts) + len(result.dead) + repeated == len(batch)
    assert all(letter.raw == batch[letter.offset].value for letter in result.dead)
