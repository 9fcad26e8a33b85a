"""Batches overlap; acknowledgements never do. Folds over begun batches, with a carrier that the test lets go."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from contracts.releases import Pin
from contracts.topics import VIDEOS_UPLOADED
from contracts.verdicts import Verdict
from serving.preprocess.inputs import ModelInputs
from serving.scorer import Scores
from streams.edge import RawEvent
from streams.kafka.agents import AgentConfig, Agents
from streams.kafka.connection import Connection
from streams.kafka.delivery import OutgoingRecord
from streams.worker.carry import Carrier
from streams.worker.metrics import WorkerMetrics
from streams.worker.patience import Outlets
from tests.streams.events import NOW, raw
from tests.streams.stand_ins import POLICY, StandInScorer, stand_in_parts


@dataclass
class Message:
    offset: int
    generation_id: int


@dataclass
class Event:
    """What Faust hands an agent, as far as the agent looks at it."""

    offset: int
    generation: int
    acked: list[int]

    @property
    def message(self) -> Message:
        return Message(self.offset, self.generation)

    def ack(self) -> None:
        self.acked.append(self.offset)


@dataclass
class Gates:
    """A carrier whose batches, known by their first offset, end when and how the test says."""

    open: dict[int, asyncio.Future[bool]] = field(default_factory=dict)

    async def carry(self, batch: Sequence[RawEvent], ours: Callable[[], bool]) -> bool:
        gate = self.open.setdefault(batch[0].offset, asyncio.get_running_loop().create_future())
        return await gate and ours()

    def let_go(self, offset: int, how: bool | Exception = True) -> None:
        gate = self.open.setdefault(offset, asyncio.get_running_loop().create_future())
        gate.set_exception(how) if isinstance(how, Exception) else gate.set_result(how)


class Play:
    def __init__(self, in_flight: int = 3) -> None:
        self.acked: list[int] = []
        self.gates = Gates()
        self.agents = Agents(
            AgentConfig(Connection("127.0.0.1:1"), "test", in_flight=in_flight), {VIDEOS_UPLOADED: self.gates.carry}
        )
        self.lane = self.agents.lanes[VIDEOS_UPLOADED.name]
        self.generation(1)

    def generation(self, number: int) -> None:
        self.agents.app.consumer_generation_id = number

    async def begin(self, *offsets: int, generation: int = 1) -> None:
        await self.lane.begin([Event(offset, generation, self.acked) for offset in offsets])
        await settle()

    async def let_go(self, offset: int, how: bool | Exception = True) -> None:
        self.gates.let_go(offset, how)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def play(scene: Callable[[Play], Coroutine[None, None, None]], *, in_flight: int = 3) -> None:
    async def run() -> None:
        await scene(Play(in_flight))

    asyncio.run(run())


def test_a_batch_that_ends_early_waits_for_those_before_it():
    async def scene(play: Play) -> None:
        for first in (0, 2, 4):
            await play.begin(first, first + 1)
        await play.let_go(4)
        await play.let_go(2)
        assert play.acked == []
        await play.let_go(0)
        assert play.acked == [0, 1, 2, 3, 4, 5]

    play(scene)


def test_after_a_batch_that_was_let_go_none_of_its_generation_is_acknowledged():
    async def scene(play: Play) -> None:
        for offset in (0, 1, 2):
            await play.begin(offset)
        await play.let_go(0)
        await play.let_go(2)
        await play.let_go(1, how=False)
        assert play.acked == [0]
        await play.begin(3)
        await play.let_go(3)
        assert play.acked == [0]

    play(scene)


def test_a_new_generation_does_not_wait_for_the_old_one_and_the_old_one_acknowledges_nothing():
    async def scene(play: Play) -> None:
        await play.begin(0)
        play.generation(2)
        await play.begin(0, generation=2)
        await play.begin(1, 2, generation=2)
        await play.let_go(1)
        await play.let_go(0)
        assert play.acked == [0, 1, 2]

    play(scene)


def test_events_fetched_before_a_rebalance_are_dropped_from_the_batch_they_are_in():
    async def scene(play: Play) -> None:
        play.generation(2)
        old, new = Event(7, 1, play.acked), Event(5, 2, play.acked)
        await play.lane.begin([old, new])
        await play.let_go(5)
        assert play.acked == [5]
        await play.begin(8, 9, generation=1)
        assert 8 not in play.gates.open

    play(scene)


def test_a_fault_is_kept_and_ends_all_acknowledgement():
    async def scene(play: Play) -> None:
        await play.begin(0)
        await play.begin(1)
        await play.let_go(1)
        await play.let_go(0, how=ZeroDivisionError("a fault"))
        await play.begin(2)
        assert isinstance(play.agents.failure, ZeroDivisionError)
        assert play.acked == []
        assert 2 not in play.gates.open

    play(scene)


def test_no_more_batches_are_under_way_than_may_be():
    async def scene(play: Play) -> None:
        await play.begin(0)
        await play.begin(1)
        third = asyncio.create_task(play.begin(2))
        await settle()
        assert sorted(play.gates.open) == [0, 1]
        await play.let_go(0)
        await third
        assert sorted(play.gates.open) == [0, 1, 2]

    play(scene, in_flight=2)


@pytest.mark.parametrize("in_time", [True, False])
def test_at_the_end_batches_under_way_have_some_time_to_be_acknowledged(in_time: bool, caplog):
    async def scene(play: Play) -> None:
        await play.begin(0)
        ending = asyncio.create_task(play.agents.finish_batches(within_s=0.05))
        await settle()
        await play.begin(1)
        assert 1 not in play.gates.open
        if in_time:
            play.gates.open[0].set_result(True)
        await ending
        assert play.acked == ([0] if in_time else [])

    play(scene)
    assert ("will come again" in caplog.text) is not in_time


class Held(StandInScorer):
    """A scorer, and what keeps its verdicts: it scores, or says that it is away, when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.kept: list[str] = []

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        self.asked.set()
        await self.go.wait()
        return await super().score(inputs, pin)

    async def write(self, verdicts: Sequence[Verdict]) -> None:
        self.kept.append("features")

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        self.kept.append("verdicts")


@pytest.mark.parametrize("away", [False, True])
def test_a_batch_that_is_judged_when_the_worker_is_told_to_stop_is_kept_and_one_that_waits_is_let_go(away: bool):
    async def scene() -> tuple[list[str], list[int]]:
        held, acked = Held(), list[int]()
        held.away = away
        carrier = Carrier(
            stand_in_parts(held),
            Outlets(held, held),
            lambda: POLICY,
            WorkerMetrics(),
            now=lambda: NOW,
            stopping=lambda: agents.closing,
        )
        agents = Agents(AgentConfig(Connection("127.0.0.1:1"), "test"), {VIDEOS_UPLOADED: carrier.carry})
        one = raw("under-way", offset=7)
        message = SimpleNamespace(
            **{name: getattr(one, name) for name in ("topic", "partition", "offset", "timestamp", "key", "value")},
            headers=[],
            generation_id=agents.generation,
        )
        await agents.lanes[VIDEOS_UPLOADED.name].begin(
            [SimpleNamespace(message=message, ack=lambda: acked.append(message.offset))]
        )
        await held.asked.wait()
        ending = asyncio.create_task(agents.finish_batches(within_s=60.0))
        await settle()
        held.go.set()
        await ending
        return held.kept, acked

    assert asyncio.run(scene()) == (([], []) if away else (["features", "verdicts"], [7]))
