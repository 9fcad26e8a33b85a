"""The worker end to end on a real Redis: the tests of the embedded store again, and Redis and Triton away for long."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from bench.stand_in import point_to, random_casebook, write_release
from contracts.topics import VIDEOS_UPLOADED
from features.config import FeaturesConfig
from features.lookup import Freshness
from features.steady import SteadyLookups, SteadySettings
from features.store import open_store
from streams.kafka.lag import GroupLag
from streams.processes import Part
from streams.stack import Stack, embedded_stack
from tests.redis_server import RedisServer
from tests.streams.conftest import Topics
from tests.streams.stacks import UPLOADED, features_found, running, topics, verdict_keys
from tests.streams.test_stack import (
    test_an_older_version_that_comes_late_has_a_verdict_but_not_the_features,
    test_every_upload_becomes_a_verdict_a_feature_and_a_row,
)
from tests.streams.test_stack_faults import (
    test_a_frozen_worker_that_wakes_is_fenced_and_nothing_is_lost,
    test_a_killed_worker_loses_nothing,
)
from tests.streams.watching import event, metric, until

__all__ = [
    "test_a_frozen_worker_that_wakes_is_fenced_and_nothing_is_lost",
    "test_a_killed_worker_loses_nothing",
    "test_an_older_version_that_comes_late_has_a_verdict_but_not_the_features",
    "test_every_upload_becomes_a_verdict_a_feature_and_a_row",
    "topics",
]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis"), "--requirepass", "s3cret", login=":s3cret@") as started:
        yield started


@pytest.fixture(scope="module")
def stack(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    point_to(folder / "releases", write_release(folder / "releases", 1, random_casebook(50)))
    options = ("--session-timeout", "3")
    with embedded_stack(
        folder / "state", folder / "releases", online_store=redis.url, worker_options=options
    ) as started:
        yield started


def states(stack: Stack, names: list[str]) -> set[Freshness]:
    """What a recommender is told of these videos now."""
    store = open_store(FeaturesConfig.from_environment(stack.environment))
    lookups = SteadyLookups(store, SteadySettings(deadline_s=1.0, failures=1))
    return set(map(Freshness, lookups.videos([f"v-{name}" for name in names], datetime.now(UTC)).state_N.tolist()))


def waited_for(stack: Stack, part: str) -> float:
    """For how long the workers have waited for a part, the longest of them, in seconds."""
    return max(metric(worker, f'precedent_waiting_seconds{{part="{part}"}}') for worker in running(stack))


def test_while_redis_is_frozen_or_gone_workers_wait_and_then_every_feature_is_written(
    stack: Stack, topics: Topics, redis: RedisServer
) -> None:
    frozen, gone = [[f"{what}-{n}" for n in range(200)] for what in ("cold", "gone")]
    redis.freeze()
    topics.send(UPLOADED, *(event(name) for name in frozen))
    until(lambda: waited_for(stack, "features") > 0, within_s=60)
    assert verdict_keys(topics, "cold") == {}  # a verdict is announced when it can be looked up, and not before
    assert states(stack, frozen) == {Freshness.UNAVAILABLE}
    redis.thaw()
    until(lambda: features_found(stack, [f"v-{name}" for name in frozen]) == 200, within_s=60)
    with closing(GroupLag(stack.kafka, VIDEOS_UPLOADED.name, "precedent-moderation")) as lag:
        until(lambda: lag() == 0, within_s=60)  # so that none of these comes again, into the empty store

    redis.kill()
    topics.send(UPLOADED, *(event(name) for name in gone))
    until(lambda: waited_for(stack, "features") > 0, within_s=60)
    assert states(stack, gone) == {Freshness.UNAVAILABLE}
    redis.start_again()
    until(lambda: features_found(stack, [f"v-{name}" for name in gone]) == 200, within_s=60)
    until(lambda: len(verdict_keys(topics, "cold")) == len(verdict_keys(topics, "gone")) == 200, within_s=60)
    assert states(stack, frozen) == {Freshness.UNKNOWN}  # it came back empty: see `precedent features rebuild`
    assert not any("s3cret" in worker.log.read_text() for worker in stack.workers)


def test_while_triton_is_gone_videos_wait_unscored_and_unknown_and_then_each_is_scored(
    stack: Stack, topics: Topics
) -> None:
    names = [f"dark-{n}" for n in range(300)]
    lag = GroupLag(stack.kafka, VIDEOS_UPLOADED.name, "precedent-moderation")
    until(lambda: lag() == 0, within_s=60)
    triton: Part = stack.part("triton")
    _ = triton.address
    triton.kill()
    topics.send(UPLOADED, *(event(name) for name in names))
    until(lambda: waited_for(stack, "scorer") > 0, within_s=60)
    first = waited_for(stack, "scorer")
    until(lambda: waited_for(stack, "scorer") > first + 1.0, within_s=60)  # it rises while Triton is gone
    assert lag() == 300
    assert verdict_keys(topics, "dark") == {}
    assert states(stack, names) == {Freshness.UNKNOWN}
    assert any("ALERT waiting for scorer" in worker.complaints(50) for worker in running(stack))

    _ = stack.start_again("triton").address
    until(lambda: len(verdict_keys(topics, "dark")) == 300, within_s=90)
    assert states(stack, names) == {Freshness.FRESH}
    until(lambda: lag() == 0, within_s=60)
    until(lambda: waited_for(stack, "scorer") == 0)
    lag.close()
