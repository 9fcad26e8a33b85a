"""The same training rows from the warehouse: Feast's ClickHouse store on the embedded owner process."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from features.store import OpenStore, open_store
from features.training_set import training_set
from tests.features.conftest import NOON, verdict
from tests.features.test_training_set import moments, online_at, random_history, releases
from tests.warehouse.owners import running_owner
from warehouse.address import connect
from warehouse.migrate import migrate
from warehouse.sink import VerdictSink


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OpenStore, VerdictSink]]:
    from feast.infra.utils.clickhouse import connection_utils

    # Feast keeps one client a thread for good, whatever the configuration says later.
    connection_utils.thread_local.__dict__.pop("clickhouse_client", None)
    folder: Path = tmp_path_factory.mktemp("warehouse")
    with running_owner(folder / "data", folder / "log") as owner:
        migrate(owner.address)
        store = open_store(
            FeaturesConfig(
                online=f"sqlite:///{folder}/online.db",
                offline=owner.address.url,
            )
        )
        yield store, VerdictSink(connect(owner.address))
    connection_utils.thread_local.__dict__.pop("clickhouse_client", None)


def test_each_row_has_the_verdict_of_its_moment(warehouse: tuple[OpenStore, VerdictSink]) -> None:
    store, sink = warehouse
    sink.insert(
        [
            verdict("clip", occurred_s=0, scored_s=300, release_version=1),
            verdict("clip", occurred_s=400, release_version=2),
        ]
    )
    rows = [("clip", s) for s in (200, 300, 399, 401, 5_000)]
    assert releases(store, *rows) == [None, 1, 1, 2, 2]


def test_every_row_is_kept_and_what_is_missing_is_null(warehouse: tuple[OpenStore, VerdictSink]) -> None:
    store, sink = warehouse
    seen = verdict("seen", toxicity=0.25)
    sink.insert([seen])
    joined = training_set(store, moments(("never", 9), ("seen", 9), ("seen", -9), ("seen", 9)))
    assert joined["video_id"].to_list() == ["never", "seen", "seen", "seen"]
    assert joined["video_toxicity__toxicity"].to_list() == [None, 0.25, None, 0.25]
    assert joined["video_toxicity__state"].to_list() == ["unknown", "fresh", "unknown", "fresh"]
    assert joined["video_toxicity__probabilities"][0] is None
    assert joined["video_toxicity__probabilities"][1].to_list() == pytest.approx(list(seen.probabilities))
    assert joined["video_toxicity__expires_at"][1] == seen.expires_at


def test_the_warehouse_agrees_with_what_the_guard_keeps_online(
    warehouse: tuple[OpenStore, VerdictSink],
) -> None:
    store, sink = warehouse
    verdicts, rows = random_history()
    sink.insert(verdicts)

    def known(video: str) -> list[Verdict]:
        return [one for one in verdicts if one.video_id == video]

    expected = [online_at(known(video), NOON + timedelta(seconds=s)) for video, s in rows]
    assert releases(store, *rows) == expected
