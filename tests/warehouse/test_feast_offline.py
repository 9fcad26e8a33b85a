"""Feast's ClickHouse offline store on the embedded warehouse: training rows see what was readable at their moment."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.verdicts import Decision
from tests.warehouse.samples import START, verdict
from warehouse.address import Client, WarehouseAddress
from warehouse.sink import VerdictSink

# Feast's ClickHouse store imports its Postgres store, and that one a connection pool.
pytest.importorskip("psycopg_pool", reason="Feast's ClickHouse store imports psycopg_pool")

UPLOADED = START
SCORED = START + timedelta(seconds=2)
CHANGED = START + timedelta(seconds=60)


@pytest.fixture
def feast_store(address: WarehouseAddress, tmp_path: Path) -> Iterator[Any]:
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
    from feast.infra.offline_stores.contrib.clickhouse_offline_store.clickhouse_source import ClickhouseSource
    from feast.infra.utils.clickhouse import connection_utils
    from feast.types import Array, Float32, Int64, String, UnixTimestamp

    # Feast keeps one client a thread for good, whatever the configuration says later.
    connection_utils.thread_local.__dict__.pop("clickhouse_client", None)
    store = FeatureStore(
        config=RepoConfig(
            project="warehouse_test",
            provider="local",
            registry=str(tmp_path / "registry.db"),
            online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
            offline_store={
                "type": "clickhouse",
                "host": address.host,
                "port": address.port,
                "user": address.user,
                "password": address.password,
                "database": address.database,
                "additional_client_args": {"settings": {"join_use_nulls": 1}},
            },
            entity_key_serialization_version=3,
        )
    )
    video = Entity(name="video", join_keys=["video_id"], value_type=ValueType.STRING)
    types = {
        "video_id": String,
        "probabilities": Array(Float32),
        "toxicity": Float32,
        "decision": String,
        "release_version": Int64,
        "casebook_version": Int64,
        "taxonomy_version": String,
        "scored_at": UnixTimestamp,
        "expires_at": UnixTimestamp,
    }
    # By when it was known; and by which version of the video is newest, among what was known.
    times = {"by_scoring": ("event_timestamp", "created_timestamp"), "by_version": ("occurred_at", "scored_at")}
    views = [
        FeatureView(
            name=name,
            entities=[video],
            ttl=timedelta(days=7),
            schema=[Field(name=field, dtype=dtype) for field, dtype in types.items()],
            source=ClickhouseSource(
                name=f"{name}_source", table="video_toxicity", timestamp_field=at, created_timestamp_column=created
            ),
        )
        for name, (at, created) in times.items()
    ]
    store.apply([video, *views])
    yield store
    connection_utils.thread_local.__dict__.pop("clickhouse_client", None)


def training_rows(
    store: Any, moments: list[tuple[str, datetime]], *names: str, view: str = "by_scoring", **options: Any
) -> list[dict[str, Any]]:
    import pandas as pd  # type: ignore[import-untyped]

    rows = pd.DataFrame(moments, columns=["video_id", "event_timestamp"]).assign(place=range(len(moments)))
    features = [f"{view}:{name}" for name in names]
    joined = store.get_historical_features(entity_df=rows, features=features, **options).to_arrow()
    return [{name: row[name] for name in names} for row in sorted(joined.to_pylist(), key=lambda row: row["place"])]


def test_a_training_row_reads_what_was_known_at_its_moment(feast_store: Any, database: Client) -> None:
    first = verdict(1, video_id="clip", occurred_at=UPLOADED, scored_at=SCORED)
    edited = verdict(2, video_id="clip", occurred_at=CHANGED, scored_at=CHANGED, decision=Decision.REMOVE)
    VerdictSink(database).insert([first, edited])
    VerdictSink(database).insert([edited, first])
    second = timedelta(seconds=1)
    moments = [
        ("clip", UPLOADED + second),  # uploaded, not yet scored
        ("clip", SCORED),
        ("clip", CHANGED - second),
        ("clip", CHANGED + second),
        ("clip", CHANGED + timedelta(days=8)),  # out of the view's lifetime
        ("never uploaded", CHANGED),
    ]
    read = training_rows(feast_store, moments, "decision", "toxicity", "scored_at", "expires_at")
    nothing = dict.fromkeys(("decision", "toxicity", "scored_at", "expires_at"))
    before = {"decision": "demote", "toxicity": 0.25, "scored_at": SCORED, "expires_at": first.expires_at}
    after = {"decision": "remove", "toxicity": 0.25, "scored_at": CHANGED, "expires_at": edited.expires_at}
    assert read == [nothing, before, before, after, nothing, nothing]


def test_a_late_verdict_on_an_old_version_does_not_hide_the_newer_version(feast_store: Any, database: Client) -> None:
    old = verdict(1, video_id="clip", occurred_at=UPLOADED, scored_at=CHANGED + timedelta(seconds=9))
    new = verdict(2, video_id="clip", occurred_at=CHANGED, scored_at=CHANGED, decision=Decision.REMOVE)
    VerdictSink(database).insert([old, new])
    moments = [("clip", CHANGED - timedelta(seconds=1)), ("clip", CHANGED + timedelta(minutes=1))]
    known: dict[str, Any] = {"view": "by_version", "filter_by_created_timestamp": True}
    assert training_rows(feast_store, moments, "decision", **known) == [{"decision": None}, {"decision": "remove"}]


def test_probabilities_keep_their_order_and_a_missing_array_is_empty(feast_store: Any, database: Client) -> None:
    given = verdict(3, video_id="clip", scored_at=SCORED)
    VerdictSink(database).insert([given])
    read = training_rows(feast_store, [("clip", CHANGED), ("other", CHANGED)], "probabilities", "release_version")
    assert read[0] == {"probabilities": list(given.probabilities), "release_version": 3}
    assert read[1] == {"probabilities": [], "release_version": None}


def test_the_offline_store_fills_the_online_store(feast_store: Any, database: Client) -> None:
    VerdictSink(database).insert([verdict(4, video_id="clip", scored_at=SCORED)])
    feast_store.materialize(START - timedelta(days=1), START + timedelta(days=1))
    online = feast_store.get_online_features(["by_scoring:decision"], [{"video_id": "clip"}]).to_dict()
    assert online == {"video_id": ["clip"], "decision": ["allow"]}
