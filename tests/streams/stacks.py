"""A stack of the real embedded parts with two workers on one group, and what tests ask of it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stand_in import point_to, random_casebook, write_release
from contracts.dead_letters import DeadLetter
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from features.config import FeaturesConfig
from streams.load.reading import StoredFeatures
from streams.processes import Part
from streams.stack import Stack, embedded_stack
from tests.streams.conftest import Topics
from tests.streams.watching import named

UPLOADED, DEAD, VERDICTS = VIDEOS_UPLOADED.name, VIDEOS_UPLOADED.dead, VIDEOS_VERDICTS.name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def stack(folder: Path, another_kafka: str | None) -> Iterator[Stack]:
    root = folder / "releases"
    point_to(root, write_release(root, 1, random_casebook(50)))
    (folder / "media").mkdir()
    with embedded_stack(
        folder / "state",
        root,
        workers=2,
        media_roots=(folder / "media",),
        broker=another_kafka,
        worker_options=("--session-timeout", "3"),
    ) as running:
        yield running


@pytest.fixture
def topics(stack: Stack) -> Iterator[Topics]:
    opened = Topics(stack.kafka)
    opened.watch(VERDICTS, DEAD)
    yield opened
    opened.close()


def running(stack: Stack) -> list[Part]:
    return [worker for worker in stack.workers if worker.running()]


def verdict_keys(topics: Topics, prefix: str) -> Counter[bytes]:
    return Counter(m.key() for m in topics.read(VERDICTS, 0, where=named(prefix)))


def letters_of(topics: Topics, prefix: str) -> list[bytes]:
    """What was dead-lettered of a test's events: an earlier test's may come again, delivery is at least once."""
    raws = (DeadLetter.model_validate_json(message.value()).raw for message in topics.read(DEAD, 0))
    return [raw for raw in raws if f'"v-{prefix}-'.encode() in raw]


def rows_in_warehouse(stack: Stack, prefix: str) -> int:
    from warehouse.address import connect, parse_address

    client = connect(parse_address(stack.warehouse or ""))
    try:
        counted = client.query(
            "SELECT uniqExact(event_id) FROM verdicts WHERE startsWith(event_id, {prefix:String})", {"prefix": prefix}
        )
        return int(counted.first_row[0])
    finally:
        client.close()


def features_found(stack: Stack, video_ids: list[str]) -> int:
    return int((StoredFeatures(FeaturesConfig.from_environment(stack.environment))(video_ids) > 0).sum())
