"""Exact search over 10 k, 100 k and 1 M precedents: speed, memory, and how soon a new precedent is cited.

Publish-to-serving is measured through the real Triton: from the moment the pointer names a casebook that
lies on the disk, to the first answer that cites a case which only that casebook holds.
"""

import asyncio
import gc
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from bench.stand_in import point_to, publish_casebook, random_casebook, random_inputs, write_release
from contracts.releases import Pin
from contracts.taxonomy import N_CATEGORIES
from serving.casebook import Blend, Casebook, capacity_for, casebook_files, write_casebook
from serving.releases import ReleasesRoot
from serving.triton.client import TritonScorer, TritonSettings
from serving.triton.embedded import EmbeddedTriton
from serving.triton.session_model import open_session

BATCHES = (1, 32, 256)
FOLLOW_EVERY_S = 0.2
NEW_CASE = "the-new-precedent"
# What one video may cost in all at 3,000 videos/s on two cores.
CORE_MS_A_VIDEO = 2 / 3_000 * 1_000


def measure(
    *,
    sizes: Sequence[int] = (10_000, 100_000, 1_000_000),
    width: int = 128,
    seconds: float = 1.5,
    publish: bool = True,
) -> dict[str, Any]:
    """Measure each size on one core, print the table, and say where an index takes over."""
    rows = []
    for size in sizes:
        row = _searched(size, width, seconds)
        if publish:
            row |= _published(size, width)
        rows.append(row)
    _print(rows, width)
    index = _where_an_index_takes_over(rows)
    Console(width=100).print(index["says"])
    return {"width": width, "rows": rows, "index": index}


def _searched(size: int, width: int, seconds: float) -> dict[str, Any]:
    """Build and search a casebook of `size`, the search in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="precedent-bench-") as folder:
        path = Path(folder) / "casebook.onnx"
        casebook = random_casebook(size, width=width)
        started = time.perf_counter()
        write_casebook(casebook, path)
        build_s = time.perf_counter() - started
        del casebook
        gc.collect()
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as alone:
            found = alone.apply(_search_alone, (path, width, seconds))
        return {
            "precedents": size,
            "capacity": capacity_for(size),
            "file_mb": round(sum(file.stat().st_size for file in casebook_files(path)) / 1e6, 1),
            "build_s": round(build_s, 2),
            **found,
        }


def _search_alone(path: Path, width: int, seconds: float) -> dict[str, Any]:
    before = _resident_mb()
    started = time.perf_counter()
    session = open_session(path)
    load_s = time.perf_counter() - started
    figures: dict[str, Any] = {"load_s": round(load_s, 2)}
    for batch in BATCHES:
        embedding = _directions(batch, width)
        classifier = np.full((batch, N_CATEGORIES), 1 / N_CATEGORIES, np.float32)
        tensors = {"embedding": embedding, "classifier": classifier}
        session.run(None, tensors)
        n_runs, used = 0, time.process_time()
        while time.process_time() - used < seconds or n_runs < 2:
            session.run(None, tensors)
            n_runs += 1
        figures[f"queries_per_core_s_{batch}"] = round(n_runs * batch / (time.process_time() - used), 1)
    return figures | {"memory_mb": round(_resident_mb() - before)}


def _published(size: int, width: int) -> dict[str, Any]:
    """Time from the pointer's move to the first answer that cites the new case, while another pin serves."""
    with tempfile.TemporaryDirectory(prefix="precedent-bench-") as folder:
        root = Path(folder)
        first = write_release(root, 1, random_casebook(1_000, width=width))
        point_to(root, first)
        inputs = random_inputs(1)
        student = open_session(ReleasesRoot(root).student_of(first))
        _, embedding = student.run(["classifier", "embedding"], inputs.tensors())
        publish_casebook(root, 2, _with_new_case(random_casebook(size - 1, width=width), embedding))
        gc.collect()
        later = Pin(release_version=1, casebook_version=2)
        with EmbeddedTriton(root) as served, _followed(served):

            async def until_cited() -> float:
                scorer = TritonScorer(served.address, TritonSettings(deadline_s=120.0))
                await scorer.score(inputs, first)
                started = time.perf_counter()
                point_to(root, later)
                scores = await scorer.score(inputs, later)
                took_s = time.perf_counter() - started
                await scorer.close()
                if scores.cited_ids[0, 0] != NEW_CASE:
                    msg = f"the first citation is {scores.cited_ids[0, 0]!r}, must be {NEW_CASE!r} (bench)"
                    raise AssertionError(msg)
                return took_s

            return {"publish_to_cited_s": round(asyncio.run(until_cited()), 2)}


def _with_new_case(casebook: Casebook, embedding: npt.NDArray[np.float32]) -> Casebook:
    return replace(
        casebook,
        embeddings=np.concatenate([casebook.embeddings, embedding]),
        case_ids=(*casebook.case_ids, NEW_CASE),
        categories=np.append(casebook.categories, 0).astype(np.int32),
        weights=np.append(casebook.weights, 1.0).astype(np.float32),
        blend=Blend(floor=0.2),
    )


@contextmanager
def _followed(served: EmbeddedTriton) -> Iterator[None]:
    """Step the follower as `precedent triton` does, while the body runs."""
    stopped = threading.Event()

    def follow() -> None:
        while not stopped.wait(FOLLOW_EVERY_S):
            served.step()

    thread = threading.Thread(target=follow, name="follower")
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _where_an_index_takes_over(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Between the sizes measured: where the search eats a tenth, and all, of a video's core time at batch 256."""
    core_ms = [1_000 / row["queries_per_core_s_256"] for row in rows]
    sizes = [row["precedents"] for row in rows]
    tenth, whole = (int(np.interp(share * CORE_MS_A_VIDEO, core_ms, sizes)) for share in (0.1, 1.0))
    says = (
        f"Exact search costs {', '.join(f'{ms:.3f}' for ms in core_ms)} core-ms a video at batch 256. Of the "
        f"{CORE_MS_A_VIDEO:.3f} core-ms that a video may cost at 3,000 a second on two cores that is a tenth at "
        f"{tenth:,} precedents and all at {whole:,}: beyond {tenth:,}, use an index, a GPU or more cores."
    )
    return {"core_ms": core_ms, "a_tenth_at": tenth, "all_at": whole, "says": says}


def _directions(n: int, width: int) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(7).standard_normal((n, width), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1e3
    return 0.0


def _print(rows: list[dict[str, Any]], width: int) -> None:
    table = Table(title=f"exact cosine search, {width} dimensions, one core")
    columns = {
        "precedents": "precedents",
        "file_mb": "file MB",
        "memory_mb": "memory MB",
        "build_s": "build s",
        "load_s": "load s",
        **{f"queries_per_core_s_{batch}": f"queries/s, batch {batch}" for batch in BATCHES},
        "publish_to_cited_s": "published to cited s",
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*(f"{row[key]:,}" if key in row else "" for key in columns))
    Console(width=120).print(table)
