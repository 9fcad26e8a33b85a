"""Insert verdicts into the warehouse, idempotent by event id: a replay, however batched, leaves one row an event."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from contracts.errors import DependencyError, PrecedentError
from contracts.taxonomy import N_CATEGORIES
from contracts.verdicts import Verdict
from warehouse.address import asking

VERDICTS = "verdicts"
_TIME = pa.timestamp("us", tz="UTC")
_CITATION = pa.struct([("case_id", pa.string()), ("category", pa.string()), ("similarity", pa.float32())])
VERDICT_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("video_id", pa.string()),
        ("author_id", pa.string()),
        ("occurred_at", _TIME),
        ("scored_at", _TIME),
        ("probabilities", pa.list_(pa.float32())),
        ("classifier", pa.list_(pa.float32())),
        ("toxicity", pa.float32()),
        ("category", pa.string()),
        ("decision", pa.string()),
        ("citations", pa.list_(_CITATION)),
        ("missing", pa.list_(pa.string())),
        ("release_version", pa.uint32()),
        ("casebook_version", pa.uint32()),
        ("taxonomy_version", pa.string()),
        ("since_upload_ms", pa.float64()),
    ]
)
# A replay of old videos touches many days at once; the server's guard against that is for partitions by mistake.
_SETTINGS = {"max_partitions_per_insert_block": 0}


class ArrowInserter(Protocol):
    """The part of a client that the sink uses."""

    def insert_arrow(self, table: str, arrow_table: Any, *, settings: dict[str, Any] | None = None) -> Any: ...


class VerdictSink:
    """Writes verdicts through one client, which several threads may share."""

    def __init__(self, client: ArrowInserter) -> None:
        self._client = client

    def insert(self, verdicts: Sequence[Verdict]) -> int:
        """Insert the verdicts as one batch; returns how many.

        Raises `DependencyError` when the warehouse does not answer or refuses the batch: wait and insert it again.
        """
        if not verdicts:
            return 0
        table = to_arrow(verdicts)
        try:
            with asking(f"{len(verdicts)} verdicts"):
                self._client.insert_arrow(VERDICTS, table, settings=_SETTINGS)
        except PrecedentError as error:
            # A verdict is valid by its type: whatever the warehouse has against the batch is to be mended there.
            raise DependencyError(str(error)) from error
        return len(verdicts)


def to_arrow(verdicts: Sequence[Verdict]) -> pa.Table:
    """The verdicts as columns, in the schema of the table."""
    columns = [_column(verdicts, field) for field in VERDICT_SCHEMA]
    return pa.Table.from_arrays(columns, schema=VERDICT_SCHEMA)


def _column(verdicts: Sequence[Verdict], field: pa.Field) -> pa.Array:
    values = map(attrgetter(field.name), verdicts)
    if field.name in {"probabilities", "classifier"}:
        flat = np.array(list(values), np.float32).ravel()
        offsets = np.arange(0, flat.size + 1, N_CATEGORIES, dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))
    if field.name == "citations":
        return _citations(verdicts)
    return pa.array(values, field.type, size=len(verdicts))


def _citations(verdicts: Sequence[Verdict]) -> pa.Array:
    offsets = np.cumsum([0, *(len(verdict.citations) for verdict in verdicts)], dtype=np.int32)
    flat = [citation for verdict in verdicts for citation in verdict.citations]
    parts = [pa.array(map(attrgetter(part.name), flat), part.type, size=len(flat)) for part in _CITATION]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(parts, fields=list(_CITATION)))
