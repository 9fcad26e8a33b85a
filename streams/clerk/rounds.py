"""Duties in, each done on its own period for as long as the clerk runs; one that fails is retried, the others go on.

A duty works in a thread, beside the event loop that hears appeals. Its thread is let go when the clerk is told to stop,
as it would be by a crash: every duty may be done again from its last note.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from contracts.errors import DependencyError, PrecedentError
from streams.worker.patience import AbandonedError, Patience, WaitingGauge

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class DutyGauges(WaitingGauge, Protocol):
    """Shows what is waited for, and when each duty was done last."""

    def done(self, duty: str, count: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Duty:
    """What is done every `every_s`; `perform` returns how much was done and raises `DependencyError` to be retried."""

    name: str
    every_s: float
    perform: Callable[[], Awaitable[int]]


async def keep(duties: Sequence[Duty], stopping: asyncio.Event, gauges: DutyGauges, *, longest_s: float = 5.0) -> None:
    """Do each duty at once and then on its period, until `stopping` is set."""
    patience = Patience(gauges, abandoned=stopping.is_set, longest_s=longest_s)
    await asyncio.gather(*(_keep_one(duty, stopping, gauges, patience) for duty in duties))


async def _keep_one(duty: Duty, stopping: asyncio.Event, gauges: DutyGauges, patience: Patience) -> None:
    while not stopping.is_set():
        try:
            done = await _unless(stopping, patience.until_done(duty.name, lambda: _attempt(duty)))
        except AbandonedError:
            return
        if done is None:
            return
        gauges.done(duty.name, done)
        await _unless(stopping, asyncio.sleep(duty.every_s))


async def _attempt(duty: Duty) -> int:
    """Do a duty once; whatever it raises is a reason to try again later, and said."""
    try:
        return await duty.perform()
    except DependencyError:
        raise
    except PrecedentError as error:
        raise DependencyError(f"it was refused: {error}") from error
    except Exception as error:
        log.exception("a fault in duty %s", duty.name)
        raise DependencyError(f"a fault of this program: {error!r}") from error


async def _unless(stopping: asyncio.Event, wanted: Awaitable[T]) -> T | None:
    """Await `wanted`; None as soon as the clerk is told to stop."""
    wait = asyncio.ensure_future(wanted)
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({wait, stop}, return_when=asyncio.FIRST_COMPLETED)
        return wait.result() if wait.done() else None
    finally:
        for task in (wait, stop):
            task.cancel()


async def aside(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call in a thread of its own that nobody waits for at the end, unlike those of an executor."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call(*args, **kwargs)
        except BaseException as raised:  # noqa: BLE001 - it is the waiting task's
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="clerk", daemon=True).start()
    return await answer
