"""`run_at_once` is a coroutine run as ever, except that its first step does not wait for the loop."""

import asyncio
from pathlib import Path

import faust
import pytest

from streams.kafka.connection import Connection
from streams.kafka.transport import run_at_once, use_transport


async def finished(log: list[str]) -> None:
    log.append("ran")


async def suspended(log: list[str], gate: asyncio.Event) -> str:
    log.append("first")
    await gate.wait()
    log.append("second")
    await asyncio.sleep(0)
    log.append("third")
    return "result"


def test_a_coroutine_that_never_suspends_is_over_at_once():
    log: list[str] = []

    assert run_at_once(finished(log)) is None
    assert log == ["ran"]


def test_a_coroutine_that_suspends_has_taken_its_first_step_and_goes_on_when_awaited():
    async def play() -> tuple[list[str], list[str], str]:
        log: list[str] = []
        gate = asyncio.Event()
        rest = run_at_once(suspended(log, gate))
        before = list(log)
        task = asyncio.create_task(rest)
        await asyncio.sleep(0)
        gate.set()
        return before, log, await task

    assert asyncio.run(play()) == (["first"], ["first", "second", "third"], "result")


def test_what_it_raises_comes_out():
    async def breaks() -> None:
        raise KeyError("at once")

    with pytest.raises(KeyError):
        run_at_once(breaks())


def test_a_cancellation_reaches_the_coroutine_where_it_waits():
    async def play() -> list[str]:
        log: list[str] = []

        async def waits() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                log.append("cancelled")
                raise

        task = asyncio.create_task(run_at_once(waits()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [*log, str(task.cancelled())]

    assert asyncio.run(play()) == ["cancelled", "True"]


def test_a_coroutine_that_swallows_a_cancellation_finishes_with_its_result():
    async def play() -> str:
        async def stays() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "stayed"
            return "never"

        task = asyncio.create_task(run_at_once(stays()))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(play()) == "stayed"


def test_an_app_leaves_no_folder_where_it_is_started(
    broker: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)

    async def run() -> None:
        app = faust.App(
            "tidy",
            broker=f"kafka://{broker.servers}",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
        )
        use_transport(app)
        app.agent(app.topic("videos.uploaded"), name="tidy")(lambda stream: stream)
        await app.start()
        await app.stop()

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []
