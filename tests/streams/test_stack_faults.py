"""The whole path on its real embedded parts while parts are killed, frozen or told to stop: nothing is lost."""

import signal

import pytest

from streams.stack import Stack
from tests.streams.conftest import Topics
from tests.streams.stacks import (
    UPLOADED,
    VERDICTS,
    features_found,
    folder,
    letters_of,
    rows_in_warehouse,
    running,
    stack,
    topics,
    verdict_keys,
)
from tests.streams.watching import event, metric, named, status, until

__all__ = ["folder", "stack", "topics"]


@pytest.mark.parametrize("name", ["triton", "features", "warehouse"])
def test_a_part_that_is_killed_and_comes_back_is_waited_for_and_nothing_is_lost(
    stack: Stack, topics: Topics, name: str
):
    ids = [f"{name}-{n}" for n in range(600)]
    topics.send(UPLOADED, *(event(i) for i in ids[:200]))
    topics.read(VERDICTS, 50, where=named(name))
    _ = stack.part(name).address
    stack.part(name).kill()
    topics.send(UPLOADED, *(event(i) for i in ids[200:400]))
    again = stack.start_again(name)
    topics.send(UPLOADED, *(event(i) for i in ids[400:]))
    _ = again.address

    until(lambda: len(verdict_keys(topics, name)) == 600, within_s=60)
    until(lambda: rows_in_warehouse(stack, f"e-{name}-") == 600, within_s=30)
    assert letters_of(topics, name) == []
    assert features_found(stack, [f"v-{i}" for i in ids]) == 600
    assert len(running(stack)) == 2


def test_while_triton_is_frozen_nothing_is_acknowledged_dropped_or_dead_and_then_all_goes_on(
    stack: Stack, topics: Topics
):
    triton = stack.part("triton")
    triton.signal(signal.SIGSTOP)
    topics.send(UPLOADED, *(event(f"ice-{n}") for n in range(300)))
    until(lambda: any(metric(w, 'precedent_waiting_seconds{part="scorer"}') > 0 for w in running(stack)))
    until(lambda: sum(metric(w, "precedent_lag_events") for w in running(stack)) >= 300)
    assert verdict_keys(topics, "ice") == {}
    assert [status(w, "/live") for w in running(stack)] == [200, 200]
    triton.signal(signal.SIGCONT)

    until(lambda: len(verdict_keys(topics, "ice")) == 300, within_s=60)
    until(lambda: sum(metric(w, "precedent_lag_events") for w in running(stack)) == 0)
    assert letters_of(topics, "ice") == []
    assert any("ALERT waiting for scorer" in w.complaints(50) for w in running(stack))


def test_a_worker_that_is_told_to_stop_finishes_its_batch_and_another_takes_over(stack: Stack, topics: Topics):
    leaving = running(stack)[0]
    topics.send(UPLOADED, *(event(f"leave-{n}") for n in range(1_000)))
    topics.read(VERDICTS, 100, where=named("leave"))
    assert leaving.end() == 0
    _ = stack.start_worker().address

    until(lambda: len(verdict_keys(topics, "leave")) == 1_000, within_s=60)


def test_a_killed_worker_loses_nothing(stack: Stack, topics: Topics):
    names = [f"killed-{batch}-{n}" for batch in range(10) for n in range(200)]
    for batch in range(10):
        topics.send(UPLOADED, *(event(name) for name in names[200 * batch : 200 * (batch + 1)]))
        if batch == 5:
            running(stack)[0].kill()

    until(lambda: len(verdict_keys(topics, "killed")) == 2_000, within_s=60)
    assert features_found(stack, [f"v-{name}" for name in names]) == 2_000
    until(lambda: rows_in_warehouse(stack, "e-killed-") == 2_000, within_s=30)
    _ = stack.start_worker().address


def test_a_frozen_worker_that_wakes_is_fenced_and_nothing_is_lost(stack: Stack, topics: Topics):
    frozen = running(stack)[0]
    frozen.signal(signal.SIGSTOP)
    topics.send(UPLOADED, *(event(f"frozen-{n}") for n in range(600)))
    until(lambda: len(verdict_keys(topics, "frozen")) == 600, within_s=60)
    frozen.signal(signal.SIGCONT)
    topics.send(UPLOADED, *(event(f"frozen-{n}") for n in range(600, 700)))

    until(lambda: len(verdict_keys(topics, "frozen")) == 700, within_s=60)
    assert frozen.running()
