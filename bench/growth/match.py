"""The k nearest of 19,227 types to 10,000 and 100,000 pictures, beside the bare matrix product over the same blocks.

Both take turns over 1,024 pictures each, in a process of their own, so that what else the machine does falls on both
alike. The top-k of the first 1,024 is held against a full sort.
"""

import multiprocessing
import resource
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from contracts.errors import CheckFailedError
from policy.growth.match import Search

N_TYPES = 19_227
PAPERS_K = 10
_AT_ONCE = 1_024
"""Pictures of a part: they are drawn, searched and forgotten."""
_CHECKED = 1_024


def measure(
    *, sizes: Sequence[int] = (10_000, 100_000), n_types: int = N_TYPES, width: int = 512, k: int = PAPERS_K
) -> dict[str, Any]:
    """Measure each size, print the table; raises `CheckFailedError` where a top-k is not that of a full sort."""
    context = multiprocessing.get_context("spawn")
    rows = []
    for size in sizes:
        with context.Pool(1) as alone:
            rows.append(alone.apply(_measured, (size, n_types, width, k)))
    _print(rows, n_types, width, k)
    return {"types": n_types, "width": width, "k": k, "rows": rows}


def _measured(n_pictures: int, n_types: int, width: int, k: int) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    before = _peak_mb()
    search = Search(_directions(rng, n_types, width), k)
    product_s = search_s = 0.0
    for start in range(0, n_pictures, _AT_ONCE):
        pictures = _directions(rng, min(_AT_ONCE, n_pictures - start), width)
        product_s += _timed_product(search, pictures)
        started = time.perf_counter()
        found = search.nearest(pictures)
        search_s += time.perf_counter() - started
        if start < _CHECKED:
            _check(search, pictures, n_types, found.types)
    return {
        "pictures": n_pictures,
        "product_s": round(product_s, 2),
        "search_s": round(search_s, 2),
        "ratio": round(search_s / product_s, 3),
        "pictures_per_s": round(n_pictures / search_s),
        "peak_mb": round(_peak_mb() - before),
    }


def _timed_product(search: Search, pictures: npt.NDArray[np.float32]) -> float:
    """Seconds of the matrix products alone, over the blocks of the search."""
    started = time.perf_counter()
    for block in search.blocks(len(pictures)):
        search.cosines(pictures[block])
    return time.perf_counter() - started


def _check(search: Search, pictures: npt.NDArray[np.float32], n_types: int, found: npt.NDArray[np.int64]) -> None:
    k = found.shape[1]
    for block in search.blocks(len(pictures)):
        sorted_whole = np.argsort(-search.cosines(pictures[block])[:, :n_types], axis=1, kind="stable")[:, :k]
        if not np.array_equal(found[block], sorted_whole):
            raise CheckFailedError(f"the top {k} of pictures {block.start} to {block.stop} is not that of a full sort")


def _directions(rng: np.random.Generator, n: int, width: int) -> npt.NDArray[np.float32]:
    rows = rng.standard_normal((n, width), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _print(rows: Sequence[dict[str, Any]], n_types: int, width: int, k: int) -> None:
    table = Table(title=f"top {k} of {n_types:,} types by cosine, {width} dimensions")
    columns = {
        "pictures": "pictures",
        "product_s": "bare product s",
        "search_s": "search s",
        "ratio": "search / product",
        "pictures_per_s": "pictures/s",
        "peak_mb": "peak memory MB",
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*(f"{row[key]:,}" for key in columns))
    Console(width=120).print(table)
