"""Redis alone: passwords and TLS, writers in several processes at once, and what is read while it is away."""

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import DependencyError
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from features.lookup import lookup
from features.online.rows import Written, to_rows
from features.store import OpenStore, open_store
from features.views import VIDEO_TOXICITY
from features.writer import open_writer
from tests.certificates import self_signed
from tests.features.conftest import NOON, make_config, verdict
from tests.redis_server import RedisServer

AWKWARD = "p@ss,w=ord:/1 23?%"


def fresh_id() -> str:
    return f"video-{uuid.uuid4().hex}"


def write(config: FeaturesConfig, verdicts: list[Verdict], *, at_once: int = 256) -> Written:
    async def run() -> Written:
        writer = open_writer(config)
        try:
            parts = [await writer.write(verdicts[i : i + at_once]) for i in range(0, len(verdicts), at_once)]
        finally:
            await writer.close()
        return Written(sum(one.written for one in parts), sum(one.stale for one in parts))

    return asyncio.run(run())


def read_three_ways(store: OpenStore, video_id: str) -> list[float]:
    """Toxicity by the quick reader, by Feast, and by Feast once more from another client."""
    feasts = store.feast.get_online_features(["video_toxicity:toxicity"], [{"video_id": video_id}]).to_dict()
    return [float(lookup(store, [video_id], NOON).toxicity_N[0]), feasts["toxicity"][0]]


def test_a_password_of_any_characters_lets_writer_reader_and_feast_in(tmp_path: Path) -> None:
    login = f":{quote(AWKWARD, safe='')}@"
    with RedisServer(tmp_path / "redis", "--requirepass", AWKWARD, login=login) as server:
        store = open_store(make_config(tmp_path, server.url))
        assert write(store.config, [verdict("video-1", toxicity=0.25)]) == Written(1, 0)
        assert read_three_ways(store, "video-1") == [0.25, 0.25]
        assert AWKWARD not in repr(store.config) + repr(store.feast.config)
        for wrong in (server.url.replace(login, ""), server.url.replace(login, ":1234@")):
            with pytest.raises(DependencyError, match=r"127\.0\.0\.1.* cannot be read: ") as refused:
                lookup(open_store(make_config(tmp_path, wrong)), ["video-1"], NOON)
            assert "1234" not in str(refused.value)
            with pytest.raises(DependencyError, match=r"127\.0\.0\.1.* cannot be written: "):
                write(make_config(tmp_path, wrong), [verdict("video-1")])


def test_over_tls_the_servers_certificate_is_checked(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path / "tls", "127.0.0.1", address="127.0.0.1")
    options = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    with RedisServer(tmp_path, *options, "--requirepass", "s3", scheme="rediss", login=":s3@") as server:
        trusted = open_store(make_config(tmp_path, f"{server.url}?ssl_ca_certs={certificate}"))
        assert write(trusted.config, [verdict("video-1", toxicity=0.25)]) == Written(1, 0)
        assert read_three_ways(trusted, "video-1") == [0.25, 0.25]
        with pytest.raises(DependencyError, match="certificate verify failed"):
            lookup(open_store(make_config(tmp_path, server.url)), ["video-1"], NOON)


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Three writers in processes of their own."""
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        yield pool


Version = tuple[int, int, int]
"""When a version of the video came to be, when it was scored, and by which release."""


def write_versions(online: str, folder: str, video_id: str, versions: list[Version], at_once: int) -> Written:
    """What one process does: the versions in this order, in batches."""
    made = [
        verdict(video_id, occurred_s=occurred, scored_s=scored, release_version=release, toxicity=release / 16)
        for occurred, scored, release in versions
    ]
    return write(make_config(Path(folder), online), made, at_once=at_once)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(3, 5), st.integers(1, 8)), min_size=1, max_size=24),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
def test_of_writers_in_several_processes_the_newest_version_stays_whoever_comes_last(
    redis_store: OpenStore,
    processes: ProcessPoolExecutor,
    versions: list[Version],
    random: Random,
    at_once: int,
) -> None:
    video, folder = fresh_id(), str(redis_store.config.registry_path.parent)

    def shuffled() -> list[Version]:
        return random.sample(versions, len(versions))

    racing = [
        processes.submit(write_versions, redis_store.config.online, folder, video, shuffled(), at_once)
        for _ in range(3)
    ]
    counted = [one.result(timeout=60) for one in racing]
    newest = max((occurred, scored) for occurred, scored, _ in versions)
    found = lookup(redis_store, [video], NOON)
    assert found.occurred_us_N.tolist() == [int((NOON + timedelta(seconds=newest[0])).timestamp()) * 1_000_000]
    assert found.age_s_N.tolist() == [-float(newest[1])]
    tied = {release for occurred, scored, release in versions if (occurred, scored) == newest}
    assert int(found.release_version_N[0]) in tied
    assert found.toxicity_N.tolist() == [found.release_version_N[0] / 16]  # of one version all, of no two a part
    assert sum(one.written + one.stale for one in counted) == 3 * len(versions)
    assert sum(one.written for one in counted) <= len(set(versions))

    again = fresh_id()  # other processes, orders and batches: of equal times the same one stays
    write_versions(redis_store.config.online, folder, again, shuffled(), at_once)
    assert lookup(redis_store, [again], NOON).release_version_N.tolist() == found.release_version_N.tolist()


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_of_equal_times_the_same_values_stay_in_whatever_order_they_come(
    store: OpenStore, order: tuple[int, ...]
) -> None:
    video, first = fresh_id(), fresh_id()
    write(store.config, [verdict(video, release_version=release) for release in order], at_once=1)
    write(store.config, [verdict(first, release_version=release) for release in (1, 2, 3)], at_once=1)
    kept = lookup(store, [video, first], NOON).release_version_N
    assert kept[0] == kept[1]


def test_rows_that_feast_alone_wrote_are_read_too(redis_store: OpenStore) -> None:
    from redis import Redis

    video = fresh_id()
    write(redis_store.config, [verdict(video, occurred_s=1.5, toxicity=0.25)])
    [row] = to_rows(VIDEO_TOXICITY, [verdict(video)])
    client = Redis.from_url(redis_store.config.online)
    assert client.hdel(row.key + b"precedent", "_at:video_toxicity") == 1
    client.close()
    found = lookup(redis_store, [video], NOON)
    assert (found.toxicity_N[0], found.occurred_us_N[0]) == (0.25, int((NOON.timestamp() + 1.5) * 1e6))
