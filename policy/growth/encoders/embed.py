"""HOME/pictures part i -> HOME/embeddings part i: a direction a picture, of a video the mean of its frames'."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl

from policy.growth.encoders.dual import DualEncoder, Floats
from policy.growth.parts import (
    Schema,
    Totals,
    check_ends_at,
    digest_of_part,
    is_done,
    parts_of,
    plan_digest,
    read_part,
    schema_of,
    totals,
    write_part,
)
from policy.growth.pictures.collect import KEPT as PICTURES
from policy.growth.pictures.decoding import frame_of_picture

DROPPED: Schema = {"picture_id": pl.String, "reason": pl.String, "detail": pl.String}
NOT_FINITE = "not_finite"
_AT_ONCE = 256
"""Pictures whose pixels are in memory at once."""


def embed(pictures: Path, folder: Path, encoder: DualEncoder, *, advance: Callable[[int], None]) -> Totals:
    """Embed the parts of `pictures` that are not embedded yet; raises `BadInputError` as `is_done`."""
    plan = plan_digest("embeddings", {"encoder": encoder.name})
    parts = parts_of(pictures)
    check_ends_at(folder, len(parts))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for i, part in enumerate(parts):
            made_of = digest_of_part(part)
            done = is_done(folder, i, input=made_of, plan=plan)
            table = read_part(part, PICTURES, ["picture_id"] if done else ["picture_id", "frames"])
            if done:
                advance(table.height)
                continue
            found = np.zeros((table.height, encoder.dim), np.float32)
            for start in range(0, table.height, _AT_ONCE):
                some = table["frames"][start : start + _AT_ONCE].to_list()
                found[start : start + len(some)] = _embedded(some, encoder, threads)
                advance(len(some))
            kept, dropped = _told(table["picture_id"], found)
            write_part(folder, i, kept, dropped, input=made_of, plan=plan)
    return totals(folder)


def embeddings_schema(dim: int) -> Schema:
    return {"picture_id": pl.String, "embedding": pl.Array(pl.Float32, dim)}


def read_embeddings(part: Path) -> tuple[list[str], Floats]:
    """The ids and the embeddings [N, D] of a part; raises `BadInputError` where it is none."""
    kind = schema_of(part).get("embedding")
    table = read_part(part, embeddings_schema(kind.size if isinstance(kind, pl.Array) else 1))
    return table["picture_id"].to_list(), table["embedding"].to_numpy()


def _embedded(pictures: Sequence[Sequence[bytes]], encoder: DualEncoder, threads: ThreadPoolExecutor) -> Floats:
    """B pictures of one or more frames each: [B, D], the mean of each one's frames brought to length 1."""
    frames = list(threads.map(frame_of_picture, [jpeg for picture in pictures for jpeg in picture]))
    starts = np.cumsum([0, *(len(picture) for picture in pictures[:-1])])
    sums = np.add.reduceat(encoder.pictures(frames), starts, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):  # frames that cancel out have no direction: they are dropped
        return sums / np.linalg.norm(sums, axis=1, keepdims=True)


def _told(ids: pl.Series, found: Floats) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = np.isfinite(found).all(axis=1)
    finite = pl.Series(rows)
    kept = pl.DataFrame(
        {"picture_id": ids.filter(finite), "embedding": found[rows]}, schema=dict(embeddings_schema(found.shape[1]))
    )
    lost = ids.filter(~finite)
    dropped = pl.DataFrame({"picture_id": lost}).with_columns(
        reason=pl.lit(NOT_FINITE), detail=pl.lit("its embedding has no direction")
    )
    return kept, dropped
