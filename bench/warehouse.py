"""The embedded warehouse over HTTP beside chDB in this process: inserts, small queries, a large result, as ratios.

Both sides do the same work on the same columns, in turn, and the median of the rounds is kept.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from contracts.errors import DependencyError
from warehouse.address import Client, connect, parse_address

_MAKE = "CREATE TABLE rows (id UInt64, user UInt64, text String, value Float64) ENGINE = MergeTree ORDER BY (user, id)"
_SMALL = "SELECT count(), sum(value) FROM rows WHERE user = {}"
_LARGE = "SELECT id, user, text, value FROM rows"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: through the owner, in this process, and the first over the second."""

    what: str
    unit: str
    owner: float
    in_process: float

    @property
    def ratio(self) -> float:
        return self.owner / self.in_process


def measure(*, rows: int = 2_000_000, batch_rows: int = 100_000, queries: int = 200, rounds: int = 3) -> dict[str, Any]:
    """Run the benchmark, print its table and return it."""
    import chdb

    batches = [_batch(start, batch_rows) for start in range(0, rows, batch_rows)]
    with tempfile.TemporaryDirectory(prefix="precedent-bench-") as folder, _owner(Path(folder)) as (client, pid):
        local = chdb.connect(f"{folder}/local")
        local.query("SET async_insert = 0")
        client.command(_MAKE)
        local.query(_MAKE)
        figures = [
            _insert(client, local, batches, folder),
            _ask(client, local, queries, rounds),
            *(_read(client, local, form, rounds) for form in ("Native", "ArrowStream")),
        ]
        peak_mb = _peak_mb(pid)
        local.close()
    _print(figures, rows, peak_mb)
    return {
        "rows": rows,
        "figures": [asdict(figure) | {"ratio": figure.ratio} for figure in figures],
        "owner_peak_mb": peak_mb,
        "load": os.getloadavg(),
    }


def _insert(client: Client, local: Any, batches: list[pa.Table], folder: str) -> Row:
    """Arrow batches from memory to parts on disk; in this process through a file, for chDB 4.4 has no surer way."""
    owner_s = local_s = 0.0
    path = Path(folder) / "batch.arrow"
    for batch in batches:
        owner_s += _timed(partial(client.insert_arrow, "rows", batch))

        def insert(batch: pa.Table = batch) -> None:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
                writer.write_table(batch)
            local.query(f"INSERT INTO rows FROM INFILE '{path}' FORMAT Arrow", "Null")

        local_s += _timed(insert)
    rows = sum(batch.num_rows for batch in batches)
    return Row(f"inserts of {batches[0].num_rows:,} rows", "rows/s", rows / owner_s, rows / local_s)


def _ask(client: Client, local: Any, queries: int, rounds: int) -> Row:
    owner_s, local_s = [], []
    for _ in range(rounds):
        owner_s.append(_timed(lambda: [client.query(_SMALL.format(user)) for user in range(queries)]))
        local_s.append(_timed(lambda: [local.query(_SMALL.format(user), "Native").bytes() for user in range(queries)]))
    return Row(
        "small queries, one client",
        "queries/s",
        queries / statistics.median(owner_s),
        queries / statistics.median(local_s),
    )


def _read(client: Client, local: Any, form: str, rounds: int) -> Row:
    owner_rates: list[float] = []
    local_rates: list[float] = []

    def over_http() -> int:
        received = 0
        with client.raw_stream(_LARGE, fmt=form) as raw:
            while piece := raw.read(1 << 20):
                received += len(piece)
        return received

    def here() -> int:
        return sum(len(block.bytes()) for block in local.send_query(_LARGE, form))

    for _ in range(rounds):
        for work, rates in ((over_http, owner_rates), (here, local_rates)):
            started = time.perf_counter()
            size = work()
            rates.append(size / 1e6 / (time.perf_counter() - started))
    return Row(f"all rows as {form}", "MB/s", statistics.median(owner_rates), statistics.median(local_rates))


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _batch(start: int, rows: int) -> pa.Table:
    rng = np.random.default_rng(start)
    ids = np.arange(start, start + rows, dtype=np.uint64)
    users = rng.integers(0, 50_000, rows, dtype=np.uint64)
    return pa.table({"id": ids, "user": users, "text": pa.array(users).cast(pa.string()), "value": rng.random(rows)})


@contextmanager
def _owner(folder: Path) -> Iterator[tuple[Client, int]]:
    """The owner process as a user starts it: a client of it, and its process id."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PRECEDENT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "warehouse", "--path", str(folder / "owner")],
        env=inherited,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            msg = f"the warehouse ended with code {process.wait()} before it was ready"
            raise DependencyError(msg)
        yield connect(parse_address(json.loads(line)["url"]), timeout_s=300), process.pid
    finally:
        process.terminate()
        process.wait(timeout=15)


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def _print(figures: list[Row], rows: int, peak_mb: float) -> None:
    table = Table(
        title=f"Embedded warehouse, {rows:,} rows, owner's peak {peak_mb:,.0f} MiB, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for column in ("what", "unit", "through the owner", "in process", "ratio"):
        table.add_column(column, justify="left" if column in {"what", "unit"} else "right")
    for figure in figures:
        table.add_row(
            figure.what, figure.unit, f"{figure.owner:,.0f}", f"{figure.in_process:,.0f}", f"{figure.ratio:.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    measure()
