"""An older event never replaces a newer one, whichever store holds the features and whoever writes them."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.histories import AuthorHistory, ViewerSensitivity
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from features.lookup import Freshness, lookup, lookup_authors, lookup_viewer
from features.online.rows import Written, microseconds, to_rows
from features.online.sqlite import GuardedTables, PackedRow, pack, table_name
from features.store import OpenStore
from features.views import VIDEO_TOXICITY
from features.writer import open_writer
from tests.features.conftest import NOON, verdict


def write(store: OpenStore, *batches: Sequence[Verdict]) -> list[Written]:
    async def run() -> list[Written]:
        writer = open_writer(store.config)
        try:
            return [await writer.write(batch) for batch in batches]
        finally:
            await writer.close()

    return asyncio.run(run())


def fresh_id() -> str:
    return f"video-{uuid.uuid4().hex}"


def stored(store: OpenStore, video_id: str) -> tuple[int, float]:
    """The release that judged what is stored, and how many seconds after noon that version came to be."""
    found = lookup(store, [video_id], NOON)
    return int(found.release_version_N[0]), (int(found.occurred_us_N[0]) - microseconds(NOON)) / 1e6


def test_a_newer_event_replaces_an_older_one(store: OpenStore) -> None:
    video = fresh_id()
    results = write(store, [verdict(video, release_version=1)], [verdict(video, occurred_s=5, release_version=2)])
    assert results == [Written(1, 0), Written(1, 0)]
    assert stored(store, video) == (2, 5.0)


def test_an_older_event_does_not_replace_a_newer_one(store: OpenStore) -> None:
    video = fresh_id()
    results = write(store, [verdict(video, occurred_s=5, release_version=2)], [verdict(video, release_version=1)])
    assert results == [Written(1, 0), Written(0, 1)]
    assert stored(store, video) == (2, 5.0)


def test_an_older_event_scored_later_does_not_replace_a_newer_one(store: OpenStore) -> None:
    video = fresh_id()
    late = verdict(video, occurred_s=0, scored_s=900, release_version=1)
    write(store, [verdict(video, occurred_s=5, scored_s=6, release_version=2)], [late])
    assert stored(store, video) == (2, 5.0)


def test_a_microsecond_is_enough_to_be_newer(store: OpenStore) -> None:
    video = fresh_id()
    write(store, [verdict(video, occurred_s=0.000001, release_version=2)], [verdict(video, release_version=1)])
    assert stored(store, video) == (2, 0.000001)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_between_equal_events_the_later_scored_wins(store: OpenStore, order: tuple[int, int]) -> None:
    video = fresh_id()
    both = [verdict(video, scored_s=1, release_version=1), verdict(video, scored_s=2, release_version=2)]
    write(store, *([both[i]] for i in order))
    assert stored(store, video) == (2, 0.0)


def test_within_one_batch_the_newest_wins_wherever_it_stands(store: OpenStore) -> None:
    video = fresh_id()
    batch = [verdict(video, occurred_s=s, release_version=s + 1) for s in (1, 3, 0, 2)]
    assert write(store, batch) == [Written(2, 2)]
    assert stored(store, video) == (4, 3.0)


def test_a_batch_written_again_changes_nothing(store: OpenStore) -> None:
    batch = [verdict(fresh_id()), verdict(fresh_id())]
    assert write(store, batch, batch) == [Written(2, 0), Written(0, 2)]


def test_an_empty_batch_is_written_at_once(store: OpenStore) -> None:
    assert write(store, []) == [Written(0, 0)]


def test_videos_do_not_disturb_one_another(store: OpenStore) -> None:
    videos = [fresh_id() for _ in range(600)]
    write(store, [verdict(v, release_version=i + 1) for i, v in enumerate(videos)])
    assert lookup(store, videos, NOON).release_version_N.tolist() == list(range(1, 601))


def test_several_workers_at_once_lose_nothing(store: OpenStore) -> None:
    video = fresh_id()

    async def run() -> None:
        writers = [open_writer(store.config) for _ in range(4)]
        try:
            await asyncio.gather(
                *(writers[i % 4].write([verdict(video, occurred_s=i, release_version=i + 1)]) for i in range(40))
            )
        finally:
            for writer in writers:
                await writer.close()

    asyncio.run(run())
    assert stored(store, video) == (40, 39.0)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(4, 7)), min_size=1, max_size=8, unique=True),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_in_any_order_and_any_batches_the_newest_stays(
    store: OpenStore, times: list[tuple[int, int]], random: Random, size: int
) -> None:
    video = fresh_id()
    events = [
        verdict(video, occurred_s=occurred, scored_s=scored, release_version=1 + 10 * occurred + scored)
        for occurred, scored in times
    ]
    random.shuffle(events)
    write(store, *(events[i : i + size] for i in range(0, len(events), size)))
    occurred, scored = max(times)
    assert stored(store, video) == (1 + 10 * occurred + scored, float(occurred))


def push(store: OpenStore, verdicts: Iterable[Verdict]) -> None:
    names = [VIDEO_TOXICITY.key, VIDEO_TOXICITY.occurred, *VIDEO_TOXICITY.field_names]
    columns = [{name: getattr(one, name) for name in names} for one in verdicts]
    frame = pl.DataFrame([{**c, "probabilities": list(c["probabilities"])} for c in columns])
    store.feast.push("video_toxicity_push", frame.to_pandas())


def test_feasts_own_push_is_guarded_too(store: OpenStore) -> None:
    video = fresh_id()
    write(store, [verdict(video, occurred_s=5, release_version=2)])
    push(store, [verdict(video, occurred_s=1, release_version=1)])
    assert stored(store, video) == (2, 5.0)
    push(store, [verdict(video, occurred_s=9, release_version=3), verdict(video, occurred_s=7, release_version=1)])
    assert stored(store, video) == (3, 9.0)
    write(store, [verdict(video, occurred_s=8, release_version=1)])
    assert stored(store, video) == (3, 9.0)


def test_what_push_writes_and_what_the_writer_writes_are_the_same(store: OpenStore) -> None:
    ours, feasts = fresh_id(), fresh_id()
    write(store, [verdict(ours, toxicity=0.75)])
    push(store, [verdict(feasts, toxicity=0.75)])
    refs = [f"video_toxicity:{name}" for name in VIDEO_TOXICITY.field_names]
    read = store.feast.get_online_features(refs, [{"video_id": ours}, {"video_id": feasts}]).to_dict()
    for name in VIDEO_TOXICITY.field_names:
        assert read[name][0] == read[name][1], name


def test_authors_and_viewers_are_guarded_alike(store: OpenStore) -> None:
    author, viewer = fresh_id(), fresh_id()

    def history(day: int, violative: int) -> AuthorHistory:
        as_of = NOON + timedelta(days=day)
        return AuthorHistory.from_counts(
            author, verdicts=30, violative=violative, removed=0, as_of=as_of, computed_at=as_of
        )

    sensitivity = ViewerSensitivity.from_counts(
        viewer, impressions=10, reports=0, toxic_impressions=4, toxic_skips=4, toxic_rejections=4,
        as_of=NOON, computed_at=NOON,
    )  # fmt: skip

    async def run() -> list[Written]:
        writer = open_writer(store.config)
        try:
            return [
                await writer.write_authors([history(2, 9)]),
                await writer.write_authors([history(1, 0)]),
                await writer.write_viewers([sensitivity]),
            ]
        finally:
            await writer.close()

    assert asyncio.run(run()) == [Written(1, 0), Written(0, 1), Written(1, 0)]
    authors = lookup_authors(store, [author], NOON + timedelta(days=3))
    assert authors.violative_share_N[0] == pytest.approx((9 + 1) / (30 + 20))
    assert lookup_viewer(store, viewer, NOON).tolerance == pytest.approx(1 - 6 / 8)
    assert lookup_viewer(store, viewer, NOON + timedelta(days=31)).state is Freshness.UNKNOWN


def test_one_process_alone_writes_sqlite_without_an_owner(tmp_path: Path) -> None:
    config = FeaturesConfig(online=f"sqlite:///{tmp_path}/online.db")

    async def run() -> list[Written]:
        writer = open_writer(config)
        try:
            newer, older = verdict("video-1", occurred_s=1), verdict("video-1")
            return [await writer.write([newer]), await writer.write([older])]
        finally:
            await writer.close()

    assert asyncio.run(run()) == [Written(1, 0), Written(0, 1)]


def test_a_transaction_that_fails_writes_nothing_of_any_batch(tmp_path: Path) -> None:
    tables = GuardedTables(tmp_path / "online.db")
    tables.create_all()
    rows = pack_one("video-1")
    broken = [rows[0]._replace(values=None)]  # type: ignore[arg-type]
    table, names = table_name(VIDEO_TOXICITY), VIDEO_TOXICITY.field_names
    with pytest.raises(Exception, match="NOT NULL"):
        tables.upsert([(table, names, rows), (table, names, broken)])
    assert tables.select(table, [rows[0].key]) == {}
    assert tables.upsert([(table, names, rows)]) == [Written(1, 0)]
    tables.close()


def test_rows_written_under_earlier_fields_are_still_read(tmp_path: Path) -> None:
    tables = GuardedTables(tmp_path / "online.db")
    rows = pack_one("video-1")
    table = table_name(VIDEO_TOXICITY)
    tables.upsert([(table, ("probabilities", "toxicity"), rows)])
    tables.create(table, VIDEO_TOXICITY.field_names)
    assert tables.select(table, [rows[0].key])[rows[0].key].names == ("probabilities", "toxicity")
    tables.close()


def pack_one(video_id: str) -> list[PackedRow]:
    return pack(to_rows(VIDEO_TOXICITY, [verdict(video_id)]))
