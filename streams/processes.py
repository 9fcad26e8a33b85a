"""Commands in, running parts out: start a process, wait for its ready line, end it gently, leave nothing behind.

Each part is the leader of a session of its own, so that Ctrl-C reaches only the program that started the
parts, and it ends them in the reverse order of their start. The kernel tells a part to end when the thread
that started it is gone, however that happened: start parts from a thread that outlives them.
"""

import ctypes
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from contracts.errors import DependencyError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Part:
    """A running part: its process, what its ready line said, and where its messages go."""

    name: str
    process: subprocess.Popen[str]
    ready: Mapping[str, Any]
    log: Path

    @property
    def address(self) -> str:
        return str(self.ready["address"])

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the part and to the processes that it started."""
        _signal_group(self.process, number)

    def kill(self) -> None:
        """End it at once, as a crash would, and wait for it."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def end(self, *, within_s: float = 15.0) -> int:
        """Ask it to end, kill what does not, and return its exit code; a part that is gone already is fine."""
        if self.running():
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
        code = self.process.wait()
        self.signal(signal.SIGKILL)  # whatever it started and left behind
        return code

    def complaints(self, lines: int = 8) -> str:
        """The last lines of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def start_part(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    ready_within_s: float = 60.0,
) -> Part:
    """Start a command and wait for its one ready line of JSON on stdout; its stderr is appended to `log`.

    Raises `DependencyError` with the end of the log when it ends or stays silent.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as messages:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=end_with_parent(os.getpid()),
        )
    part = Part(name, process, {}, log)
    try:
        part.ready = _ready_line(part, ready_within_s)
    except BaseException:
        part.end(within_s=2.0)
        raise
    return part


def _ready_line(part: Part, within_s: float) -> dict[str, Any]:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert part.process.stdout is not None
    threading.Thread(target=_forward, args=(part.process.stdout, lines), daemon=True).start()
    until = time.monotonic() + within_s
    while True:
        try:
            line = lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise DependencyError(
                f"{part.name} was not ready within {within_s:g} s; {part.log}:\n{part.complaints()}"
            ) from None
        if not line:
            code = part.process.wait()
            raise DependencyError(f"{part.name} ended with exit code {code}; {part.log}:\n{part.complaints()}")
        if line.startswith("{"):
            ready: dict[str, Any] = json.loads(line)
            return ready


def _forward(stream: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    """Pass lines on, an empty one at the end; reading goes on so that the part never blocks on a full pipe."""
    with stream:
        for line in stream:
            lines.put(line)
    lines.put("")


def end_with_parent(parent: int) -> Callable[[], None]:
    """What a child runs before its command (`preexec_fn`), so that it ends when `parent` has ended."""

    def in_child() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(1)

    return in_child


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


class Parts:
    """Parts that end together, in the reverse order of their start, however the block is left."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def start(self, name: str, command: Sequence[str], **options: Any) -> Part:
        part = start_part(name, command, **options)
        self._parts.append(part)
        return part

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _uninterrupted():
            for part in reversed(self._parts):
                part.end()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A second Ctrl-C while ending must not leave parts behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
