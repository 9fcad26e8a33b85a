"""The bytes that the writers make are those that Feast would make."""

from datetime import UTC, datetime, timedelta, timezone

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import FloatList, RepeatedValue, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from contracts.histories import AuthorHistory
from contracts.verdicts import Decision
from features.online.rows import Row, microseconds, repeated, timestamp, to_rows, varint
from features.views import AUTHOR_HISTORY, VIDEO_TOXICITY
from tests.features.conftest import NOON, candidate, verdict

TIMES = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def one_row(video_id: str = "video-1", *, toxicity: float = 0.25) -> Row:
    return to_rows(VIDEO_TOXICITY, [verdict(video_id, toxicity=toxicity)])[0]


def test_a_verdict_becomes_feasts_values_in_the_order_of_the_view() -> None:
    seen = verdict("video-1", toxicity=0.25, candidate=candidate(0.5, Decision.REVIEW, 2), leaf="t-1")
    expected = {
        "probabilities": Value(float_list_val=FloatList(val=seen.probabilities)),
        "toxicity": Value(float_val=0.25),
        "decision": Value(string_val="allow"),
        "category": Value(string_val="positive"),
        "release_version": Value(int64_val=1),
        "casebook_version": Value(int64_val=2),
        "taxonomy_version": Value(string_val="kuaimod-16"),
        "scored_at": Value(unix_timestamp_val=int(NOON.timestamp()) + 1),
        "expires_at": Value(unix_timestamp_val=int(NOON.timestamp()) + 1 + 7 * 86_400),
        "candidate_toxicity": Value(float_val=0.5),
        "candidate_decision": Value(string_val="review"),
        "candidate_release_version": Value(int64_val=2),
        "leaf": Value(string_val="t-1"),
    }
    values = tuple(expected[name].SerializeToString() for name in VIDEO_TOXICITY.field_names)
    assert to_rows(VIDEO_TOXICITY, [seen])[0].values == values
    no_leaf = Value(string_val="").SerializeToString()
    assert one_row().values == (*values[:-4], b"", b"", b"", no_leaf)


@given(st.text(alphabet="aZ09_.:-", min_size=1, max_size=300))
def test_a_key_is_feasts_entity_key(video_id: str) -> None:
    record = verdict("video-1").model_copy(update={"video_id": video_id})
    key = EntityKey(join_keys=["video_id"], entity_values=[Value(string_val=video_id)])
    assert to_rows(VIDEO_TOXICITY, [record])[0].key == serialize_entity_key(key, entity_key_serialization_version=3)


@given(
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.text(max_size=300),
    st.lists(st.floats(width=32, allow_nan=False), max_size=40),
)
def test_values_are_framed_as_feasts_repeated_value(number: int, text: str, floats: list[float]) -> None:
    values = [Value(int64_val=number), Value(string_val=text), Value(float_list_val=FloatList(val=floats)), Value()]
    assert repeated([v.SerializeToString() for v in values]) == RepeatedValue(val=values).SerializeToString()
    assert Value(int64_val=number).SerializeToString() == b"\x20" + varint(number)


@given(TIMES)
def test_times_are_exact_to_the_microsecond(moment: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(moment)
    assert timestamp(microseconds(moment)) == expected.SerializeToString()


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert microseconds(datetime(2026, 11, 1, 20, tzinfo=shanghai)) == microseconds(NOON)


def test_what_is_missing_is_an_empty_value() -> None:
    history = AuthorHistory.from_counts("author-1", verdicts=3, violative=1, removed=0, as_of=NOON, computed_at=NOON)
    [row] = to_rows(AUTHOR_HISTORY, [history])
    assert row.values[AUTHOR_HISTORY.field_names.index("last_removed_at")] == b""
    assert Value.FromString(b"").WhichOneof("val") is None
