"""Joining a group of a real Kafka: what trying again does not mend ends the part, and so does a signal meanwhile."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from contracts.errors import BadInputError
from contracts.topics import USERS_REPORTS
from streams.edge import RawEvent
from streams.kafka.agents import AgentConfig, Agents, consume
from streams.kafka.connection import Connection
from tests.streams.conftest import needs_kafka

pytestmark = [pytest.mark.kafka, needs_kafka]


async def carry(_batch: Sequence[RawEvent], _ours: Callable[[], bool]) -> bool:
    return True


def never() -> None:
    pytest.fail("the group was joined")


def test_a_session_shorter_than_the_cluster_allows_ends_the_part_with_its_words(real: Connection):
    config = AgentConfig(real, "too-short", session_timeout_s=0.5)

    async def scene() -> None:
        async with asyncio.timeout(60):
            await consume(Agents(config, {USERS_REPORTS: carry}), asyncio.Event(), ready=never)

    with pytest.raises(BadInputError, match=r"^group 'too-short' cannot be joined: .*session timeout is outside"):
        asyncio.run(scene())


def test_a_part_that_is_told_to_stop_while_it_joins_stops(real: Connection):
    stopping = asyncio.Event()

    async def scene() -> None:
        asyncio.get_running_loop().call_soon(stopping.set)
        async with asyncio.timeout(60):
            await consume(Agents(AgentConfig(real, "told"), {USERS_REPORTS: carry}), stopping, ready=never)

    asyncio.run(scene())
