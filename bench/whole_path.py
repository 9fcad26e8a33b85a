"""Uploads to readable features through every part, beside the same work in one tight loop, in one run.

Text-only: throughput with all parts running (broker, Triton, features, warehouse, sink, workers and the load
itself share the cores), then latency at half of the rate asked for; once more on real texts, which are longer, where
`PRECEDENT_BENCH_CASES` names a KuaiMod file. With media: fixed clips, the decode-only rate of
the same pool, then the whole path; what the path costs beyond decoding is given in core-milliseconds a video.

Predicted before the first run (core-milliseconds a video, text-only): Faust 0.16, checking and preprocessing 0.04,
Triton 0.08, features 0.07, the rest 0.1: 0.45 in all, so about 4,000 videos/s on two cores.
"""

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.load.loaded import run_load
from contracts.videos import VideoUploaded
from policy.decide import judge
from policy.evidence import gather, read_cases
from policy.lineage import Lineage, write_release
from policy.releases import promote
from policy.score import read_uploads
from policy.train import TrainSettings, train
from serving.in_process import InProcessScorer
from serving.preprocess.batch import preprocess
from serving.preprocess.media import DecodePool, Frames, PoolSettings
from serving.releases import ReleaseFolder, ReleasesRoot
from simulation.pictures.clips import ClipSize
from simulation.uploads import Simulation, text_uploads, write_uploads
from streams.load.events import read_uploads as read_load
from streams.stack import Stack, embedded_stack

CACHE = Path(".state/bench")
CLIP = ClipSize(360, 640, 4.0, 24)
TARGET_PER_S = 3_000.0
BATCH = 256
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class PathSizes:
    """How much is sent: events to measure after a warm-up, distinct clips, workers."""

    text_events: int = 45_000
    latency_s: float = 20.0
    media_events: int = 1_200
    clips: int = 60
    workers: int = 2
    media_workers: int = 1
    decoders: int = 2
    trained_on: int = 600


def measure(sizes: PathSizes = PathSizes()) -> dict[str, Any]:
    """Run both halves, print a table of each and return the figures."""
    root = ReleasesRoot(CACHE.absolute() / "whole-path-releases")
    folder = _release(root, sizes)
    figures = {"text": _text("Simulated texts", root, folder, list(text_uploads(4_096, seed=9)), sizes)}
    if cases := os.environ.get("PRECEDENT_BENCH_CASES"):
        real = list(read_uploads([Path(cases)]))
        figures["real_text"] = _text(f"{len(real)} real texts in turn", root, folder, real, sizes)
    figures["media"] = _media(root, folder, _clips(sizes), sizes)
    return figures | {"load_average": os.getloadavg()}


def _text(
    title: str, root: ReleasesRoot, folder: ReleaseFolder, uploads: list[VideoUploaded], sizes: PathSizes
) -> dict[str, Any]:
    loop = _tight_loop(folder, uploads, [None] * len(uploads))
    with tempfile.TemporaryDirectory() as state, embedded_stack(Path(state), root.path, workers=sizes.workers) as stack:
        file = _as_file(uploads, Path(state))
        warm = sizes.text_events // 5
        flat_out, cost = _loaded(
            stack, file, "--count", str(sizes.text_events + warm), "--warm-up", str(warm), "--no-features"
        )
        half = TARGET_PER_S / 2
        count = int(half * (sizes.latency_s + 5))
        steady, _ = _loaded(stack, file, "--rate", str(half), "--count", str(count), "--warm-up", str(int(half * 5)))
    rows = {
        "tight loop, one core (videos/s)": loop,
        f"whole path, {sizes.workers} workers (videos/s)": flat_out["per_s"],
        "as a share of the tight loop": flat_out["per_s"] / loop,
        f"at {half:,.0f}/s: p50 to a readable feature (ms)": steady["feature_latency_ms"]["p50"],
        f"at {half:,.0f}/s: p99 to a readable feature (ms)": steady["feature_latency_ms"]["p99"],
        f"at {half:,.0f}/s: features found of {count:,}": count - steady["missing_features"] - steady["lost"],
        "missing, dead, repeated": f"{flat_out['lost']}, {flat_out['letters']}, {flat_out['repeated_verdicts']}",
    }
    bytes_an_event = sum(len(u.model_dump_json(exclude_none=True).encode()) for u in uploads) / len(uploads)
    _print(f"{title}: {bytes_an_event:,.0f} bytes an event", rows)
    _print("Core-milliseconds a video while flat out", cost)
    return {
        "tight_loop_per_s": loop,
        "flat_out": flat_out,
        "steady": steady,
        "core_ms_a_video": cost,
        "bytes_an_event": bytes_an_event,
    }


def _media(root: ReleasesRoot, folder: ReleaseFolder, clips: Path, sizes: PathSizes) -> dict[str, Any]:
    uploads = list(read_uploads([clips / "uploads.jsonl"]))
    inputs = folder.release.inputs
    pool = PoolSettings((clips.absolute(),), sizes.decoders, inputs.n_frames, inputs.frame_px)
    decode_per_s, decode_core_ms, frames = asyncio.run(_decode_only(pool, uploads, sizes.media_events))
    loop = _tight_loop(folder, uploads, frames)
    with (
        tempfile.TemporaryDirectory() as state,
        embedded_stack(
            Path(state),
            root.path,
            workers=sizes.media_workers,
            media_roots=(clips,),
            worker_options=("--decoders", str(sizes.decoders)),
        ) as stack,
    ):
        file, options = clips / "uploads.jsonl", ("--mix", "media=1", "--window", "256", "--no-features")
        _loaded(stack, file, *options, "--count", str(sizes.clips))  # every part loads what it loads late
        count, warm = str(sizes.media_events), str(sizes.media_events // 10)
        whole, cost = _loaded(stack, file, *options, "--count", count, "--warm-up", warm)
    beyond = sum(cost.values()) - decode_core_ms
    rows = {
        f"decode only, {sizes.decoders} processes (videos/s)": decode_per_s,
        "decode only (core-ms a video)": decode_core_ms,
        "tight loop without decoding, one core (videos/s)": loop,
        "whole path (videos/s)": whole["per_s"],
        "as a share of the decode-only rate": whole["per_s"] / decode_per_s,
        "beyond decoding (core-ms a video)": beyond,
        "missing, dead, repeated": f"{whole['missing']}, {whole['dead']}, {whole['repeats']}",
    }
    size = f"{CLIP.width} x {CLIP.height}, {CLIP.seconds:g} s at {CLIP.fps} frames/s"
    reads = f"{inputs.n_frames} frames of {inputs.frame_px} x {inputs.frame_px}"
    _print(f"With media: {sizes.clips} clips of {size}, H.264; the student reads {reads}", rows)
    _print("Core-milliseconds a video", cost)
    return {
        "decode_only_per_s": decode_per_s,
        "decode_core_ms": decode_core_ms,
        "tight_loop_per_s": loop,
        "whole": whole,
        "core_ms_a_video": cost,
        "beyond_decoding_core_ms": beyond,
    }


def _tight_loop(folder: ReleaseFolder, uploads: list[VideoUploaded], frames: Sequence[Frames | None]) -> float:
    """Videos/s of check, preprocess, score and judge in one process, one thread, batch after batch."""
    scorer = InProcessScorer({folder.pin: (folder.student, folder.casebook)})
    raw = [upload.model_dump_json(exclude_none=True).encode() for upload in uploads]
    size = BATCH if frames[0] is None else 32
    n, started = 0, 0.0
    for start in itertools.cycle(range(0, len(raw), size)):
        if n >= 4 * size and not started:
            n, started = 0, time.perf_counter()  # what came before was warm-up
        some = [VideoUploaded.model_validate_json(event) for event in raw[start : start + size]]
        inputs = preprocess(some, frames[start : start + size], folder.release.inputs)
        scores = scorer.score_now(inputs, folder.pin)
        verdicts = judge(some, inputs.present, scores, folder.release, folder.pin, now=datetime.now(UTC))
        n += len([verdict.model_dump_json() for verdict in verdicts])
        if started and time.perf_counter() - started > 5.0:
            return n / (time.perf_counter() - started)
    raise AssertionError("a cycle does not end")


async def _decode_only(
    settings: PoolSettings, uploads: Sequence[VideoUploaded], n: int
) -> tuple[float, float, list[Frames | None]]:
    """Videos/s and core-milliseconds a video of the decode pool alone, and the frames of each upload."""
    addresses = [upload.media_url or "" for upload in uploads]
    async with DecodePool(settings) as pool:
        answers = await pool.decode(addresses)
        wanted = [addresses[i % len(addresses)] for i in range(n)]
        before, own = sum(map(_core_s, pool.pids)), time.process_time()
        started = time.perf_counter()
        await pool.decode(wanted)
        wall = time.perf_counter() - started
        spent = sum(map(_core_s, pool.pids)) - before + time.process_time() - own
    return n / wall, spent / n * 1000.0, [answer if not isinstance(answer, Exception) else None for answer in answers]


def _loaded(stack: Stack, uploads: Path, *options: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Run the load generator beside the stack: its report, and core-milliseconds a video of each part."""
    loaded = run_load(stack, "--uploads", str(uploads), "--no-warehouse", "--probe", "0", *options)
    return loaded.report, loaded.core_ms


def _core_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _as_file(uploads: Sequence[VideoUploaded], folder: Path) -> Path:
    path = folder / "uploads.jsonl"
    path.write_text("".join(f"{u.model_dump_json(exclude_none=True)}\n" for u in uploads), encoding="utf-8")
    assert next(read_load(path)).video_id == uploads[0].video_id
    return path


def _clips(sizes: PathSizes) -> Path:
    folder = CACHE.absolute() / f"clips-{sizes.clips}-{CLIP.width}x{CLIP.height}"
    if not (folder / "uploads.jsonl").exists():
        write_uploads(folder, Simulation(sizes.clips, 5, size=CLIP), workers=2)
    return folder


def _release(root: ReleasesRoot, sizes: PathSizes) -> ReleaseFolder:
    """A release trained on simulated videos; kept, since the figures need its shape, not its wisdom."""
    if root.release_path(1).exists():
        return root.open(1)
    settings = TrainSettings()
    with tempfile.TemporaryDirectory() as temporary:
        simulated = Path(temporary) / "simulated"
        write_uploads(simulated, Simulation(sizes.trained_on, 1, as_cases=True), workers=2)
        cases = read_cases(simulated / "cases.jsonl")

        async def decode() -> Any:
            inputs = settings.inputs
            async with DecodePool(PoolSettings((simulated,), 2, inputs.n_frames, inputs.frame_px)) as pool:
                return await gather(cases, pool)

        policy = train(asyncio.run(decode()), settings=settings, seed=0)
        now = datetime.now(UTC)
        path = Path(temporary) / "release"
        write_release(policy, path, Lineage.of(cases), settings=settings, now=now)
        promote(root, path, now=now)
    return root.open(1)


def _print(title: str, rows: Mapping[str, float | str]) -> None:
    table = Table("", "", title=title, title_justify="left", show_header=False)
    for name, value in rows.items():
        table.add_row(name, value if isinstance(value, str) else f"{value:,.3f}" if value < 10 else f"{value:,.0f}")
    Console(width=110).print(table)
