"""No test is timed: on a busy machine a slow example is no failure. And one Redis for all."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.redis_server import RedisServer

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Redis for all tests that only need some; who stops, kills or empties it starts one of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield f"{server.url}/3"
