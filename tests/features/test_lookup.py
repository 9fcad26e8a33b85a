"""What a ranker reads: the same values as `get_online_features`, and whether each may be believed."""

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import DependencyError
from contracts.histories import AuthorHistory
from contracts.taxonomy import CATEGORIES, POSITIVE_INDEX, Category
from contracts.verdicts import VERDICT_LIFETIME, Decision, Verdict
from features.lookup import DECISIONS, Freshness, ViewerFeatures, lookup, lookup_authors, lookup_viewer
from features.online.rows import to_rows
from features.online.sqlite import GuardedTables, pack, table_name
from features.store import OpenStore, open_store
from features.views import VIDEO_TOXICITY
from features.writer import open_writer
from tests.features.conftest import NOON, candidate, make_config, verdict

CANDIDATE = ("candidate_toxicity", "candidate_decision", "candidate_release_version")


def write(store: OpenStore, verdicts: list[Verdict], authors: list[AuthorHistory] | None = None) -> None:
    async def run() -> None:
        writer = open_writer(store.config)
        await writer.write(verdicts)
        await writer.write_authors(authors or [])
        await writer.close()

    asyncio.run(run())


def fresh_id(what: str = "video") -> str:
    return f"{what}-{uuid.uuid4().hex}"


def test_lookup_and_get_online_features_read_the_same(store: OpenStore) -> None:
    ids = [fresh_id() for _ in range(20)]
    write(
        store,
        [
            verdict(
                v,
                occurred_s=i,
                toxicity=i / 20,
                decision=DECISIONS[i % 4],
                release_version=i + 1,
                candidate=candidate(i / 40, DECISIONS[(i + 1) % 4], i + 2) if i % 3 else None,
                leaf=f"t-{i}" if i % 2 else "",
            )
            for i, v in enumerate(ids[:15])
        ],
    )
    found = lookup(store, ids, NOON)
    refs = [f"video_toxicity:{name}" for name in VIDEO_TOXICITY.field_names]
    feasts = store.feast.get_online_features(refs, [{"video_id": v} for v in ids]).to_dict()
    for i in range(15):
        assert found.probabilities_N_16[i].tolist() == feasts["probabilities"][i]
        assert found.toxicity_N[i] == np.float32(feasts["toxicity"][i])
        assert DECISIONS[found.decision_N[i]].value == feasts["decision"][i]
        assert CATEGORIES[found.category_N[i]].value == feasts["category"][i]
        assert found.release_version_N[i] == feasts["release_version"][i]
        assert found.casebook_version_N[i] == feasts["casebook_version"][i]
        assert found.leaf_N[i] == feasts["leaf"][i] == (f"t-{i}" if i % 2 else "")
        if i % 3:
            assert found.candidate_toxicity_N[i] == np.float32(feasts["candidate_toxicity"][i]) == np.float32(i / 40)
            assert DECISIONS[found.candidate_decision_N[i]].value == feasts["candidate_decision"][i]
            assert found.candidate_release_version_N[i] == feasts["candidate_release_version"][i] == i + 2
        else:
            assert [feasts[name][i] for name in CANDIDATE] == [None] * 3
            assert np.isnan(found.candidate_toxicity_N[i])
            assert (found.candidate_decision_N[i], found.candidate_release_version_N[i]) == (-1, 0)
        assert found.age_s_N[i] == (NOON - feasts["scored_at"][i]).total_seconds()
        assert found.expires_in_s_N[i] == (feasts["expires_at"][i] - NOON).total_seconds()
    for i in range(15, 20):
        assert found.state_N[i] == Freshness.UNKNOWN
        assert all(feasts[name][i] is None for name in VIDEO_TOXICITY.field_names)


def test_rows_come_in_the_order_asked_for_repeats_included(store: OpenStore) -> None:
    first, second, never = fresh_id(), fresh_id(), fresh_id()
    write(store, [verdict(first, toxicity=0.125), verdict(second, toxicity=0.5)])
    found = lookup(store, [second, never, first, second], NOON)
    assert found.video_ids == (second, never, first, second)
    np.testing.assert_array_equal(found.toxicity_N, np.array([0.5, np.nan, 0.125, 0.5], np.float32))


def test_a_video_never_judged_is_unknown(store: OpenStore) -> None:
    found = lookup(store, [fresh_id()], NOON)
    assert found.state_N.tolist() == [Freshness.UNKNOWN]
    assert np.isnan(found.toxicity_N[0])
    assert np.isnan(found.probabilities_N_16).all()
    assert found.decision_N.tolist() == found.category_N.tolist() == [-1]
    assert np.isnan(found.age_s_N[0])


def test_a_verdict_is_fresh_until_the_second_it_expires(store: OpenStore) -> None:
    video = fresh_id()
    write(store, [verdict(video, scored_s=0)])
    end = NOON + VERDICT_LIFETIME
    moments = {end - timedelta(microseconds=1): Freshness.FRESH, end: Freshness.EXPIRED}
    for now, state in moments.items():
        assert lookup(store, [video], now).state_N.tolist() == [state]
    assert lookup(store, [video], end).toxicity_N.tolist() == [0.25]
    assert lookup(store, [video], end).age_s_N.tolist() == [VERDICT_LIFETIME.total_seconds()]


def test_a_verdict_under_another_taxonomy_is_out_of_date(store: OpenStore) -> None:
    video = fresh_id()
    write(store, [verdict(video).model_copy(update={"taxonomy_version": "kuaimod-17"})])
    assert lookup(store, [video], NOON).state_N.tolist() == [Freshness.EXPIRED]


def test_nothing_asked_is_nothing_found(store: OpenStore) -> None:
    found = lookup(store, [], NOON)
    assert len(found) == 0
    assert found.probabilities_N_16.shape == (0, 16)


def test_probabilities_lie_in_the_order_of_the_categories(store: OpenStore) -> None:
    video = fresh_id()
    write(store, [verdict(video, toxicity=0.25)])
    found = lookup(store, [video], NOON)
    assert found.probabilities_N_16[0, POSITIVE_INDEX] == np.float32(0.75)
    assert CATEGORIES[found.category_N[0]] is Category.POSITIVE
    assert DECISIONS[found.decision_N[0]] is Decision.ALLOW


def test_an_authors_history_goes_out_of_date(store: OpenStore) -> None:
    known, never = fresh_id("author"), fresh_id("author")
    removed_at = NOON - timedelta(days=3)
    history = AuthorHistory.from_counts(
        known, verdicts=10, violative=2, removed=1, as_of=NOON, computed_at=NOON, last_removed_at=removed_at
    )
    write(store, [], [history])
    found = lookup_authors(store, [never, known], NOON)
    assert found.state_N.tolist() == [Freshness.UNKNOWN, Freshness.FRESH]
    assert found.violative_share_N[1] == pytest.approx(3 / 30)
    assert found.verdicts_N.tolist() == [0, 10]
    assert found.removed_N.tolist() == [0, 1]
    assert found.last_removed_s_N.tolist() == [0, int(removed_at.timestamp())]
    later = lookup_authors(store, [known], NOON + timedelta(days=30))
    assert later.state_N.tolist() == [Freshness.EXPIRED]


def test_an_unknown_viewer_is_like_any_other(store: OpenStore) -> None:
    viewer = fresh_id("user")
    assert lookup_viewer(store, viewer, NOON) == ViewerFeatures.unknown(viewer)
    assert ViewerFeatures.unknown(viewer).tolerance == 0.5


def test_a_record_reads_as_plain_values(store: OpenStore) -> None:
    video, never = fresh_id(), fresh_id()
    write(store, [verdict(video, occurred_s=0.5, scored_s=2, toxicity=0.25, decision=Decision.DEMOTE)])
    known, unknown = lookup(store, [video, never], NOON + timedelta(seconds=5)).to_dicts()
    assert unknown == {"video_id": never, "state": "unknown"}
    assert known["state"] == "fresh"
    assert (known["toxicity"], known["decision"], known["age_s"]) == (0.25, "demote", 3.0)
    assert known["occurred_at"] == "2026-11-01T12:00:00.500000+00:00"
    assert known["probabilities"]["positive"] == 0.75
    assert known["candidate"] is None
    write(store, [verdict(video, occurred_s=1, candidate=candidate(0.5, Decision.REMOVE, 2))])
    [tried] = lookup(store, [video], NOON).to_dicts()
    assert tried["candidate"] == {"release_version": 2, "toxicity": 0.5, "decision": "remove"}


def test_a_row_from_before_there_were_candidates_has_none(tmp_path: Path) -> None:
    config = make_config(tmp_path, f"sqlite:///{tmp_path}/online.db")
    opened = open_store(config)
    n_before = len(VIDEO_TOXICITY.fields) - len(CANDIDATE)
    rows = [row._replace(values=row.values[:n_before]) for row in to_rows(VIDEO_TOXICITY, [verdict("video-1")])]
    tables = GuardedTables(config.sqlite_path)
    tables.upsert([(table_name(VIDEO_TOXICITY), VIDEO_TOXICITY.field_names[:n_before], pack(rows))])
    tables.close()
    found = lookup(opened, ["video-1"], NOON)
    assert found.toxicity_N.tolist() == [0.25]
    assert np.isnan(found.candidate_toxicity_N[0])
    assert (found.candidate_decision_N[0], found.candidate_release_version_N[0]) == (-1, 0)


def test_a_lost_file_reads_as_never_written(tmp_path: Path) -> None:
    config = make_config(tmp_path, f"sqlite:///{tmp_path}/online.db")
    open_store(config)
    for file in tmp_path.glob("online.db*"):
        if file.suffix != ".registry":
            file.unlink()
    assert lookup(open_store(config), ["video-1"], NOON).state_N.tolist() == [Freshness.UNKNOWN]


def test_a_file_that_is_no_store_is_a_dependency_error(tmp_path: Path) -> None:
    config = make_config(tmp_path, f"sqlite:///{tmp_path}/online.db")
    config.sqlite_path.write_text("not a database, but long enough to be taken for the header of one\n" * 20)
    with pytest.raises(DependencyError, match="file is not a database"):
        open_store(config)
    assert not list(tmp_path.glob("*.registry.*"))


def test_a_redis_that_is_away_is_a_dependency_to_wait_for(tmp_path: Path, redis_store: OpenStore) -> None:
    del redis_store  # Feast's Redis classes must be importable
    config = make_config(tmp_path, "redis://127.0.0.1:1")

    async def run() -> None:
        writer = open_writer(config)
        with pytest.raises(DependencyError, match=r"redis://127.0.0.1:1 cannot be written"):
            await writer.write([verdict("video-1")])
        await writer.close()

    asyncio.run(run())
    with pytest.raises(DependencyError, match=r"redis://127.0.0.1:1 cannot be read"):
        lookup(open_store(config), ["video-1"], NOON)
