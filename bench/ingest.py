"""Impressions from the broker into deduplicated sums: rows a second, and what a replay in other batches changes.

The path is the real one: paced producer, broker, bulk consumer (contract and clock checked for every event),
warehouse, rebuild of the day. The same events are then sent again, in another order, to a consumer with other batches.

Predicted before the first run (core-microseconds an impression): producing 2, consuming 2, checking 3.5, columns 1,
inserting 2: about 10 in all, so over 100,000/s of two cores if nothing waits; half of it with pacing.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from contracts.topics import VIDEOS_IMPRESSIONS
from contracts.viewers import Surface
from streams.kafka.delivery import OutgoingRecord
from streams.kafka.pacing import PacedProducer
from streams.stack import Stack, embedded_stack
from warehouse.address import connect, parse_address
from warehouse.daily import rebuild
from warehouse.queries import day_totals

DAY = date(2026, 3, 1)
ROUNDS = ((600_000, 10_000), (600_000, 3_333))
"""How many events are sent and how many are inserted at once; the second round repeats the events of the first."""


@dataclass(frozen=True, slots=True)
class Log:
    """N impressions of one day; what they must sum to is known from here."""

    user_N: np.ndarray
    watch_ms_N: np.ndarray
    toxicity_N: np.ndarray

    @classmethod
    def drawn(cls, n: int, *, seed: int) -> "Log":
        rng = np.random.default_rng(seed)
        toxicity = np.round(rng.beta(0.5, 3.0, n), 4)
        return cls(rng.integers(0, n // 20, n), rng.gamma(1.5, 8_000, n).astype(np.int64), toxicity)

    def records(self, order_N: np.ndarray) -> Iterator[OutgoingRecord]:
        surfaces = [surface.value for surface in Surface]
        start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
        seconds = [(start + timedelta(seconds=second)).isoformat() for second in range(86_400)]
        for n in order_N.tolist():
            user = f"u{self.user_N[n]:08d}"
            event = (
                f'{{"event_id":"i{n:012d}","user_id":"{user}","video_id":"v{n % 50_000:08d}",'
                f'"session_id":"s{n // 10:010d}","shown_at":"{seconds[n % 86_400]}",'
                f'"surface":"{surfaces[n % len(surfaces)]}","watch_ms":{self.watch_ms_N[n]},'
                f'"release_version":3,"toxicity":{self.toxicity_N[n]}}}'
            )
            yield OutgoingRecord(VIDEOS_IMPRESSIONS.name, user.encode(), event.encode())

    @property
    def sums(self) -> tuple[int, int, int, int]:
        """Users, impressions, toxic impressions, milliseconds watched."""
        toxic = int((self.toxicity_N.astype(np.float32) >= 0.5).sum())
        return len(np.unique(self.user_N)), len(self.user_N), toxic, int(self.watch_ms_N.sum())


def measure() -> dict[str, Any]:
    """Send, sum, send again, sum again; print and return rates and sums."""
    log = Log.drawn(ROUNDS[0][0], seed=3)
    orders = [np.arange(len(log.user_N)), np.random.default_rng(4).permutation(len(log.user_N))]
    figures: dict[str, Any] = {"expected": log.sums}
    table = Table(
        "", "sent", "a batch", "events/s", "users", "impressions", "toxic", "watched (ms)", title_justify="left"
    )
    table.add_row("as made", f"{len(log.user_N):,}", "", "", *(f"{value:,}" for value in log.sums))
    with (
        tempfile.TemporaryDirectory() as state,
        embedded_stack(Path(state), Path(state) / "releases", workers=0, triton=False) as stack,
    ):
        for number, ((count, batch), order) in enumerate(zip(ROUNDS, orders, strict=True), start=1):
            if number > 1:
                stack.part("sink").end()
                _ = stack.start("sink", "sink", "--batch", str(batch), "--linger-ms", "100").address
            rate = _send(stack, log, order)
            sums = _sums(stack)
            name = "first time" if number == 1 else "again, in another order"
            table.add_row(name, f"{count:,}", f"{batch:,}", f"{rate:,.0f}", *(f"{value:,}" for value in sums))
            figures[f"round_{number}"] = {"batch": batch, "per_s": rate, "sums": sums}
    Console(width=120).print(table)
    figures["equal"] = figures["round_1"]["sums"] == figures["round_2"]["sums"] == log.sums
    Console(width=120).print(f"sums equal to those of the events as made, both times: {figures['equal']}")
    return figures


def _send(stack: Stack, log: Log, order: np.ndarray) -> float:
    """Events a second from the first that is sent to the last that is inserted and committed."""
    producer = PacedProducer(stack.kafka, {VIDEOS_IMPRESSIONS.name: "precedent-sink"})
    started = time.perf_counter()
    producer.send(log.records(order))
    producer.wait_until_read()
    rate = len(order) / (time.perf_counter() - started)
    producer.close()
    return rate


def _sums(stack: Stack) -> tuple[int, int, int, int]:
    assert stack.warehouse is not None
    client = connect(parse_address(stack.warehouse))
    rebuild(client, [DAY])
    totals = day_totals(client, DAY)
    client.close()
    return totals.users, totals.impressions, totals.toxic_impressions, totals.watch_ms
