"""Addresses in, what the checker and the probe read out: features from the online store, rows from the warehouse."""

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.errors import DependencyError
from contracts.records import Event
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from contracts.viewers import UserReport
from features.config import FeaturesConfig
from streams.load.check import Rows
from streams.load.ledger import Ledger
from streams.load.probe import probe
from warehouse.address import WarehouseAddress, connect
from warehouse.arrived import arrived, reports_by_video
from warehouse.daily import rebuild

READY_WITHIN_S = 120.0


class StoredFeatures:
    """When the version of each video that is readable came to be, from the online store."""

    def __init__(self, config: FeaturesConfig) -> None:
        from features.store import open_store

        self._store = open_store(config)

    def __call__(self, video_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """In microseconds since 1970, 0 where there is none; raises `DependencyError` when the store is away."""
        from features.lookup import lookup

        return lookup(self._store, video_ids, datetime.now(UTC)).occurred_us_N

    def readable(self, video_ids: Sequence[str]) -> npt.NDArray[np.float64]:
        """The same in seconds; a store that is away is one in which nothing can be read."""
        try:
            return self(video_ids) / 1e6
        except DependencyError:
            return np.zeros(len(video_ids))


class StoredRows:
    """What the warehouse holds of a run."""

    def __init__(self, address: WarehouseAddress, run: str, *, since: datetime) -> None:
        self._client = connect(address)
        self._prefix = f"{run}-"
        self._since = since

    def verdicts(self) -> Rows:
        return self._rows(Verdict)

    def uploads(self) -> Rows:
        return self._rows(VideoUploaded)

    def reports(self) -> Rows:
        return self._rows(UserReport)

    def reports_by_video(self) -> dict[str, int]:
        """From the daily sums, which are rebuilt first."""
        today = datetime.now(UTC).date()
        days = [self._since.date() + timedelta(days=n) for n in range((today - self._since.date()).days + 1)]
        rebuild(self._client, days)
        return reports_by_video(self._client, self._prefix)

    def close(self) -> None:
        self._client.close()

    def _rows(self, event: type[Event]) -> Rows:
        found = arrived(self._client, event, self._prefix)
        return Rows(dict(zip(found.event_ids_N, found.rows_N.tolist(), strict=True)), found.raw)


@contextmanager
def probing(folder: Path, config: FeaturesConfig, *, per_s: float) -> Iterator[None]:
    """Probe a ledger's features from a process of its own while the context is open.

    Entered when the process reads; left when it has found all that it looks for, or gives up.
    """
    context = multiprocessing.get_context("spawn")
    reading, stop = context.Event(), context.Event()
    process = context.Process(target=_probe, args=(folder, config, per_s, reading, stop), daemon=True)
    process.start()
    try:
        if not reading.wait(READY_WITHIN_S):
            raise DependencyError(f"the probe of {config.shown_online} did not begin within {READY_WITHIN_S:g} s")
        yield
        process.join(timeout=10.0)
    finally:
        stop.set()
        process.join(timeout=10.0)
        if process.is_alive():
            process.kill()


def _probe(folder: Path, config: FeaturesConfig, per_s: float, reading: Any, stop: Any) -> None:
    features = StoredFeatures(config)
    features.readable(["nobody"])
    reading.set()
    while np.isnan((ledger := Ledger.open(folder)).rows["intended_s"][0]):
        if stop.wait(0.01):
            return
    probe(ledger, features.readable, per_s=per_s, stopped=stop.is_set)
