"""Online against offline, on SQLite and Redis and a real warehouse: what is missing, late or wrong shows."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contracts.errors import CheckFailedError
from contracts.verdicts import VERDICT_LIFETIME, Decision
from features.commands import features
from features.config import FeaturesConfig
from features.parity import ParityLimits, Seen, ViewParity, compare, draw, drift, lines_of, measure
from features.store import OpenStore, open_store
from features.training_set import write_history
from features.views import VIDEO_TOXICITY
from tests.features.conftest import NOON, make_config, verdict
from tests.features.test_lookup import write
from tests.redis_server import RedisServer
from tests.warehouse.owners import running_owner
from warehouse.address import connect
from warehouse.migrate import migrate
from warehouse.sink import VerdictSink

AT = NOON + timedelta(hours=1)


@dataclass(frozen=True)
class Sides:
    """Both stores, and the verdicts that each was given."""

    store: OpenStore
    offline: VerdictSink


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    from feast.infra.utils.clickhouse import connection_utils

    # Feast keeps one client a thread for good, whatever the configuration says later.
    connection_utils.thread_local.__dict__.pop("clickhouse_client", None)
    folder: Path = tmp_path_factory.mktemp("parity")
    with running_owner(folder / "data", folder / "log") as owner, ExitStack() as stack:
        migrate(owner.address)
        online = f"sqlite:///{folder}/online.db"
        if request.param == "redis":
            online = stack.enter_context(RedisServer(folder / "redis")).url
        config = FeaturesConfig(online=online, offline=owner.address.url, registry=folder / "registry")
        store = open_store(config)
        yield Sides(store, VerdictSink(connect(owner.address)))
    connection_utils.thread_local.__dict__.pop("clickhouse_client", None)


def of(parity: ViewParity, feature: str) -> tuple[int, int, float | None]:
    [found] = [one for one in parity.features if one.feature == feature]
    return found.compared, found.equal, found.max_difference


def test_the_same_verdicts_on_both_sides_agree_in_every_bit(sides: Sides) -> None:
    given = [verdict(f"same-{n}", occurred_s=n / 10, toxicity=n / 30) for n in range(30)]
    sides.offline.insert(given)
    write(sides.store, given)
    found = measure(sides.store, sample=0, seed=0, now=AT, video_ids=[one.video_id for one in given])
    assert found[:8] == ("video_toxicity", 30, 0, 0, 0, 0, 0, 0)
    assert {one.feature for one in found.features} == {*VIDEO_TOXICITY.field_names, "state"}
    assert all(one.compared == one.equal == 30 and not one.max_difference for one in found.features)
    assert drift(found, ParityLimits()) == ()


def test_a_drifted_a_missing_a_late_and_an_expired_value_are_told_apart(sides: Sides) -> None:
    fine = [verdict(f"fine-{n}") for n in range(6)]
    drifted = verdict("drifted", toxicity=0.25)
    wrong = verdict("drifted", toxicity=0.75, decision=Decision.REMOVE)  # of the same scoring, as a broken writer would
    missing = verdict("missing")
    first, edited = verdict("late", occurred_s=0), verdict("late", occurred_s=60, toxicity=0.5)
    longer = VERDICT_LIFETIME + timedelta(seconds=10)
    expired = verdict("expired", occurred_s=-longer.total_seconds() + 3_600)
    sides.offline.insert([*fine, drifted, missing, first, edited, expired])
    write(sides.store, [*fine, wrong, first, expired])
    ids = [*(one.video_id for one in fine), "drifted", "missing", "late", "expired"]
    found = measure(sides.store, sample=0, seed=0, now=AT, video_ids=ids)
    assert (found.sampled, found.missing_online, found.missing_offline) == (10, 1, 0)
    assert (found.behind_online, found.behind_offline) == (1, 0)
    assert (found.expired_online, found.expired_offline) == (1, 1)
    assert of(found, "toxicity") == (8, 7, 0.5)
    assert of(found, "probabilities") == (8, 7, 0.5)
    assert of(found, "decision") == (8, 7, None)
    assert of(found, "category") == (8, 8, None)
    assert of(found, "candidate_toxicity") == (8, 8, None)
    assert of(found, "expires_at") == (8, 8, 0.0)
    assert drift(found, ParityLimits()) == (
        "video_toxicity: 1 of 10 missing online, must be at most 1.0%",
        "video_toxicity: 1 of 10 behind online, must be at most 1.0%",
        "video_toxicity.probabilities: 1 of 8 differ by up to 0.5, must be at most 0.0%",
        "video_toxicity.toxicity: 1 of 8 differ by up to 0.5, must be at most 0.0%",
        "video_toxicity.decision: 1 of 8 differ, must be at most 0.0%",
    )
    assert drift(found, ParityLimits(missing_share=0.1, behind_share=0.1, unequal_share=0.125)) == ()


def test_what_the_sink_has_not_brought_yet_is_missing_or_behind_offline(sides: Sides) -> None:
    first, edited = verdict("ahead"), verdict("ahead", occurred_s=60)
    sides.offline.insert([first])
    write(sides.store, [edited, verdict("only-online")])
    found = measure(sides.store, sample=0, seed=0, now=AT, video_ids=["ahead", "only-online"])
    assert (found.missing_offline, found.behind_offline, found.behind_online) == (1, 1, 0)
    assert all(one.compared == 0 for one in found.features)


def test_a_sample_is_drawn_from_the_videos_of_the_window(
    tmp_path_factory: pytest.TempPathFactory, sides: Sides
) -> None:
    long_ago = [verdict(f"old-{n}", occurred_s=-3 * 86_400) for n in range(5)]
    since = [verdict(f"new-{n}", occurred_s=40 * 86_400 + n) for n in range(20)]
    sides.offline.insert([*long_ago, *since])
    write(sides.store, since)
    at = NOON + timedelta(days=40, hours=1)
    found = measure(sides.store, sample=500, seed=1, now=at)
    assert (found.sampled, found.missing_online) == (20, 0)
    assert measure(sides.store, sample=7, seed=1, now=at).sampled == 7
    assert measure(sides.store, sample=7, seed=1, now=NOON - timedelta(days=9)).sampled == 0


def test_a_draw_depends_on_the_seed_and_not_on_the_order() -> None:
    ids = [f"video-{n}" for n in range(100)]
    assert draw(ids, 10, seed=1) == draw(reversed(ids), 10, seed=1)
    assert draw(ids, 10, seed=1) != draw(ids, 10, seed=2)


def test_states_that_differ_are_drift_though_all_values_agree() -> None:
    values = dict.fromkeys(VIDEO_TOXICITY.field_names)
    online, offline = {"v": Seen(5, "fresh", values)}, {"v": Seen(5, "expired", values)}
    found = compare(VIDEO_TOXICITY, ["v"], online, offline)
    assert drift(found, ParityLimits()) == ("video_toxicity.state: 1 of 1 differ, must be at most 0.0%",)


def test_lists_of_other_lengths_and_nulls_are_unequal() -> None:
    base = dict.fromkeys(VIDEO_TOXICITY.field_names)
    for one, other in (([0.5], [0.5, 0.5]), ([0.5], None), (None, [0.5])):
        pair = ({"v": Seen(5, "fresh", base | {"probabilities": x})} for x in (one, other))
        found = compare(VIDEO_TOXICITY, ["v"], *pair)
        assert of(found, "probabilities") == (1, 0, None)


def call(sides: Sides, *words: str) -> Result:
    environment = {
        "PRECEDENT_ONLINE_STORE": sides.store.config.online,
        "PRECEDENT_OFFLINE_STORE": sides.store.config.offline,
        "PRECEDENT_FEATURES_REGISTRY": str(sides.store.config.registry_path),
    }
    return CliRunner().invoke(features, ["parity", *words], env=environment)


def test_the_command_prints_a_table_and_fails_on_drift(sides: Sides) -> None:
    now_s = (datetime.now(UTC) - NOON).total_seconds()
    seen, lost = verdict("seen-now", occurred_s=now_s - 60), verdict("lost-now", occurred_s=now_s - 60)
    sides.offline.insert([seen, lost])
    write(sides.store, [seen])
    good = call(sides, "seen-now")
    assert good.exit_code == 0
    assert good.stdout.splitlines()[:2] == ["video_toxicity, 1 sampled", "  online   0 missing, 0 behind, 0 expired"]
    bad = call(sides, "seen-now", "lost-now", "--json")
    assert isinstance(bad.exception, CheckFailedError)
    assert str(bad.exception) == "video_toxicity: 1 of 2 missing online, must be at most 1.0%"
    assert json.loads(bad.stdout)["missing_online"] == 1


def test_parquet_histories_are_an_offline_side_as_well(tmp_path: Path) -> None:
    store = open_store(make_config(tmp_path, f"sqlite:///{tmp_path}/online.db"))
    assert measure(store, sample=9, seed=0, now=AT).sampled == 0
    given = [verdict("kept", toxicity=0.25), verdict("other")]
    write_history(tmp_path / "history", VIDEO_TOXICITY, given)
    write(store, given[:1])
    found = measure(store, sample=9, seed=0, now=AT)
    assert (found.sampled, found.missing_online, of(found, "toxicity")) == (2, 1, (1, 1, 0.0))


def test_the_table_has_a_line_a_feature(sides: Sides) -> None:
    found = measure(sides.store, sample=0, seed=0, now=AT, video_ids=["nobody"])
    assert found.missing_online == found.missing_offline == 1
    assert len(lines_of(found)) == 4 + len(VIDEO_TOXICITY.fields) + 1
    assert replace(ParityLimits(), missing_share=1.0).tolerance == 1e-6
