"""What a consumer holds is bounded in bytes as well as in events, however large the events and however far behind."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mode.utils.queues import FlowControlEvent

from streams.kafka.agents import AgentConfig, make_app
from streams.kafka.buffer import BoundedQueue, parts
from streams.kafka.connection import Connection


@dataclass
class Event:
    """An event as Faust gives it: its record's value."""

    size: int

    @property
    def message(self) -> SimpleNamespace:
        return SimpleNamespace(value=b"x" * self.size)


class Fetching:
    """Whether partitions are fetched from."""

    on = True

    def stop(self) -> None:
        self.on = False

    def go_on(self) -> None:
        self.on = True


def queue(at_most: int, events: int = 1_000) -> BoundedQueue:
    return BoundedQueue(at_most, maxsize=events, flow_control=FlowControlEvent(initially_suspended=False))


def put(held: BoundedQueue, fetching: Fetching, *sizes: int) -> None:
    for size in sizes:
        held.put_nowait_enhanced(Event(size), on_pressure_high=fetching.stop, on_pressure_drop=fetching.go_on)


def test_a_few_large_events_fill_the_queue_as_many_small_ones_do() -> None:
    async def run() -> None:
        held, fetching = queue(100), Fetching()
        put(held, fetching, 40, 40)
        assert (held.full(), fetching.on, held.held_bytes) == (False, True, 80)
        put(held, fetching, 20)  # 80 of 100 was four fifths
        assert (held.full(), fetching.on) == (True, False)
        assert [held.get_nowait().size for _ in range(2)] == [40, 40]
        assert (held.full(), fetching.on, held.held_bytes) == (False, False, 20)
        held.get_nowait()  # 20 of 100 is less than two fifths
        assert (fetching.on, held.held_bytes) == (True, 0)

    asyncio.run(run())


def test_events_without_many_bytes_are_bounded_by_their_number() -> None:
    async def run() -> None:
        held, fetching = queue(1_000_000, events=10), Fetching()
        put(held, fetching, *([1] * 8))
        assert fetching.on
        put(held, fetching, 0, 0)
        assert (held.full(), fetching.on) == (True, False)

    asyncio.run(run())


def test_who_puts_into_a_queue_that_is_full_of_bytes_waits_until_there_is_room() -> None:
    async def run() -> None:
        held, fetching = queue(100), Fetching()
        put(held, fetching, 100)
        waiting = asyncio.create_task(held.put(Event(60)))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert (await held.get()).size == 100
        await asyncio.wait_for(waiting, 5)
        assert held.held_bytes == 60

    asyncio.run(run())


def test_what_is_cleared_at_a_rebalance_no_longer_counts() -> None:
    async def run() -> None:
        held = queue(100)
        put(held, Fetching(), 90)
        held.clear()
        assert (held.held_bytes, held.full()) == (0, False)

    asyncio.run(run())


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 80))
def test_parts_keep_the_order_and_each_event_and_none_is_larger_than_was_said(sizes: list[int], at_most: int) -> None:
    events = [Event(size) for size in sizes]
    cut = list(parts(events, at_most))
    assert [one for part in cut for one in part] == events
    assert all(part for part in cut)
    assert all(len(part) == 1 or sum(one.size for one in part) <= at_most for part in cut)


@pytest.mark.parametrize(("sizes", "cut"), [([3, 3, 4, 1], [[3, 3, 4], [1]]), ([11, 1], [[11], [1]]), ([], [])])
def test_parts_by_hand(sizes: list[int], cut: list[list[int]]) -> None:
    assert [[one.size for one in part] for part in parts([Event(size) for size in sizes], 10)] == cut


def test_the_streams_of_an_app_are_bounded_in_bytes() -> None:
    async def run() -> None:
        app = make_app(AgentConfig(Connection("127.0.0.1:1"), "group", buffer_bytes=100))
        held = app.topic("a-topic").queue
        put(held, Fetching(), 100)
        assert held.full()

    asyncio.run(run())
