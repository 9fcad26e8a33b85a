"""Training rows hold what the ranker would have read at their moment, and nothing that came later."""

from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest

from contracts.errors import BadInputError
from contracts.histories import AuthorHistory
from contracts.verdicts import VERDICT_LIFETIME, Verdict
from features.lookup import lookup
from features.online.rows import microseconds
from features.store import OpenStore, open_store
from features.training_set import ALL_VIDEO_FEATURES, ensure_histories, training_set, write_history
from features.views import AUTHOR_HISTORY, VIDEO_TOXICITY, VIEWER_SENSITIVITY
from tests.features.conftest import NOON, make_config, verdict


@pytest.fixture
def offline(tmp_path: Path) -> OpenStore:
    store = open_store(make_config(tmp_path, f"sqlite:///{tmp_path}/online.db"))
    assert store.config.history_folder is not None
    ensure_histories(store.config.history_folder)
    return store


def keep(store: OpenStore, verdicts: list[Verdict]) -> None:
    assert store.config.history_folder is not None
    write_history(store.config.history_folder, VIDEO_TOXICITY, verdicts)


def moments(*rows: tuple[str, float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "video_id": [video for video, _ in rows],
            "event_timestamp": [NOON + timedelta(seconds=s) for _, s in rows],
        },
        schema={"video_id": pl.String, "event_timestamp": pl.Datetime("us", "UTC")},
    )


def releases(store: OpenStore, *rows: tuple[str, float]) -> list[int | None]:
    return training_set(store, moments(*rows))["video_toxicity__release_version"].to_list()


def test_each_row_has_the_verdict_of_its_moment(offline: OpenStore) -> None:
    # v: uploaded at 0 s and scored at 1 s by release 1, edited at 100 s and scored at 101 s by release 2.
    keep(
        offline,
        [verdict("v", occurred_s=0, release_version=1), verdict("v", occurred_s=100, release_version=2)],
    )
    assert releases(offline, ("v", 0.5), ("v", 1), ("v", 99), ("v", 101), ("v", 5_000)) == [None, 1, 1, 2, 2]


def test_a_verdict_does_not_leak_into_the_time_before_it_was_scored(offline: OpenStore) -> None:
    # The version came to be at 0 s but was scored only at 300 s: at 200 s no ranker could have known.
    keep(offline, [verdict("v", occurred_s=0, scored_s=300)])
    assert releases(offline, ("v", 200), ("v", 300)) == [None, 1]


def test_until_a_late_score_comes_the_earlier_version_holds(offline: OpenStore) -> None:
    keep(
        offline,
        [verdict("v", occurred_s=0, release_version=1), verdict("v", occurred_s=10, scored_s=300, release_version=2)],
    )
    assert releases(offline, ("v", 200), ("v", 301)) == [1, 2]


def test_an_older_version_scored_late_never_shows(offline: OpenStore) -> None:
    keep(
        offline,
        [verdict("v", occurred_s=10, scored_s=11, release_version=2), verdict("v", scored_s=300, release_version=1)],
    )
    assert releases(offline, ("v", 200), ("v", 400)) == [2, 2]


def test_every_row_is_kept_in_its_order(offline: OpenStore) -> None:
    keep(offline, [verdict("b", toxicity=0.5)])
    rows = moments(("c", 9), ("b", 9), ("a", 9), ("b", 9), ("b", -9), ("b", 10)).with_columns(
        clicked=pl.Series([1, 0, 1, 1, 0, 1])
    )
    joined = training_set(offline, rows)
    assert joined.select("video_id", "event_timestamp", "clicked").equals(rows)
    assert joined["video_toxicity__toxicity"].to_list() == [None, 0.5, None, 0.5, None, 0.5]
    assert joined["video_toxicity__state"].to_list() == ["unknown", "fresh", "unknown", "fresh", "unknown", "fresh"]


def test_the_state_is_that_of_a_lookup_at_the_moment(offline: OpenStore) -> None:
    keep(offline, [verdict("v", scored_s=0)])
    end_s = VERDICT_LIFETIME.total_seconds()
    joined = training_set(offline, moments(("v", end_s - 1), ("v", end_s)))
    assert joined["video_toxicity__state"].to_list() == ["fresh", "expired"]


def test_all_fields_come_back_as_they_were_written(offline: OpenStore) -> None:
    seen = verdict("v", toxicity=0.25)
    keep(offline, [seen])
    [row] = training_set(offline, moments(("v", 60))).to_dicts()
    assert row["video_toxicity__probabilities"] == pytest.approx(list(seen.probabilities))
    assert row["video_toxicity__decision"] == "allow"
    assert row["video_toxicity__category"] == "positive"
    assert row["video_toxicity__scored_at"] == seen.scored_at
    assert row["video_toxicity__expires_at"] == seen.expires_at


def test_features_of_several_views_are_joined_by_their_keys(offline: OpenStore) -> None:
    assert offline.config.history_folder is not None
    keep(offline, [verdict("v")])
    history = AuthorHistory.from_counts(
        "author-1", verdicts=10, violative=2, removed=1, as_of=NOON, computed_at=NOON + timedelta(hours=1)
    )
    write_history(offline.config.history_folder, AUTHOR_HISTORY, [history])
    rows = moments(("v", 1_800), ("v", 3_600)).with_columns(author_id=pl.lit("author-1"), user_id=pl.lit("user-1"))
    joined = training_set(
        offline,
        rows,
        features=[*ALL_VIDEO_FEATURES, "author_history:violative_share", "viewer_sensitivity:tolerance"],
    )
    assert joined["author_history__violative_share"].to_list() == [None, pytest.approx(0.1)]
    assert joined["viewer_sensitivity__tolerance"].to_list() == [None, None]
    assert VIEWER_SENSITIVITY.name in "".join(joined.columns)


def online_at(verdicts: list[Verdict], moment: datetime) -> int | None:
    """What the guarded online store holds at a moment: each verdict is written when it is scored."""
    held: Verdict | None = None
    for one in sorted(verdicts, key=lambda v: v.scored_at):
        if one.scored_at > moment:
            break
        if held is None or (one.occurred_at, one.scored_at) > (held.occurred_at, held.scored_at):
            held = one
    return None if held is None else held.release_version


def random_history() -> tuple[list[Verdict], list[tuple[str, float]]]:
    """300 verdicts on 20 videos, scored out of order, and 500 moments to ask about."""
    random = Random(7)
    verdicts = []
    for i in range(300):
        occurred_s = random.randrange(200) + i / 1_000
        scored_s = occurred_s + random.randrange(1, 100)
        verdicts.append(verdict(f"v{i % 20}", occurred_s=occurred_s, scored_s=scored_s, release_version=i + 1))
    return verdicts, [(f"v{random.randrange(22)}", float(random.randrange(320))) for _ in range(500)]


def test_offline_agrees_with_what_the_guard_keeps_online(offline: OpenStore) -> None:
    verdicts, rows = random_history()
    keep(offline, verdicts)
    expected = [
        online_at([v for v in verdicts if v.video_id == video], NOON + timedelta(seconds=s)) for video, s in rows
    ]
    assert releases(offline, *rows) == expected
    assert len(set(expected)) > 100


def test_a_lost_online_store_is_filled_again_from_the_history(offline: OpenStore) -> None:
    verdicts, _ = random_history()
    keep(offline, verdicts)
    offline.feast.materialize(NOON - timedelta(days=1), NOON + timedelta(days=1), ["video_toxicity"])
    ids = [f"v{i}" for i in range(20)]
    expected = [online_at([v for v in verdicts if v.video_id == video], NOON + timedelta(days=1)) for video in ids]
    assert lookup(offline, ids, NOON).release_version_N.tolist() == expected


def test_rows_without_a_moment_are_refused(offline: OpenStore) -> None:
    with pytest.raises(BadInputError, match="event_timestamp is None"):
        training_set(offline, pl.DataFrame({"video_id": ["v"]}))


def test_rows_that_have_a_feature_already_are_refused(offline: OpenStore) -> None:
    with pytest.raises(BadInputError, match="training rows have a column 'toxicity'"):
        training_set(offline, moments(("v", 1)).with_columns(toxicity=pl.lit(0.5)))


def test_a_history_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_history(tmp_path, VIDEO_TOXICITY, [verdict("v")])
    with pytest.raises(AttributeError):
        write_history(tmp_path, VIDEO_TOXICITY, [verdict("v"), object()])  # type: ignore[list-item]
    assert pl.read_parquet(tmp_path / "video_toxicity.parquet").height == 1
    assert microseconds(pl.read_parquet(tmp_path / "video_toxicity.parquet")["occurred_at"][0]) == microseconds(NOON)
