"""The highest rate that holds p95 under 500 ms: the worker, the same job by hand, and on Quix Streams, in one run.

One real Kafka, one Redis, one Triton, warehouse and sink for all; two processes of one job at a time, beside
the load generator, all on the same cores. Each job in turn, in an order drawn for each round, is sent texts at a
rate that grows step by step until p95, from the intended send time to the verdict that follows the written features,
passes the line twice at one rate. Each begins a group of its own at the end of the topic, and each step when all is
read. Before the steps a short run at a small rate whose features are looked for one by one: that all do the job.

One round of two short steps by default; the climb, twice, in the long form (PRECEDENT_LONG=1).

Predicted before the first run, from what a sketch cost on a machine with other work, for two cores that do nothing
else (core-milliseconds an event, where both are busy): everything but the job 0.26 (Kafka 0.08, Triton 0.055, sink and
warehouse 0.08, load 0.04), the job by hand 0.15, on Quix 0.18, by the worker 0.23. Hence 2 / 0.41 = 4,900, 2 / 0.44 =
4,500 and 2 / 0.49 = 4,100 events/s flat out; p95 holds up to three quarters of it: 3,500 by hand, 3,000 on Quix, 3,000
by the worker.

That was before the worker took its batches at once (`streams.kafka.taking`). Flat out beside other work, two processes,
core-milliseconds an event of the job alone: worker 0.314 and by hand 0.194 in one run before; 0.204, by hand 0.172 and
on Quix 0.192 in one run after. Its batches had been of 70 events, and then were of 240.
"""

import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.load.ground import begin_group, wait_until_joined, wait_until_read
from bench.load.loaded import Loaded, run_load
from bench.load.rivals.environment import quix_python
from bench.load.sustained import real_stack
from contracts.errors import CheckFailedError, DependencyError
from streams.processes import Part
from streams.stack import Stack

WORKER, BY_HAND, ON_QUIX = "worker", "by_hand", "on_quix"
TITLES = {WORKER: "this worker, on Faust", BY_HAND: "by hand, confluent-kafka", ON_QUIX: "on Quix Streams 3.28"}


@dataclass(frozen=True, slots=True)
class RateSizes:
    """From which rate in which steps, in events/s, for how long, how often, and the line that p95 must keep to."""

    first: float = 1_000.0
    step: float = 500.0
    last: float = 6_000.0
    seconds: float = 15.0
    warm_up_s: float = 5.0
    rounds: int = 2
    tries: int = 2
    processes: int = 2
    partitions: int = 12
    line_ms: float = 500.0
    checked_s: float = 5.0
    seed: int = 7


SHORT = RateSizes(step=1_000.0, last=2_000.0, seconds=5.0, warm_up_s=2.0, rounds=1, tries=1, checked_s=2.0)


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one rate: milliseconds from the intended send time, core-milliseconds an event by part."""

    rate: float
    per_s: float
    p50: float
    p95: float
    p99: float
    sender_late_p95: float
    lost: int
    repeated: int
    core_ms: Mapping[str, float]

    @classmethod
    def of(cls, rate: float, loaded: Loaded, job: Sequence[Part]) -> "Step":
        report, latency = loaded.report, loaded.report["feature_latency_ms"]
        names = {part.name for part in job}
        costs = {
            name: cost for name, cost in loaded.core_ms.items() if name not in names and cost > 0
        }  # some have ended
        costs = {"job": sum(loaded.core_ms[name] for name in names), **costs}
        return cls(
            rate,
            report["per_s"],
            latency["p50"],
            latency["p95"],
            latency["p99"],
            report["sender_late_ms"]["p95"],
            report["lost"],
            report["repeated_verdicts"],
            costs,
        )

    @property
    def cores_busy(self) -> float:
        """How many cores the parts kept busy together, while they did what came."""
        return sum(self.core_ms.values()) * self.per_s / 1_000.0

    def why_not(self, line_ms: float, processes: int) -> str:
        """What stood in the way of holding the line, as far as the figures tell."""
        job = self.core_ms["job"] * self.per_s / 1_000.0 / processes
        cores = os.cpu_count() or 1
        if self.sender_late_p95 > line_ms / 2:
            reason = f"the load was sent late, p95 {self.sender_late_p95:,.0f} ms"
        elif self.cores_busy > 0.9 * cores:
            most = max(self.core_ms, key=lambda name: self.core_ms[name])
            reason = f"all cores are busy, most with {most}"
        elif job > 0.9:
            reason = "its processes have a core each, and no more"
        else:
            reason = f"nothing is full: {cores - self.cores_busy:.1f} cores idle or not ours"
        return f"{self.rate:,.0f}/s: p95 {self.p95:,.0f} ms; {self.cores_busy:.2f} of {cores} cores; {reason}"


@dataclass(frozen=True, slots=True)
class Climb:
    """A job's steps in one round; `held` is the last that kept to the line, `failed` the one that did not."""

    job: str
    round: int
    held: Step | None
    failed: Step | None
    steps: Sequence[Step]


def measure(sizes: RateSizes | None = None) -> dict[str, Any]:
    """Let each job climb in each round, print what it held beside the others', and return the figures."""
    sizes = sizes or (RateSizes() if os.environ.get("PRECEDENT_LONG") else SHORT)
    console = Console(width=118)
    commands, left_out = _commands()
    chance = random.Random(sizes.seed)
    climbs: list[Climb] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        real_stack(Path(folder), workers=0, partitions=sizes.partitions) as (stack, beside),
    ):
        for number in range(1, sizes.rounds + 1):
            order = list(commands)
            chance.shuffle(order)
            for job in order:
                climb = _climb(stack, beside, job, commands[job], number, sizes)
                climbs.append(climb)
                held = f"{climb.held.rate:,.0f}/s" if climb.held else "nothing"
                console.print(f"round {number}, {TITLES[job]}: {held} held")
    _print(console, climbs, sizes)
    for job, reason in left_out.items():
        console.print(f"{TITLES[job]}: left out, {reason}")
    return {
        "sizes": asdict(sizes),
        "climbs": [asdict(climb) for climb in climbs],
        "left_out": left_out,
        "load_average": os.getloadavg(),
    }


def _commands() -> tuple[dict[str, list[str]], dict[str, str]]:
    """How each job's processes are started, and those that cannot be had here, with the reason."""
    commands = {WORKER: [], BY_HAND: [sys.executable, "-m", "bench.load.rivals.by_hand"]}
    try:
        return commands | {ON_QUIX: [str(quix_python()), "-m", "bench.load.rivals.on_quix"]}, {}
    except DependencyError as error:
        return commands, {ON_QUIX: str(error)}


def _climb(
    stack: Stack, beside: Sequence[Part], job: str, command: Sequence[str], number: int, sizes: RateSizes
) -> Climb:
    """Start a job's processes, send more and more until the line is passed, and end them."""
    group = stack.environment["PRECEDENT_GROUP"] = f"{job}-{number}"
    begin_group(stack.kafka, group)
    processes = [_start(stack, f"{group}-{n}", command) for n in range(sizes.processes)]
    try:
        for process in processes:
            _ = process.ready
        wait_until_joined(stack.kafka, group, members=sizes.processes)
        _check(stack, beside, sizes)
        steps: list[Step] = []
        held: Step | None = None
        rate, tries = sizes.first, 0
        while rate <= sizes.last:
            wait_until_read(stack.kafka, group)
            step = _step(stack, beside, processes, rate, sizes)
            steps.append(step)
            tries += 1
            if step.p95 < sizes.line_ms:
                held, rate, tries = step, rate + sizes.step, 0
            elif tries == sizes.tries:
                return Climb(job, number, held, step, steps)
        return Climb(job, number, held, None, steps)
    finally:
        for process in processes:
            process.end()


def _start(stack: Stack, name: str, command: Sequence[str]) -> Part:
    if not command:
        return stack.start(name, "worker", *stack.worker_options)
    return stack.parts.start(name, command, env=stack.environment, log=stack.state / "logs" / f"{name}.log")


def _check(stack: Stack, beside: Sequence[Part], sizes: RateSizes) -> None:
    """A few events of each kind, held against topics and features; raises `CheckFailedError` if some are not kept."""
    mix = "text=0.9,update=0.04,late=0.02,repeat=0.02,poison=0.02"
    options = ("--rate", "500", "--duration", str(sizes.checked_s), "--mix", mix, "--probe", "0", "--no-warehouse")
    report = run_load(stack, *options, beside=beside).report
    if report["crossed"]:
        raise CheckFailedError(f"the job is not done: {'; '.join(report['crossed'])}")


def _step(stack: Stack, beside: Sequence[Part], processes: Sequence[Part], rate: float, sizes: RateSizes) -> Step:
    warm = round(rate * sizes.warm_up_s)
    count = warm + round(rate * sizes.seconds)
    options = ("--rate", str(rate), "--count", str(count), "--warm-up", str(warm))
    loaded = run_load(stack, *options, "--probe", "0", "--no-features", "--no-warehouse", beside=beside)
    return Step.of(rate, loaded, processes)


def _print(console: Console, climbs: Sequence[Climb], sizes: RateSizes) -> None:
    console.print(
        f"\n{sizes.processes} processes of one job at a time, {sizes.partitions} partitions; Kafka, Redis, Triton,"
        f" warehouse, sink and load on the same {os.cpu_count()} cores"
    )
    held = Table("job", title=f"Highest rate with p95 under {sizes.line_ms:g} ms", title_justify="left")
    for column in ("round", "held, events/s", "p50 ms", "p95 ms", "p99 ms", "job, core-ms", "all, core-ms", "lost"):
        held.add_column(column, justify="right")
    for climb in sorted(climbs, key=lambda climb: (list(TITLES).index(climb.job), climb.round)):
        if (at := climb.held) is None:
            held.add_row(TITLES[climb.job], str(climb.round), "none")
            continue
        times = [f"{ms:,.0f}" for ms in (at.p50, at.p95, at.p99)]
        costs = [f"{at.core_ms['job']:.3f}", f"{sum(at.core_ms.values()):.3f}"]
        lost = sum(step.lost for step in climb.steps)
        rate = f"{at.rate:,.0f}" + ("" if climb.failed else " or more")
        held.add_row(TITLES[climb.job], str(climb.round), rate, *times, *costs, str(lost))
    console.print(held)
    _print_parts(console, climbs)
    for climb in climbs:
        if climb.failed:
            reason = climb.failed.why_not(sizes.line_ms, sizes.processes)
            console.print(f"{TITLES[climb.job]}, round {climb.round}, stopped at {reason}", soft_wrap=True)
    means = {job: mean for job in TITLES if (mean := _mean_rate(climbs, job))}
    for rival in (BY_HAND, ON_QUIX):
        if WORKER in means and rival in means:
            console.print(f"the worker holds {means[WORKER] / means[rival]:.2f} of what {TITLES[rival]} holds")


def _print_parts(console: Console, climbs: Sequence[Climb]) -> None:
    """Core-milliseconds an event of every part at the highest rate held, the last round's."""
    last = {climb.job: climb.held for climb in climbs if climb.held}
    table = Table("part", title="Core-milliseconds an event at that rate, last round", title_justify="left")
    for job in last:
        table.add_column(TITLES[job], justify="right")
    names = dict.fromkeys(name for step in last.values() for name in step.core_ms)
    for name in names:
        table.add_row(name, *(f"{step.core_ms.get(name, 0.0):.3f}" for step in last.values()))
    table.add_row("cores busy", *(f"{step.cores_busy:.2f}" for step in last.values()))
    console.print(table)


def _mean_rate(climbs: Sequence[Climb], job: str) -> float:
    rates = [climb.held.rate for climb in climbs if climb.job == job and climb.held]
    return sum(rates) / len(rates) if rates else 0.0
