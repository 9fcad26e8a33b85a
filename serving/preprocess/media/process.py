"""A decoding process as its parent sees it: started, given tasks, read, killed."""

import asyncio
import contextlib
import fcntl
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from contracts.errors import DependencyError
from serving.preprocess.media import wire
from serving.preprocess.media.container import DecodeLimits
from serving.preprocess.media.frames import Frames
from serving.preprocess.media.refusals import MediaError, MediaReason

Answer = Frames | MediaError
_WORKER = "serving.preprocess.media.worker"
# All that a worker is told of our environment: no address, password or token of another part.
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many processes decode, from which roots, to what size, under which limits.

    `ahead` tasks are given to a worker at once, so that it never waits for a busy event loop. After
    `kill_after_cpu_s` of one core over one file the kernel kills a worker (default: the limit and a second more);
    after `stall_s` by the clock without an answer we do, and the store is to blame.
    """

    roots: tuple[Path, ...]
    n_workers: int = 1
    n_frames: int = 9
    frame_px: int = 64
    limits: DecodeLimits = DecodeLimits()
    ahead: int = 3
    kill_after_cpu_s: float | None = None
    stall_s: float = 30.0

    @property
    def killed_after_cpu_s(self) -> float:
        return self.limits.cpu_s + 1.0 if self.kill_after_cpu_s is None else self.kill_after_cpu_s


@dataclass(eq=False, slots=True)
class Task:
    """An address that somebody waits for, and how many processes died over it."""

    address: str
    future: "asyncio.Future[Answer | DependencyError]"
    deaths: int = 0

    def answer(self, answer: Answer | DependencyError) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def refuse(self, reason: MediaReason, detail: str) -> None:
        self.answer(MediaError(reason, self.address, detail))


@dataclass(eq=False, slots=True)
class WorkerProcess:
    """A process and what it was given: slot -> task in the order sent, None where the task was moved.

    `since` is when it last answered, or got something to do after idling, on the loop's clock.
    """

    process: "subprocess.Popen[bytes]"
    channel: socket.socket
    memory: mmap.mmap
    told: wire.WorkerSettings
    since: float
    free: list[int]
    given: dict[int, Task | None] = field(default_factory=dict)
    ready: bool = False
    stuck: bool = False
    garbled: str = ""

    @classmethod
    def spawn(cls, settings: PoolSettings, now: float) -> "WorkerProcess":
        """Start a process of its own program (never a fork of this one); raises `DependencyError`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memory_fd = os.memfd_create("precedent-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        told = wire.WorkerSettings(
            socket_fd=theirs.fileno(),
            memory_fd=memory_fd,
            parent_pid=os.getpid(),
            roots=tuple(str(root) for root in settings.roots),
            n_frames=settings.n_frames,
            frame_px=settings.frame_px,
            slots=settings.ahead,
            kill_after_cpu_s=settings.killed_after_cpu_s,
            limits=asdict(settings.limits),
        )
        try:
            os.ftruncate(memory_fd, told.memory_bytes)
            # of one size for good: a worker that could cut it would have our next look at it end us
            fcntl.fcntl(memory_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            memory = mmap.mmap(memory_fd, told.memory_bytes)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", _WORKER, told.to_argument()],
                pass_fds=(told.socket_fd, memory_fd),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={
                    **{name: os.environ[name] for name in _INHERITED if name in os.environ},
                    "OPENBLAS_NUM_THREADS": "1",
                    "OMP_NUM_THREADS": "1",
                },
                process_group=0,  # Ctrl-C in a terminal ends us, and we end them
            )
        except OSError as error:
            ours.close()
            raise DependencyError(f"no decode worker can be started: {error}") from error
        finally:
            theirs.close()
            os.close(memory_fd)
        ours.setblocking(False)
        return cls(process, ours, memory, told, now, list(range(settings.ahead)))

    def give(self, task: Task, now: float) -> None:
        slot = self.free.pop()
        if not self.given:
            self.since = now
        self.given[slot] = task
        self.memory[self.told.moved_at(slot)] = 0
        with contextlib.suppress(ConnectionError):  # it died meanwhile: its end is read next, and the task saved
            self.channel.send(wire.REQUEST.pack(slot) + task.address.encode("utf-8", "surrogatepass"))

    def take_back(self) -> Task | None:
        """The last task that the worker has not begun, or None. Should it just begin, both will answer."""
        for slot in reversed(list(self.given)[1:]):
            task = self.given[slot]
            if task is not None:
                self.memory[self.told.moved_at(slot)] = 1
                self.given[slot] = None
                return task
        return None

    def replies(self) -> Iterator[bytes]:
        """What it said since the last time; an empty one last when it has died."""
        while True:
            try:
                reply = self.channel.recv(wire.MESSAGE_BYTES)
            except BlockingIOError:
                return
            except ConnectionError:
                reply = b""
            yield reply
            if not reply:
                return

    def understood(self, reply: bytes) -> wire.Reply:
        """What a reply says; raises `wire.GarbledReplyError` for what no sound worker would say now."""
        said = wire.Reply.read(reply)
        if said.kind == wire.READY:
            if self.ready:
                raise wire.GarbledReplyError("it is ready a second time")
        elif said.slot not in self.given:
            raise wire.GarbledReplyError(f"slot == {said.slot}, must be one that was given")
        elif said.kind == wire.MOVED and self.given[said.slot] is not None:
            raise wire.GarbledReplyError(f"slot {said.slot} was not moved")
        elif said.kind == wire.FRAMES and not 1 <= said.count <= self.told.n_frames:
            raise wire.GarbledReplyError(f"frames == {said.count}, must be from 1 to {self.told.n_frames}")
        return said

    def frames(self, slot: int, count: int) -> Frames:
        shape = (count, self.told.frame_px, self.told.frame_px, 3)
        at = slot * self.told.slot_bytes
        return np.frombuffer(self.memory, np.uint8, int(np.prod(shape)), at).reshape(shape).copy()

    def unanswered(self) -> list[Task]:
        return [task for task in self.given.values() if task is not None]

    def end(self) -> int:
        """Kill the process, wait for it, give back what it held; returns its exit code."""
        self.process.kill()
        code = self.process.wait()
        self.channel.close()
        self.memory.close()
        return code
