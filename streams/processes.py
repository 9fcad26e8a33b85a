"""Commands in, running parts out: start a process, wait for its ready line, end it gently, leave nothing behind.

Each part is the leader of a session of its own, so that Ctrl-C reaches only the program that started the
parts, and it ends them in the reverse order of their start. The kernel tells a part to end when the thread
that started it is gone, however that happened: start parts from a thread that outlives them.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from contracts.errors import DependencyError


class Part:
    """A part that was started: its process, where its messages go, and, once it said so, what it is ready as."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path, *, ready_within_s: float) -> None:
        self.name = name
        self.process = process
        self.log = log
        self._ready_until = time.monotonic() + ready_within_s
        self._ready: Mapping[str, Any] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        assert process.stdout is not None
        threading.Thread(target=_forward, args=(process.stdout, self._lines), daemon=True).start()

    @property
    def ready(self) -> Mapping[str, Any]:
        """Its ready line, waited for; raises `DependencyError` with the end of the log when none comes."""
        if self._ready is None:
            self._ready = self._ready_line()
        return self._ready

    @property
    def address(self) -> str:
        return str(self.ready["address"])

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the part and to every process under it."""
        _signal(self._family(), number)

    def kill(self) -> None:
        """End it and what it started at once, as a crash would, and wait for it."""
        family = self._family()
        _signal(family, signal.SIGKILL)
        self.process.wait()
        _wait_for_end(family, within_s=5.0)

    def end(self, *, within_s: float = 20.0) -> int:
        """Ask it to end, kill what does not, and return its exit code; a part that is gone already is fine."""
        family = self._family()
        if self.running():
            _signal(family, signal.SIGCONT)
            self.process.terminate()
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            _signal(family, signal.SIGKILL)
        code = self.process.wait()
        _signal(family, signal.SIGKILL)  # whatever it started and left behind
        return code

    def _family(self) -> "list[_Process]":
        """The part's process and all under it; empty when it has ended."""
        return _tree(self.process.pid) if self.running() else []

    def complaints(self, lines: int = 8) -> str:
        """The last lines of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _ready_line(self) -> dict[str, Any]:
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, self._ready_until - time.monotonic()))
            except queue.Empty:
                raise DependencyError(f"{self.name} was not ready in time; {self.log}:\n{self.complaints()}") from None
            if not line:
                code = self.process.wait()
                raise DependencyError(f"{self.name} ended with code {code}; {self.log}:\n{self.complaints()}")
            if line.startswith("{"):
                ready: dict[str, Any] = json.loads(line)
                return ready


def start_part(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    ready_within_s: float = 90.0,
) -> Part:
    """Start a command that prints one ready line of JSON on stdout; its stderr is appended to `log`.

    Returns at once: reading `ready` or `address` waits for the line, so that parts can start side by side.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as messages:
        process = subprocess.Popen(
            [*end_with_parent(), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            env={**_inherited(), **(env or {})},
            start_new_session=True,
        )
    return Part(name, process, log, ready_within_s=ready_within_s)


def _forward(stream: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    """Pass lines on, an empty one at the end; reading goes on so that the part never blocks on a full pipe."""
    with stream:
        for line in stream:
            lines.put(line)
    lines.put("")


def _inherited() -> dict[str, str]:
    """Our environment, but for what Feast puts there when it is imported: it changes how a part's metrics work."""
    return {name: value for name, value in os.environ.items() if name.lower() != "prometheus_multiproc_dir"}


class _Process(NamedTuple):
    """A process id and when it started, which together never name another process."""

    pid: int
    started: str


def _tree(pid: int) -> list[_Process]:
    """A process and its descendants, of whatever session, as /proc shows them now."""
    try:
        started = _stat(pid)[19]
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (OSError, IndexError):
        return []
    return [_Process(pid, started), *(process for child in children for process in _tree(child))]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _alive(process: _Process) -> bool:
    try:
        fields = _stat(process.pid)
    except OSError:
        return False
    return fields[19] == process.started and fields[0] != "Z"


def _signal(processes: Sequence[_Process], number: signal.Signals) -> None:
    for process in processes:
        if _alive(process):
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _wait_for_end(processes: Sequence[_Process], *, within_s: float) -> None:
    until = time.monotonic() + within_s
    while any(map(_alive, processes)) and time.monotonic() < until:
        time.sleep(0.01)


def end_with_parent() -> tuple[str, ...]:
    """What to put before a command so that the kernel ends it when the thread that started it is gone.

    `setpriv` is part of util-linux, which every Debian has; without it a killed parent leaves its parts running.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM") if setpriv else ()


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
