"""A stack and a load in; the load's report, and what each part spent of cores and memory meanwhile, out."""

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streams.processes import Part
from streams.stack import Stack, precedent

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load's report; core-milliseconds an event and memory, in MB at `times_s`, of each part and its family."""

    report: dict[str, Any]
    core_ms: dict[str, float]
    times_s: Sequence[float]
    resident_mb: Mapping[str, Sequence[float]]

    def slopes_mb_a_minute(self, *, after_s: float) -> dict[str, float]:
        """By how much each part's memory grew, by least squares, from `after_s` on; empty where that is too short."""
        chosen = [n for n, at in enumerate(self.times_s) if at >= after_s]
        if len(chosen) < 10:
            return {}
        minutes = np.array([self.times_s[n] for n in chosen]) / 60.0
        return {
            name: float(np.polyfit(minutes, [held[n] for n in chosen], 1)[0]) for name, held in self.resident_mb.items()
        }


def run_load(stack: Stack, *options: str, limits: Sequence[str] = (), beside: Sequence[Part] = ()) -> Loaded:
    """Run `precedent load run` in a process of its own on the stack, and watch it and the parts `beside` it meanwhile.

    Raises `CalledProcessError` when it could not be run; a limit that is crossed stands in the report.
    """
    parts = [*stack.parts, *beside]
    before = {part.name: _family(part)[0] for part in parts}
    with tempfile.TemporaryDirectory() as folder, _watching(parts) as (times_s, resident_mb):
        command = precedent("load", "run", "--report", "json", "--out", f"{folder}/ledger", *options, *limits)
        done = subprocess.run(
            command, env={**os.environ, **stack.environment}, stdout=subprocess.PIPE, check=False, text=True
        )
        if not done.stdout:
            done.check_returncode()
    report: dict[str, Any] = json.loads(done.stdout)
    spent = {part.name: _family(part)[0] - before[part.name] for part in parts}
    spent["load"] = report["core_s"]
    cost = {name: seconds / report["sent"] * 1_000.0 for name, seconds in spent.items()}
    return Loaded(report, cost, times_s, resident_mb)


@contextmanager
def _watching(parts: Sequence[Part], *, every_s: float = 1.0) -> Iterator[tuple[list[float], dict[str, list[float]]]]:
    """Note the memory of each part's family every second while the context is open."""
    times_s: list[float] = []
    resident_mb: dict[str, list[float]] = {part.name: [] for part in parts}
    ended = threading.Event()
    began = time.monotonic()

    def watch() -> None:
        while not ended.wait(every_s):
            times_s.append(time.monotonic() - began)
            for part in parts:
                resident_mb[part.name].append(_family(part)[1])

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield times_s, resident_mb
    finally:
        ended.set()
        watcher.join()


def _family(part: Part) -> tuple[float, float]:
    """Core-seconds of a part and everything that it started, gone or not, and the MB that those alive hold."""
    children: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    held: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(stat.parent.name)
        children.setdefault(int(fields[1]), []).append(pid)
        spent[pid] = sum(map(int, fields[11:15])) / _TICKS_PER_S
        held[pid] = int(fields[21]) * _PAGE_MB
    family, core_s, resident_mb = [part.pid], 0.0, 0.0
    while family:
        pid = family.pop()
        core_s += spent.get(pid, 0.0)
        resident_mb += held.get(pid, 0.0)
        family += children.get(pid, [])
    return core_s, resident_mb
