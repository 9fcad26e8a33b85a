"""A worker stands still with a batch in hand, another takes its partitions over, it wakes: it must change nothing."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition

from bench.stand_in import point_to, random_casebook, write_release
from contracts.errors import DependencyError
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from features.lookup import lookup
from features.store import open_store
from streams.kafka.delivery import OutgoingRecord
from streams.processes import Part
from streams.stack import Stack, embedded_stack
from streams.worker.carry import Carrier
from streams.worker.metrics import WorkerMetrics
from streams.worker.patience import Outlets
from tests.streams.conftest import Topics
from tests.streams.events import NOW, raw
from tests.streams.held_worker import GROUP
from tests.streams.stand_ins import POLICY, StandInScorer, stand_in_parts
from tests.streams.watching import event, metric, named, until
from warehouse.address import connect, parse_address
from warehouse.arrived import arrived

UPLOADED, VERDICTS = VIDEOS_UPLOADED.name, VIDEOS_VERDICTS.name
N = 12
SLEEPER, TAKER = 1, 2
"""The releases by which each worker judges, which tell whose a verdict is."""


class Kept:
    """Outlets that remember what came, and in which order with the questions."""

    def __init__(self, *answers: bool) -> None:
        self.order: list[str] = []
        self._answers = iter(answers)

    def confirmed(self) -> bool:
        answer = next(self._answers, True)
        self.order.append("confirmed" if answer else "not confirmed")
        return answer

    async def write(self, verdicts: Sequence[Verdict]) -> None:
        self.order.append("features")

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        self.order.append("verdicts")

    def carry(self, *, ours: bool) -> bool:
        parts, outlets = stand_in_parts(StandInScorer()), Outlets(self, self)
        carrier = Carrier(parts, outlets, lambda: POLICY, WorkerMetrics(), now=lambda: NOW, confirmed=self.confirmed)
        return asyncio.run(carrier.carry([raw("fenced")], lambda: ours))


def test_nothing_is_written_before_the_group_has_confirmed_the_worker():
    kept = Kept(False, False, True, False)

    assert kept.carry(ours=True)
    no, yes = "not confirmed", "confirmed"
    assert kept.order == [no, no, yes, "features", no, yes, "verdicts"]


def test_a_batch_whose_partitions_have_moved_is_let_go_unwritten_although_the_group_confirms_the_worker_again():
    kept = Kept()

    assert not kept.carry(ours=False)
    assert {"features", "verdicts"}.isdisjoint(kept.order)


class CutOff(Kept):
    """Outlets of which each is cut off the first time that something comes."""

    def _once(self, step: str) -> None:
        self.order.append(step)
        if self.order.count(step) == 1:
            raise DependencyError("cut off")

    async def write(self, verdicts: Sequence[Verdict]) -> None:
        self._once("features")

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        self._once("verdicts")


def test_what_failed_is_not_tried_again_before_the_group_has_confirmed_the_worker_again():
    kept = CutOff(True, False, True, True, False, True)

    assert kept.carry(ours=True)
    no, yes = "not confirmed", "confirmed"
    assert kept.order == [yes, "features", no, yes, "features", yes, "verdicts", no, yes, "verdicts"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("fencing")
    point_to(folder / "releases", write_release(folder / "releases", 1, random_casebook(5)))
    with embedded_stack(folder / "state", folder / "releases", workers=0, triton=False) as running:
        yield running


@dataclass
class Scene:
    """One stack with one online store, and the workers that were started in it."""

    stack: Stack
    folder: Path
    environment: dict[str, str]
    topics: Topics
    workers: list[Part]

    def start(self, release: int, step: str = "none") -> Part:
        folder = self.folder / str(release)
        point_to(folder / "releases", write_release(folder / "releases", release, random_casebook(5)))
        command = [sys.executable, "-m", "tests.streams.held_worker", str(folder), step]
        worker = self.stack.parts.start(f"of-{release}", command, env=self.environment, log=folder / "log")
        self.workers.append(worker)
        _ = worker.address
        return worker

    def say(self, release: int, what: str) -> Path:
        (self.folder / str(release) / what).touch()
        return self.folder / str(release) / what

    def committed(self) -> list[int]:
        """Of each partition of the uploads, by the group."""
        asker = Consumer(self.stack.kafka.client({"group.id": GROUP, "enable.auto.commit": False, "log_level": 0}))
        try:
            partitions = asker.list_topics(UPLOADED, timeout=10).topics[UPLOADED].partitions
            places = asker.committed([TopicPartition(UPLOADED, p) for p in sorted(partitions)], timeout=10)
            return [max(0, place.offset) for place in places]  # below 0: nothing is committed
        finally:
            asker.close()

    def ends(self) -> list[int]:
        asker = Consumer(self.stack.kafka.client({"group.id": "ends", "log_level": 0}))
        try:
            partitions = asker.list_topics(UPLOADED, timeout=10).topics[UPLOADED].partitions
            return [asker.get_watermark_offsets(TopicPartition(UPLOADED, p))[1] for p in sorted(partitions)]
        finally:
            asker.close()

    def features(self, videos: Sequence[str]) -> list[tuple[int, int, int]]:
        """Of each video: by which release, of which version, when it was scored, in microseconds since 1970."""
        now = datetime.now(UTC)
        found = lookup(open_store(FeaturesConfig.from_environment(self.environment)), list(videos), now)
        scored = np.round((now.timestamp() - found.age_s_N) * 1e6, -3)
        return list(zip(found.release_version_N, found.occurred_us_N, scored.astype(int), strict=True))

    def verdicts(self, name: str) -> list[Verdict]:
        return [Verdict.model_validate_json(m.value()) for m in self.topics.read(VERDICTS, 0, where=named(name))]

    def rows(self, name: str) -> dict[str, int]:
        """How many rows the warehouse has of each verdict."""
        client = connect(parse_address(self.stack.warehouse or ""))
        try:
            found = arrived(client, Verdict, f"e-{name}")
            return dict(zip(found.event_ids_N, found.rows_N.tolist(), strict=True))
        finally:
            client.close()


@pytest.fixture
def scene(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    environment = dict(stack.environment)
    if request.param == "redis":
        environment["PRECEDENT_ONLINE_STORE"] = request.getfixturevalue("redis_address")
        environment["PRECEDENT_FEATURES_REGISTRY"] = str(tmp_path / "registry.db")
    topics = Topics(stack.kafka)
    topics.watch(VERDICTS)
    opened = Scene(stack, tmp_path, environment, topics, [])
    yield opened
    for worker in opened.workers:
        worker.end()
    topics.close()


@pytest.mark.parametrize(
    ("scene", "step", "copies"),
    [
        ("redis", "score", 0),  # it judges when it wakes, later than the other did, and must not write
        ("sqlite", "write", 0),  # it writes what it judged before it slept, which the store must refuse
        ("redis", "send", N),  # it announces what it wrote before it slept: the copies that may be
    ],
    indirect=["scene"],
    ids=str,
)
def test_a_worker_that_wakes_after_its_partitions_moved_changes_nothing(scene: Scene, step: str, copies: int):
    name = f"fence-{step}-{time.time_ns()}"
    names = [f"{name}-{n}" for n in range(N)]
    videos = [f"v-{one}" for one in names]
    sleeper = scene.start(SLEEPER, step)
    scene.say(SLEEPER, "hold")
    scene.topics.send(UPLOADED, *(event(one) for one in names))
    until((scene.folder / str(SLEEPER) / "held").exists)
    until(lambda: metric(sleeper, "precedent_lag_events") == N)
    sleeper.signal(signal.SIGSTOP)
    scene.say(SLEEPER, "go")

    scene.start(TAKER)
    until(lambda: len(scene.verdicts(name)) == N, within_s=60)
    newer = [event(one, event_id=f"e-{one}-newer", title="a newer title 0.9") for one in names[: N // 2]]
    scene.topics.send(UPLOADED, *newer)
    until(lambda: len(scene.verdicts(name)) == N + N // 2, within_s=60)
    until(lambda: scene.committed() == scene.ends())
    before, seen = scene.features(videos), [scene.committed()]
    assert [release for release, *_ in before] == [TAKER] * N
    assert {v.release_version for v in scene.verdicts(name)} == {TAKER}

    sleeper.signal(signal.SIGCONT)

    def let_go() -> bool:
        seen.append(scene.committed())
        return metric(sleeper, 'precedent_events_total{outcome="stale"}') >= N or len(scene.verdicts(name)) > 3 * N // 2

    until(let_go, within_s=60)
    scene.topics.send(UPLOADED, *(event(f"{name}-after-{n}") for n in range(N)))
    until(lambda: len(scene.verdicts(f"{name}-after")) == N, within_s=60)
    until(lambda: scene.committed() == scene.ends())
    seen.append(scene.committed())

    assert scene.features(videos) == before
    assert all(later >= sooner for one, two in pairwise(seen) for sooner, later in zip(one, two, strict=True))
    theirs = [v for v in scene.verdicts(name) if v.release_version == SLEEPER and "-after-" not in v.event_id]
    assert len(theirs) <= copies
    expected = {f"e-{one}" for one in names} | {f"e-{one}-newer" for one in names[: N // 2]}
    expected |= {f"e-{name}-after-{n}" for n in range(N)}
    until(lambda: scene.rows(name) == dict.fromkeys(expected, 1))
    assert sleeper.running()
