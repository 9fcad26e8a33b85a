"""What scoring costs by batch size: ONNX Runtime in a tight loop, the in-process scorer, the Triton client.

Core time counts every process that takes part: this one, Triton, and Triton's model processes.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.stand_in import SHAPE, point_to, random_casebook, random_inputs, write_release
from contracts.releases import Pin
from serving.in_process import InProcessScorer
from serving.preprocess.inputs import ModelInputs
from serving.releases import ReleasesRoot
from serving.scorer import Scorer
from serving.triton.client import TritonScorer
from serving.triton.embedded import EmbeddedTriton
from serving.triton.session_model import open_session

SHAPE_64 = SHAPE.model_copy(update={"n_frames": 9, "frame_px": 64, "text_buckets": 16_384})
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def measure(
    *,
    batches: Sequence[int] = (1, 16, 64, 256),
    media_batches: Sequence[int] = (1, 32),
    n_ngrams: int = 256,
    n_precedents: int = 2_000,
    in_flight: int = 2,
    seconds: float = 1.5,
    releases: Path | None = None,
) -> dict[str, Any]:
    """Measure videos/s and core-microseconds a video; the models are stand-ins unless `releases` has real ones."""
    with tempfile.TemporaryDirectory(prefix="precedent-bench-") as folder:
        root, shape = releases or Path(folder), SHAPE_64
        if releases is None:
            pin = write_release(root, 1, random_casebook(n_precedents), shape=shape)
            point_to(root, pin)
        else:
            pin = ReleasesRoot(root).read_pointer().live
            shape = ReleasesRoot(root).open(pin.release_version, verify=False).release.inputs
        cases = [(False, size) for size in batches] + [(True, size) for size in media_batches]
        with EmbeddedTriton(root) as served:
            rows = [
                row
                for media, size in cases
                for row in _rows(
                    root,
                    pin,
                    served,
                    random_inputs(size, n_ngrams=n_ngrams, media=media, shape=shape),
                    in_flight=in_flight,
                    seconds=seconds,
                )
            ]
    _print(
        rows, f"{n_ngrams} n-grams a text, {n_precedents:,} precedents, media {shape.n_frames} x {shape.frame_px} px"
    )
    return {"n_ngrams": n_ngrams, "n_precedents": n_precedents, "in_flight": in_flight, "rows": rows}


def _rows(
    root: Path, pin: Pin, served: EmbeddedTriton, inputs: ModelInputs, *, in_flight: int, seconds: float
) -> list[dict[str, Any]]:
    folder, casebook_path = ReleasesRoot(root).open_pin(pin)
    student, casebook = open_session(folder.student), open_session(casebook_path)
    tensors = inputs.tensors()

    async def tight() -> None:
        classifier, embedding = student.run(["classifier", "embedding"], tensors)
        casebook.run(None, {"embedding": embedding, "classifier": classifier})

    async def all_three() -> list[dict[str, Any]]:
        in_process, triton = InProcessScorer(root), TritonScorer(served.address)
        found = []
        for how, score, flights in (
            ("tight loop", tight, 1),
            ("in process", _once(in_process, inputs, pin), 1),
            ("Triton", _once(triton, inputs, pin), 1),
            (f"Triton, {in_flight} in flight", _once(triton, inputs, pin), in_flight),
        ):
            rate, core_us = await _timed(score, len(inputs), flights, seconds, served.server.pid)
            media = "media" if inputs.present[0, 0] else "text"
            found.append({"how": how, "what": media, "batch": len(inputs), "per_s": rate, "core_us": core_us})
        await in_process.close()
        await triton.close()
        return found

    return asyncio.run(all_three())


def _once(scorer: Scorer, inputs: ModelInputs, pin: Pin) -> Callable[[], Awaitable[object]]:
    return lambda: scorer.score(inputs, pin)


async def _timed(
    score: Callable[[], Awaitable[object]], size: int, flights: int, seconds: float, server: int | None
) -> tuple[float, float]:
    """Videos a second and core-microseconds a video, after two calls to warm up."""
    for _ in range(2):
        await score()
    n_calls, until, started, cores = 0, time.perf_counter() + seconds, time.perf_counter(), core_s_of(server)

    async def again() -> None:
        nonlocal n_calls
        while time.perf_counter() < until:
            await score()
            n_calls += 1

    await asyncio.gather(*(again() for _ in range(flights)))
    n_videos = n_calls * size
    took_s, used_s = time.perf_counter() - started, core_s_of(server) - cores
    return round(n_videos / took_s, 1), round(used_s / n_videos * 1e6, 1)


def core_s_of(group: int | None) -> float:
    """Core seconds used so far by this process and by every process of a process group."""
    used = time.process_time()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if group is not None and int(fields[2]) == group:
            used += (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    return used


def _print(rows: list[dict[str, Any]], title: str) -> None:
    table = Table("", "", "batch", "videos/s", "core-us a video", title=title)
    for row in rows:
        cells = (row["what"], row["how"], str(row["batch"]), f"{row['per_s']:,.0f}", f"{row['core_us']:,.1f}")
        table.add_row(*cells)
    Console(width=100).print(table)
