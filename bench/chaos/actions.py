"""One fault in, the parts broken and mended, and when they were back out."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bench.chaos.schedule import Fault, Kind, Target
from bench.chaos.stage import Stage
from contracts.errors import DependencyError
from streams.processes import Part

ENDS_WITHIN_S = 30.0
ANSWERS_WITHIN_S = 90.0
PULSE_S, GAP_S = 0.25, 0.05
_GROUP_MEMBERS = (Target.WORKER, Target.WORKERS, Target.SINK, Target.RECORDER)
_SIGNALS = {Kind.TERM: signal.SIGTERM, Kind.INT: signal.SIGINT, Kind.KILL: signal.SIGKILL}


@dataclass(frozen=True, slots=True)
class Mended:
    """When a fault began and when its part was back, in seconds since 1970.

    Back is a server that answers, a part that goes on, and a member of a group whose process was just started:
    its starting up and joining are part of the recovery, which is not over before every one of `joining` is ready.
    """

    began_s: float
    back_s: float
    joining: tuple[Part, ...] = ()


def perform(fault: Fault, stage: Stage) -> Mended:
    """Break what the fault says for as long as it says, and bring it back."""
    began_s = time.time()
    back_s, joining = _break(fault, stage)
    return Mended(began_s, back_s, joining)


def _break(fault: Fault, stage: Stage) -> tuple[float, tuple[Part, ...]]:
    if fault.kind is Kind.JOIN:
        return time.time(), (stage.stack.start_worker(),)
    if fault.kind is Kind.LEAVE:
        _end(_targets(fault, stage)[0], Kind.TERM, stage)
        return time.time(), ()
    if fault.kind is Kind.FULL:
        assert stage.disk is not None
        stage.disk.fill()
        time.sleep(fault.down_s)
        stage.disk.free()
        return time.time(), ()
    if fault.target is Target.BROKER:
        return _break_node(fault, stage), ()
    parts = _targets(fault, stage)
    if fault.kind is Kind.STOP:
        _pause(parts, fault.down_s)
    elif fault.kind is Kind.SLOW:
        until = time.monotonic() + fault.down_s
        while time.monotonic() < until:
            _pause(parts, PULSE_S)
            time.sleep(GAP_S)
    else:
        return _end_and_start(fault, parts, stage)
    return time.time(), ()


def _targets(fault: Fault, stage: Stage) -> list[Part]:
    if fault.target is Target.WORKERS:
        return stage.workers
    if fault.target is Target.WORKER:
        running = stage.workers
        return [running[fault.number % len(running)]]
    return [stage.part(fault.target)]


def _end_and_start(fault: Fault, parts: list[Part], stage: Stage) -> tuple[float, tuple[Part, ...]]:
    for part in parts:
        _end(part, fault.kind, stage)
    time.sleep(fault.down_s)
    if fault.target in _GROUP_MEMBERS:
        back_s = time.time()
        if fault.target in {Target.WORKER, Target.WORKERS}:
            return back_s, tuple(stage.stack.start_worker() for _ in parts)
        return back_s, (stage.stack.start_anew(fault.target),)
    again = stage.start_redis() if fault.target is Target.REDIS else stage.stack.start_again(fault.target)
    _ = again.address
    return time.time(), ()


def _end(part: Part, kind: Kind, stage: Stage) -> None:
    """End a part as the kind says; one that does not end when it is told to is a failure of its own."""
    _ = part.address  # one that is starting is waited for: its signals have no handlers yet
    if kind is Kind.KILL:
        part.kill()
        return
    part.process.send_signal(_SIGNALS[kind])
    try:
        stage.exit_codes.append((part.name, part.process.wait(ENDS_WITHIN_S)))
    except subprocess.TimeoutExpired:
        part.kill()
        stage.exit_codes.append((part.name, -signal.SIGKILL))


def _pause(parts: list[Part], seconds: float) -> None:
    try:
        for part in parts:
            part.signal(signal.SIGSTOP)
        time.sleep(seconds)
    finally:
        for part in parts:
            part.signal(signal.SIGCONT)


def _break_node(fault: Fault, stage: Stage) -> float:
    """Break one node; its runner starts it again."""
    pid = stage.node_pid(fault.number)
    if fault.kind is Kind.STOP:
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(fault.down_s)
        finally:
            os.kill(pid, signal.SIGCONT)
        return time.time()
    with suppress(ProcessLookupError):
        os.kill(pid, _SIGNALS[fault.kind])
    _until(lambda: stage.node_pid(fault.number) not in {0, pid}, f"node of pid {pid} was not started again")
    address = stage.node_address(fault.number)
    _until(lambda: _listens(address), f"{address} does not listen")
    _until(stage.groups.answers, f"{address} does not answer")
    return time.time()


def _until(true: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + ANSWERS_WITHIN_S
    while not true():
        if time.monotonic() > until:
            raise DependencyError(f"{otherwise} within {ANSWERS_WITHIN_S:g} s")
        time.sleep(0.05)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return True
    except OSError:
        return False
