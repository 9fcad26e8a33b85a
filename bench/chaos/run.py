"""An act in, its faults played beside a load, and what was lost, repeated and how long each recovery took out."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.chaos.actions import Mended, perform
from bench.chaos.lags import COPYING, MODERATION
from bench.chaos.recovery import Timeline, repeats_of
from bench.chaos.schedule import Choice, Fault, Kind, Target, draw
from bench.chaos.stage import Stage, staged
from contracts.errors import BadInputError, DependencyError
from streams.kafka.agents import AgentConfig
from streams.kafka.connection import Connection
from streams.load.ledger import Ledger
from streams.load.report import NOTHING
from streams.stack import precedent

MIX = "text=0.8,update=0.06,late=0.04,repeat=0.03,poison=0.03,report=0.04"
WARM_S = 5.0
TAIL_S = 15.0
"""How much longer than the schedule the load lasts: faults that wait for the one before them come later than drawn."""
GIVES_UP_S = 90.0
BEGINS_WITHIN_S = 180.0
WITHIN_S = 15.0
"""Within which everything must be well again after each fault."""


@dataclass(frozen=True, slots=True)
class Act:
    """What is played: on how many broker nodes, with which online store, how many faults in how long."""

    nodes: int
    store: Target
    choices: Sequence[Choice]
    count: int
    length_s: float = 600.0
    rate: float = 200.0
    workers: int = 2
    seed: int = 0
    triton: bool = True

    def __str__(self) -> str:
        length = timedelta(seconds=round(self.length_s))
        return (
            f"{self.count} faults in {length} at {self.rate:g} events/s: {self.nodes} broker node(s), features in"
            f" {'Redis' if self.store is Target.REDIS else 'SQLite'}, {self.workers} workers, seed {self.seed}"
        )

    @property
    def faults(self) -> list[Fault]:
        return draw(self.choices, count=self.count, length_s=self.length_s, seed=self.seed)

    @property
    def most_repeated(self) -> int:
        """What may lie on the raw topic twice: all that the workers hold, at each fault, one more worker included."""
        usual = AgentConfig(Connection("127.0.0.1:9092"), group="")
        return self.count * (self.workers + 1) * usual.in_flight * usual.take_max


@dataclass(frozen=True, slots=True)
class Outcome:
    """A fault that was played: how long its part was away, and seconds from its being back to features and to rows."""

    fault: Fault
    mended: Mended
    joined_s: float | None
    passed_s: Mapping[str, float | None]
    """When each group was past all that had been sent, in seconds since 1970; None where we gave up before."""

    @property
    def away_s(self) -> float:
        return self.mended.back_s - self.mended.began_s

    @property
    def rows_s(self) -> float | None:
        """Until all that was sent before the last group passed it is a row."""
        known = [at_s for at_s in self.passed_s.values() if at_s is not None]
        return max(known) - self.mended.back_s if len(known) == len(self.passed_s) else None

    @property
    def slowest(self) -> str:
        """The group that was waited for longest."""
        return max(self.passed_s, key=lambda group: self.passed_s[group] or float("inf")).removeprefix("precedent-")


def play(act: Act, *, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Play an act from start to end; raises `DependencyError` where a part cannot be had or does not come back."""
    with staged(nodes=act.nodes, store=act.store, workers=act.workers, triton=act.triton) as stage:
        if stage.disk is None:
            tell(f"no disk is filled: {stage.no_disk}")
        faults = [fault for fault in act.faults if fault.kind is not Kind.FULL or stage.disk]
        folder = stage.stack.state / "ledger"
        load = _start_load(act, stage, folder)
        try:
            start_s = _begun(load, folder)
            outcomes = [_play(fault, stage, start_s) for fault in faults]
            report = _report(load)
        finally:
            if load.poll() is None:
                load.kill()
            load.wait()
        figures = _figures(act, stage, Ledger.open(folder), outcomes, report)
    for line in table(figures):
        tell(line)
    return figures


def _start_load(act: Act, stage: Stage, folder: Path) -> "subprocess.Popen[str]":
    seconds = WARM_S + act.length_s + TAIL_S
    options = ["--rate", f"{act.rate:g}", "--duration", f"{seconds:g}", "--mix", MIX, "--seed", str(act.seed)]
    waits = ["--patience", f"{GIVES_UP_S:g}", "--settle", f"{GIVES_UP_S:g}", "--probe", "0"]
    command = precedent("load", "run", "--report", "json", "--out", str(folder), *options, *waits)
    environment = {**os.environ, **stage.stack.environment}
    log = stage.stack.state / "logs" / "load.log"
    with log.open("wb") as messages:
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=messages, text=True)


def _begun(load: "subprocess.Popen[str]", folder: Path) -> float:
    """When the first event was due, in seconds since 1970, as soon as it is known."""
    until = time.monotonic() + BEGINS_WITHIN_S
    while load.poll() is None and time.monotonic() < until:
        try:
            due_s = float(Ledger.open(folder).rows["intended_s"][0])
        except BadInputError:
            due_s = float("nan")
        if not np.isnan(due_s):
            return due_s
        time.sleep(0.05)
    raise DependencyError(f"the load did not begin within {BEGINS_WITHIN_S:g} s")


def _play(fault: Fault, stage: Stage, start_s: float) -> Outcome:
    """Wait until the fault is due, play it, and wait until everything that was sent by then has its row."""
    time.sleep(max(0.0, start_s + WARM_S + fault.at_s - time.time()))
    mended = perform(fault, stage)
    for part in mended.joining:
        _ = part.address
    joined_s = time.time() - mended.back_s if mended.joining else None
    passed_s: dict[str, float | None] = {}
    for groups in (MODERATION, COPYING):
        passed_s |= stage.groups.pass_now(groups, within_s=GIVES_UP_S)
    return Outcome(fault, mended, joined_s, passed_s)


def _report(load: "subprocess.Popen[str]") -> dict[str, Any]:
    said, _ = load.communicate()
    if not said:
        raise DependencyError(f"the load ended with code {load.returncode} and said nothing")
    report: dict[str, Any] = json.loads(said)
    return report


def _figures(
    act: Act, stage: Stage, ledger: Ledger, outcomes: Sequence[Outcome], report: Mapping[str, Any]
) -> dict[str, Any]:
    timeline = Timeline.of(ledger)
    begins = [one.mended.began_s for one in outcomes[1:]] + [float("inf")]
    repeats = repeats_of(ledger, [one.mended.back_s + (one.joined_s or 0.0) for one in outcomes])
    faults = []
    for one, until_s, repeated in zip(outcomes, begins, repeats, strict=True):
        together_s = one.mended.back_s + (one.joined_s or 0.0)
        features_s = timeline.well_after(together_s, until_s=until_s)
        faults.append(
            {
                "at_s": round(one.fault.at_s, 1),
                "fault": str(one.fault),
                "away_s": round(one.away_s, 1),
                "joined_s": _rounded(one.joined_s),
                "features_s": _rounded(None if features_s is None else features_s + (one.joined_s or 0.0)),
                "seen": bool((timeline.due_N >= together_s).any()),  # else the load was over
                "rows_s": _rounded(one.rows_s),
                "waited_s": _rounded(timeline.longest_wait(one.mended.began_s - 1.0, until_s)),
                "repeated": repeated,
                "slowest": one.slowest,
            }
        )
    return {
        "act": str(act),
        "faults": faults,
        "longest_s": {name: _longest(faults, name) for name in ("features_s", "rows_s")},
        "late": sum(not _within(fault) for fault in faults),
        "found": {name: report[name] for name in NOTHING},
        "examples": report["examples"],
        "sent": report["sent"],
        "verdicts": report["verdicts"],
        "letters": report["letters"],
        "repeated_verdicts": report["repeated_verdicts"],
        "most_repeated": act.most_repeated,
        "feature_latency_ms": report["feature_latency_ms"],
        "exit_codes": [list(one) for one in stage.exit_codes],
        "no_disk": stage.no_disk,
    }


def table(figures: Mapping[str, Any]) -> list[str]:
    """The figures for a person."""
    lines = ["  at s  fault             away s  joined s  features s   rows s  waited s  repeated  slowest"]
    lines += [_row(fault) for fault in figures["faults"]]
    longest = figures["longest_s"]
    unclean = [f"{name} {code}" for name, code in figures["exit_codes"] if code]
    return [
        *lines,
        "(waited: by the event that waited longest of those due from the fault's begin to the next one's)",
        f"sent {figures['sent']:,}, {figures['verdicts']:,} verdicts, {figures['letters']:,} dead letters; "
        + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in figures["found"].items()),
        *(f"  {name}: {', '.join(ids)}" for name, ids in figures["examples"].items()),
        f"repeated on the raw topic {figures['repeated_verdicts']:,}, at most {figures['most_repeated']:,} may be",
        f"longest recovery: features {_cell(longest['features_s'])} s, rows {_cell(longest['rows_s'])} s from the part"
        f" being back; {figures['late']} of {len(figures['faults'])} took {WITHIN_S:g} s or longer",
        f"ended with another code than 0 when told to: {', '.join(unclean) or 'none'}",
    ]


def _row(fault: Mapping[str, Any]) -> str:
    joined, features = (
        _cell(fault["joined_s"], 10, "-"),
        _cell(fault["features_s"], 12, "never" if fault["seen"] else "-"),
    )
    return (
        f"{fault['at_s']:6.1f}  {fault['fault']:<16}{fault['away_s']:8.1f}{joined}{features}"
        f"{_cell(fault['rows_s'], 9)}{_cell(fault['waited_s'], 10)}{fault['repeated']:10,}  {fault['slowest']}"
    )


def _within(fault: Mapping[str, Any]) -> bool:
    times = (fault["features_s"], fault["rows_s"]) if fault["seen"] else (fault["rows_s"],)
    return all(seconds is not None and seconds < WITHIN_S for seconds in times)


def _longest(faults: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [fault[name] for fault in faults if fault[name] is not None]
    return max(known, default=None)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _cell(seconds: float | None, width: int = 0, otherwise: str = "never") -> str:
    return f"{seconds:{width}.1f}" if seconds is not None else f"{otherwise:>{width}}"
