"""Records to Parquet histories, and rows of (entity, moment) to what the ranker would have read at that moment.

Offline, `occurred_at` is the event timestamp and `scored_at` the moment from which a verdict was known. At a moment
the join takes, of the verdicts known by then, the one of the newest version of the video: what the guarded online
store held. A verdict scored after the moment never leaks in, however early its video came to be.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import BadInputError
from contracts.records import Record
from contracts.taxonomy import TAXONOMY_VERSION
from features.lookup import Freshness
from features.store import OpenStore
from features.views import VIDEO_TOXICITY, VIEWS, Kind, View

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ALL_VIDEO_FEATURES = tuple(f"{VIDEO_TOXICITY.name}:{name}" for name in VIDEO_TOXICITY.field_names)
_STATE = f"{VIDEO_TOXICITY.name}__state"
_EXPIRES = f"{VIDEO_TOXICITY.name}__expires_at"
_TAXONOMY = f"{VIDEO_TOXICITY.name}__taxonomy_version"
_PLACE = "row_of_training_set"


def training_set(
    store: OpenStore, rows: "pl.DataFrame", *, features: Sequence[str] = ALL_VIDEO_FEATURES
) -> "pl.DataFrame":
    """Join features (`view:field`) to rows of join keys and `event_timestamp`, as they were known then.

    Every row is kept, in its order; columns are named `view__field`, null where nothing was known. With the
    features of video toxicity comes `video_toxicity__state`: fresh, expired or unknown, as a lookup at that
    moment would have said.
    """
    import polars as pl

    if rows.schema.get("event_timestamp") not in {pl.Datetime("us", "UTC"), pl.Datetime("ns", "UTC")}:
        msg = f"event_timestamp is {rows.schema.get('event_timestamp')}, must be a time in UTC (training rows)"
        raise BadInputError(msg)
    named = {name: f"{view}__{name}" for view, _, name in (reference.partition(":") for reference in features)}
    taken = sorted(named.keys() & set(rows.columns))
    if taken:
        msg = f"training rows have a column {taken[0]!r}, must not be named as one of the features asked for"
        raise BadInputError(msg)
    # Feast's own prefixing renames the column of known times before it filters by it (DuckDB).
    joined = store.feast.get_historical_features(
        entity_df=rows.with_row_index(_PLACE).with_columns(pl.col(_PLACE).cast(pl.Int64)).to_pandas(),
        features=list(features),
        filter_by_created_timestamp=True,
    ).to_arrow()
    frame = pl.DataFrame(joined).sort(_PLACE).drop(_PLACE).rename(named)
    # ClickHouse knows no missing array: it gives an empty one, which no feature of ours ever is.
    lists = [name for name in named.values() if isinstance(frame.schema[name], pl.List)]
    frame = frame.with_columns(pl.when(pl.col(name).list.len() > 0).then(pl.col(name)) for name in lists)
    return frame.with_columns(_state().alias(_STATE)) if {_EXPIRES, _TAXONOMY} <= set(frame.columns) else frame


def _state() -> "pl.Expr":
    import polars as pl

    # Whole seconds, as the online store keeps them.
    fresh = (pl.col(_EXPIRES).dt.truncate("1s") > pl.col("event_timestamp")) & (pl.col(_TAXONOMY) == TAXONOMY_VERSION)
    return (
        pl.when(pl.col(_EXPIRES).is_null())
        .then(pl.lit(_name(Freshness.UNKNOWN)))
        .when(fresh)
        .then(pl.lit(_name(Freshness.FRESH)))
        .otherwise(pl.lit(_name(Freshness.EXPIRED)))
    )


def _name(state: Freshness) -> str:
    return state.name.lower()


def write_history(folder: Path, view: View, records: Iterable[Record]) -> int:
    """Write one view's Parquet history anew, whole or not at all; returns the number of records.

    The records are the whole history, in any order: the join sorts out which was known when.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = history_schema(view)
    given = list(records)
    columns = [pa.array([getattr(r, f.name) for r in given], type=f.type) for f in schema]
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{view.name}.parquet"
    beside = target.with_suffix(".writing")
    pq.write_table(pa.table(columns, schema=schema), beside)
    os.replace(beside, target)
    return len(given)


def ensure_histories(folder: Path) -> None:
    """Make the empty history of every view that has none, so that each can be joined."""
    for view in VIEWS:
        if not (folder / f"{view.name}.parquet").exists():
            write_history(folder, view, [])


def history_schema(view: View) -> "pa.Schema":
    """The Arrow columns of a view's history: key, event time, known time, then the other fields."""
    import pyarrow as pa

    time = pa.timestamp("us", tz="UTC")
    types = {
        Kind.FLOATS: pa.list_(pa.float32()),
        Kind.FLOAT: pa.float32(),
        Kind.INT: pa.int64(),
        Kind.TEXT: pa.string(),
        Kind.TIME: time,
    }
    heads = [(view.key, pa.string()), (view.occurred, time), (view.known, time)]
    named = {name for name, _ in heads}
    return pa.schema([*heads, *((f.name, types[f.kind]) for f in view.fields if f.name not in named)])
