"""Events a second by partitions and workers, latency at half of it, and what a million videos cost at that rate.

A real Kafka for each number of partitions; its workers join one after the other, so that every row but the first is
the figure after a rebalance. Flat out means with a stated number of events unanswered; the latency is that of an open
loop at half of what came. Workers beyond the partitions hold none and are not measured. Kafka, Redis, Triton,
warehouse, sink and load share the cores with the workers: on two of them the second worker finds little that is free.

Cost: the core-seconds that all parts but the load generator spend on a million videos while flat out, at a price of a
core-hour that is an assumption (`usd_per_core_hour`, PRECEDENT_CORE_HOUR_USD), for machines that are rented full.

A few cells by default, all in the long form (PRECEDENT_LONG=1).

Predicted before the first run, for two cores that do nothing else: one worker 2,900 events/s, for which it has a core
of its own (0.23 core-milliseconds an event, and batches wait for each other); two 4,000, where both cores are full;
four 3,700, since smaller batches cost more. Partitions change little from 2 on; 8 cost Kafka 5% more than 2, as each
fetch and each batch is split. Half of the rate: p95 120 ms. Core-seconds a million videos: 450, so 0.005 USD at 0.04.

What came, in the long form: one worker 3,996 to 4,354, two 4,558 to 4,805, four 4,173 and 4,518; p95 149 to
259 ms at half of it; 406 to 512 core-seconds. One worker does half more than was thought since it takes its batches
at once (`streams.kafka.taking`); partitions change little, and a second worker finds the cores full.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.load.ground import begin_group, wait_until_joined, wait_until_read
from bench.load.loaded import run_load
from bench.load.sustained import real_stack
from streams.processes import Part
from streams.stack import Stack

GROUP = "precedent-moderation"
ASSUMED_USD = 0.04
"""A core-hour of a machine that is rented by the hour, with its memory; an assumption."""


@dataclass(frozen=True, slots=True)
class ScalingSizes:
    """Which cells, how many events flat out after how many to warm up, and how long the latency is looked at."""

    partitions: Sequence[int] = (1, 2, 4, 8)
    workers: Sequence[int] = (1, 2, 4)
    events: int = 30_000
    warm_up: int = 10_000
    window: int = 4_000
    latency_s: float = 10.0
    latency_warm_up_s: float = 5.0
    usd_per_core_hour: float = ASSUMED_USD


SHORT = ScalingSizes(partitions=(1, 4), events=10_000, warm_up=4_000, latency_s=5.0, latency_warm_up_s=2.0)


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of partitions and workers: the rate flat out, core-milliseconds an event; milliseconds at half."""

    partitions: int
    workers: int
    per_s: float
    workers_core_ms: float
    core_ms: float
    p50: float
    p95: float
    p99: float
    lost: int
    repeated: int

    @property
    def core_s_a_million(self) -> float:
        return self.core_ms * 1_000.0

    def usd_a_million(self, usd_per_core_hour: float) -> float:
        return self.core_s_a_million / 3_600.0 * usd_per_core_hour


def measure(sizes: ScalingSizes | None = None) -> dict[str, Any]:
    """Measure every cell, print the table and return the figures."""
    sizes = sizes or (ScalingSizes() if os.environ.get("PRECEDENT_LONG") else SHORT)
    if price := os.environ.get("PRECEDENT_CORE_HOUR_USD"):
        sizes = replace(sizes, usd_per_core_hour=float(price))
    cells: list[Cell] = []
    for partitions in sizes.partitions:
        with (
            tempfile.TemporaryDirectory() as folder,
            real_stack(Path(folder), workers=0, partitions=partitions) as (stack, beside),
        ):
            begin_group(stack.kafka, GROUP)
            useful = [workers for workers in sizes.workers if workers <= partitions]
            cells += [_cell(stack, beside, partitions, workers, sizes) for workers in useful]
    _print(cells, sizes)
    return {
        "sizes": asdict(sizes),
        "cells": [
            asdict(cell)
            | {
                "core_s_a_million": cell.core_s_a_million,
                "usd_a_million": cell.usd_a_million(sizes.usd_per_core_hour),
            }
            for cell in cells
        ],
        "load_average": os.getloadavg(),
    }


def _cell(stack: Stack, beside: Sequence[Part], partitions: int, workers: int, sizes: ScalingSizes) -> Cell:
    """Let workers join until there are so many, then send flat out, and at half of what came."""
    while len(stack.workers) < workers:
        stack.start_worker()
    for worker in stack.workers:
        _ = worker.ready
    wait_until_joined(stack.kafka, GROUP, members=workers)
    light = ("--probe", "0", "--no-features", "--no-warehouse")
    count, warm = str(sizes.events + sizes.warm_up), str(sizes.warm_up)
    options = ("--count", count, "--warm-up", warm, "--window", str(sizes.window))
    flat_out = run_load(stack, *options, *light, beside=beside)
    wait_until_read(stack.kafka, GROUP)
    half = round(flat_out.report["per_s"] / 2)
    schedule = ("--rate", str(half), "--duration", str(sizes.latency_s + sizes.latency_warm_up_s))
    warm = str(round(half * sizes.latency_warm_up_s))
    steady = run_load(stack, *schedule, "--warm-up", warm, *light, beside=beside)
    wait_until_read(stack.kafka, GROUP)
    names = {worker.name for worker in stack.workers}
    latency = steady.report["feature_latency_ms"]
    return Cell(
        partitions,
        workers,
        flat_out.report["per_s"],
        sum(flat_out.core_ms[name] for name in names),
        sum(cost for name, cost in flat_out.core_ms.items() if name != "load"),
        latency["p50"],
        latency["p95"],
        latency["p99"],
        flat_out.report["lost"] + steady.report["lost"],
        flat_out.report["repeated_verdicts"] + steady.report["repeated_verdicts"],
    )


def _print(cells: Sequence[Cell], sizes: ScalingSizes) -> None:
    table = Table(
        title=f"Flat out with {sizes.window:,} unanswered, and latency at half of that rate; {os.cpu_count()} cores for"
        f" all, {sizes.usd_per_core_hour:g} USD a core-hour (assumed)",
        title_justify="left",
    )
    for column in (
        "partitions",
        "workers",
        "events/s",
        "workers, core-ms",
        "all but load, core-ms",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "core-s a million",
        "USD a million",
        "lost",
    ):
        table.add_column(column, justify="right")
    for cell in cells:
        table.add_row(
            str(cell.partitions),
            str(cell.workers),
            f"{cell.per_s:,.0f}",
            f"{cell.workers_core_ms:.3f}",
            f"{cell.core_ms:.3f}",
            *(f"{ms:,.0f}" for ms in (cell.p50, cell.p95, cell.p99)),
            f"{cell.core_s_a_million:,.0f}",
            f"{cell.usd_a_million(sizes.usd_per_core_hour):.4f}",
            str(cell.lost),
        )
    Console(width=120).print(table)
