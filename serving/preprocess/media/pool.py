"""Media addresses -> frames or refusals, in order, by worker processes that may hang, swell or crash.

What lies behind a slow file is given to a worker that has nothing to do. A worker that dies loses nothing: the
file in hand is tried once more in a fresh process and then refused, the tasks behind it go to the others. With one
worker a slow file holds up the rest for its time limit at most; with several, the others go on. What costs too much
of a core is the file's fault; what waits without end is the store's.
"""

import asyncio
import logging
import signal
from collections import deque
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from contracts.errors import DependencyError
from serving.preprocess.media import wire
from serving.preprocess.media.process import Answer, PoolSettings, Task, WorkerProcess
from serving.preprocess.media.refusals import MediaReason

log = logging.getLogger(__name__)

_MAX_ADDRESS_CHARS = 4_000
_MAX_FAILED_STARTS = 3
_START_S = 60.0
_WATCH_S = 0.5


class DecodePool:
    """Decodes in `settings.n_workers` processes; use it as an async context, or `close()` it.

    It belongs to the event loop on which it is first used. Workers start with the first `decode` or `start`.
    """

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._workers: list[WorkerProcess] = []
        self._pending: deque[Task] = deque()
        self._failed_starts = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._started = asyncio.Event()
        self._warned = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers."""
        return tuple(worker.process.pid for worker in self._workers)

    async def start(self) -> None:
        """Start the workers and wait until one is ready; raises `DependencyError` when none will start."""
        self._open()
        await self._started.wait()
        if not any(worker.ready for worker in self._workers):
            raise DependencyError("no decode worker starts: see its messages on stderr")

    async def decode(self, addresses: Sequence[str]) -> list[Answer]:
        """Frames uint8 [F, S, S, 3], F from 1 to n_frames, or a `MediaError`, for each address in order.

        Raises `DependencyError` when the media store or the workers are away: try the whole batch again.
        """
        loop = self._open()
        tasks = [Task(address, loop.create_future()) for address in addresses]
        for task in tasks:
            if len(task.address) > _MAX_ADDRESS_CHARS:
                task.refuse(MediaReason.ADDRESS_REFUSED, f"must be at most {_MAX_ADDRESS_CHARS} characters")
            else:
                self._pending.append(task)
        self._dispatch(loop.time())
        answers = await asyncio.gather(*(task.future for task in tasks))
        for answer in answers:
            if isinstance(answer, DependencyError):
                raise answer
        return [answer for answer in answers if not isinstance(answer, DependencyError)]

    async def close(self) -> None:
        """Kill the workers and wait for them; what was not decoded yet is answered with `DependencyError`."""
        if self._watch is not None:
            self._watch.cancel()
        self._stop_all("the decode pool was closed")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            raise RuntimeError("a DecodePool belongs to one event loop, this is another")
        self._loop = loop
        if not self._workers:
            self._started.clear()
        while len(self._workers) < self._settings.n_workers:
            self._spawn(loop)
        if self._watch is None or self._watch.cancelled():
            self._watch = loop.call_later(_WATCH_S, self._look_for_stuck, loop)
        return loop

    def _spawn(self, loop: asyncio.AbstractEventLoop) -> WorkerProcess:
        worker = WorkerProcess.spawn(self._settings, loop.time())
        self._workers.append(worker)
        loop.add_reader(worker.channel, self._read, worker, loop)
        return worker

    def _dispatch(self, now: float) -> None:
        """Give pending tasks to the workers with the least to do, then level what is already given."""
        ready = [worker for worker in self._workers if worker.ready]
        while self._pending:
            able = [worker for worker in ready if worker.free]
            if not able:
                return
            task = self._pending.popleft()
            if not task.future.done():
                min(able, key=lambda worker: len(worker.given)).give(task, now)
        for idle in ready:
            if not idle.given:
                behind = max(ready, key=lambda worker: len(worker.given)).take_back()
                if behind is not None:
                    idle.give(behind, now)

    def _read(self, worker: WorkerProcess, loop: asyncio.AbstractEventLoop) -> None:
        for reply in worker.replies():
            if not reply:
                self._bury(worker, loop)
                break
            worker.since = loop.time()
            self._take(worker, reply)
        self._dispatch(loop.time())

    def _take(self, worker: WorkerProcess, reply: bytes) -> None:
        try:
            said = worker.understood(reply)
        except wire.GarbledReplyError as error:
            worker.garbled = worker.garbled or str(error)
            worker.process.kill()
            return
        if said.kind == wire.READY:
            worker.ready, self._failed_starts = True, 0
            self._warn_of_lacking(said.words)
            self._started.set()
            return
        task = worker.given.pop(said.slot)
        worker.free.append(said.slot)
        if task is None:
            return  # moved: another worker answers for it
        if said.kind == wire.FRAMES:
            task.answer(worker.frames(said.slot, said.count))
        elif said.kind == wire.REFUSED:
            task.refuse(MediaReason(said.words[0]), said.words[1])
        else:
            task.answer(DependencyError(said.words[0]))

    def _warn_of_lacking(self, lacking: Sequence[str]) -> None:
        if (what := " and ".join(filter(None, lacking))) and not self._warned:
            self._warned = True
            log.warning("this kernel has no %s: media is decoded in a process that is limited, yet not confined", what)

    def _bury(self, worker: WorkerProcess, loop: asyncio.AbstractEventLoop) -> None:
        """A worker died: blame the file in hand, save the tasks behind it, start another process."""
        loop.remove_reader(worker.channel)
        self._workers.remove(worker)
        if not any(other.ready for other in self._workers):
            self._started.clear()
        code = worker.end()
        given = list(worker.given.values())
        in_hand = given.pop(0) if worker.ready and given else None
        self._pending.extendleft(task for task in reversed(given) if task is not None)
        self._failed_starts += not worker.ready
        if self._failed_starts == _MAX_FAILED_STARTS:
            self._stop_all(f"decode workers do not start, the last ended with code {code}")
            return
        try:
            fresh = self._spawn(loop)
        except DependencyError as error:
            self._fail([in_hand] if in_hand else [], str(error))
            self._stop_all(str(error))
            return
        if in_hand is not None:
            self._blame(in_hand, worker, code, fresh, loop.time())

    def _blame(self, task: Task, dead: WorkerProcess, code: int, fresh: WorkerProcess, now: float) -> None:
        if code == -signal.SIGPROF:
            seconds = self._settings.killed_after_cpu_s
            task.refuse(MediaReason.TIMEOUT, f"decoding took more than {seconds:g} s of one core and was killed")
            return
        if code == wire.ROOTS_CHANGED:
            fresh.give(task, now)
            return
        task.deaths += 1
        if task.deaths == 1:
            fresh.give(task, now)
        elif dead.stuck:
            task.answer(
                DependencyError(f"media store: {self._settings.stall_s:g} s without a byte of {task.address!r}")
            )
        elif code == wire.OUT_OF_MEMORY:
            limit = self._settings.limits.memory_bytes
            task.refuse(MediaReason.MEMORY, f"decoding needs more than {limit} bytes of memory")
        else:
            end = dead.garbled or (signal.Signals(-code).name if code < 0 else f"exit code {code}")
            task.refuse(MediaReason.CRASHED, f"two decode processes died over it, the last by {end}")

    def _stop_all(self, why: str) -> None:
        """End every worker and answer all who wait; the next `decode` starts anew."""
        workers, self._workers = self._workers, []
        for worker in workers:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(worker.channel)
            self._fail(worker.unanswered(), why)
            worker.end()
        self._fail(self._pending, why)
        self._pending.clear()
        self._failed_starts = 0
        self._started.set()

    def _fail(self, tasks: Iterable[Task], why: str) -> None:
        for task in tasks:
            task.answer(DependencyError(why))

    def _look_for_stuck(self, loop: asyncio.AbstractEventLoop) -> None:
        """Kill a worker that waits without end, for a store that hangs or because it was stopped or never came up."""
        for worker in list(self._workers):
            self._read(worker, loop)
            limit = self._settings.stall_s if worker.ready else _START_S
            busy = worker.given or not worker.ready
            if busy and loop.time() - worker.since > limit and worker in self._workers:
                worker.stuck = True
                worker.process.kill()
        self._watch = loop.call_later(_WATCH_S, self._look_for_stuck, loop)


def decode_all(addresses: Sequence[str], settings: PoolSettings) -> list[Answer]:
    """Decode many files from synchronous code: starts a pool, decodes, ends it; as `DecodePool.decode`."""

    async def through_a_pool() -> list[Answer]:
        async with DecodePool(settings) as pool:
            return await pool.decode(addresses)

    return asyncio.run(through_a_pool())
