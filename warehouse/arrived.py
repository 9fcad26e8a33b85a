"""A prefix of ids in, what lies of them in base tables and sums out: for a ledger that wants every event once."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from contracts.records import Event
from warehouse.address import asking
from warehouse.sink import TABLES

_ROWS = """
SELECT event_id, count() AS rows FROM {table} FINAL WHERE startsWith(event_id, {{prefix:String}}) GROUP BY event_id
ORDER BY event_id
"""
_RAW = "SELECT count() FROM {table} WHERE startsWith(event_id, {{prefix:String}})"
_REPORTS = """
SELECT video_id, sum(reports) FROM video_days WHERE startsWith(video_id, {prefix:String}) AND reports > 0
GROUP BY video_id
"""


class Arrow(Protocol):
    """The part of a client that is asked."""

    def query_arrow(self, query: str, parameters: dict[str, Any]) -> Any: ...
    def query(self, query: str, parameters: dict[str, Any]) -> Any: ...


class Arrived(NamedTuple):
    """A table's rows of some events: event_ids_N in order, rows_N of each when read as everybody reads them.

    `raw` counts the rows that lie there before they are merged, repeats of one event included.
    """

    event_ids_N: list[str]
    rows_N: npt.NDArray[np.int64]
    raw: int


def arrived(client: Arrow, event: type[Event], prefix: str) -> Arrived:
    """What lies of events whose id begins with `prefix`; raises `DependencyError` when the warehouse is away."""
    table = TABLES[event]
    with asking(f"{table} of {prefix!r}"):
        found = client.query_arrow(_ROWS.format(table=table), {"prefix": prefix})
        raw = client.query(_RAW.format(table=table), {"prefix": prefix})
    ids: list[str] = [one.decode() if isinstance(one, bytes) else one for one in found.column(0).to_pylist()]
    return Arrived(ids, np.array(found.column(1).to_pylist(), np.int64), int(raw.first_row[0]))


def reports_by_video(client: Arrow, prefix: str) -> dict[str, int]:
    """Reports of each video whose id begins with `prefix`, from the daily sums: rebuild the days first."""
    with asking(f"daily sums of {prefix!r}"):
        return {str(video): int(n) for video, n in client.query(_REPORTS, {"prefix": prefix}).result_rows}
