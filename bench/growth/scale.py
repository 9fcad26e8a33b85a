"""115 seeds and 100,000 pictures in, a data set of TaskGalaxy's size out: seconds, calls and memory of each step.

Each step is its command, in a process of its own, against `bench.growth.endpoint` over real HTTP on the same cores:
what is measured is the pipeline, not a model. The pictures are small random paintings, the encoder is hardly trained.
The data stages run at three sizes; the last makes at least as many samples as TaskGalaxy has, 413,648 of 19,227 types
(arXiv 2502.09925).

Predicted before the first run: about 5 calls a picture at 500 a second, so 17 minutes for the last size; under 1.5 GB;
seconds grow as pictures do, but for 20 s of starting processes.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import polars as pl

SIZES = tuple(int(one) for one in os.environ.get("SCALE_PICTURES", "2600,26000,107000").split(","))
TARGET = int(os.environ.get("SCALE_TYPES", "19227"))
SAMPLES, TYPES = 413_648, 19_227
PARALLEL = "64"
K = "6"
DIM = 512


class Ran(NamedTuple):
    """One command: its seconds, the most memory it had, and the requests that it made."""

    name: str
    seconds: float
    peak_mb: float
    calls: int


def measure() -> dict[str, Any]:
    """Grow, then match, strike, question, judge and export at three sizes; prints a line a step."""
    with (
        tempfile.TemporaryDirectory(prefix="precedent-scale-", dir=os.environ.get("SCALE_DIR")) as folder,
        endpoint() as at,
    ):
        home = Path(folder)
        types = home / "taxonomy"
        grown = ran(at, "grow", "--out", types, "--llm", f"{at}/grow/v1", "--target", TARGET, "--parallel", PARALLEL)
        leaves = json.loads((types / "version.json").read_text())["leaves"]
        _line(grown, f"{leaves:,} leaves")
        encoder = _encoder(home / "encoder")
        sizes = [_data_stages(home, types, encoder, at, n) for n in SIZES]
        told = counts(at)
    click.echo(
        f"requests in all {told['calls']:,}, of these asked twice {told['again']:,}, at once {told['most_under_way']}"
    )
    return {"leaves": leaves, "grow": grown._asdict(), "sizes": sizes, "counts": told}


def _data_stages(home: Path, types: Path, encoder: Path, at: str, n: int) -> dict[str, Any]:
    pictures, grown, out = home / f"pictures-{n}.parquet", home / f"home-{n}", home / f"out-{n}"
    pl.DataFrame({"image": paint(n, seed=n)}).write_parquet(pictures, row_group_size=1_024)
    referees = [option for number in (1, 2, 3) for option in ("--referee", f"{at}/referee-{number}/v1")]
    asked = ("--taxonomy", types, "--parallel", PARALLEL)
    steps = [
        ran(at, "match", grown, "--taxonomy", types, "--pictures", pictures, "--encoder", encoder, "--k", K),
        ran(at, "strike", grown, *asked, "--llm", f"{at}/strike/v1"),
        ran(at, "questions", grown, *asked, "--llm", f"{at}/questions/v1"),
        ran(at, "referee", grown, *asked, *referees),
        ran(at, "export", grown, "--out", out),
    ]
    for step in steps:
        _line(step, f"{n:,} pictures")
    samples = pl.scan_parquet(sorted((grown / "judged").glob("part-*.parquet"))).select(pl.len()).collect().item()
    seconds, calls = sum(one.seconds for one in steps), sum(one.calls for one in steps)
    click.echo(
        f"{samples:>9,} samples   {seconds:8.1f} s   {calls:>9,} calls, {calls / seconds:6.0f}/s   "
        f"{1000 * seconds / samples:6.2f} s for 1,000   {max(one.peak_mb for one in steps):6.0f} MB at most"
    )
    return {
        "pictures": n,
        "samples": samples,
        "seconds": seconds,
        "calls": calls,
        "steps": [s._asdict() for s in steps],
    }


def ran(at: str, command: str, *options: object) -> Ran:
    """Run `precedent taxonomy COMMAND`; raises `CalledProcessError` where it does not end with 0."""
    before, began = counts(at)["calls"], time.perf_counter()
    argv = [sys.executable, "-c", "from cli import main; main()", "taxonomy", command, *map(str, options)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        peak_mb = 0.0
        while process.poll() is None:
            peak_mb = max(peak_mb, _peak_mb(process.pid))
            time.sleep(0.05)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return Ran(command, time.perf_counter() - began, peak_mb, counts(at)["calls"] - before)


def _peak_mb(pid: int) -> float:
    """The most memory that a process had so far; not its `ru_maxrss`, which begins with that of who started it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0  # it has ended meanwhile
    return max((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), default=0.0)


@contextmanager
def endpoint(*options: str) -> Iterator[str]:
    """The address of an endpoint in a process of its own, which ends with the block."""
    argv = [sys.executable, "-m", "bench.growth.endpoint", *options]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.stdin.close()


def counts(at: str) -> dict[str, int]:
    """What came to the endpoint."""
    with urllib.request.urlopen(f"{at}/counts", timeout=60) as got:
        found: dict[str, int] = json.load(got)
    return found


def _line(step: Ran, told: str) -> None:
    rate = f"{step.calls / step.seconds:6.0f}/s" if step.calls else ""
    click.echo(f"{step.name:10} {told:18} {step.seconds:8.1f} s {step.peak_mb:7.0f} MB {step.calls:>9,} calls {rate}")


def paint(n: int, *, seed: int, side: int = 48) -> list[bytes]:
    """N different small pictures as JPEGs: smooth fields of random colours."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    painted = list[bytes]()
    for _ in range(n):
        image = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        with io.BytesIO() as out:
            image.save(out, "JPEG", quality=85)
            painted.append(out.getvalue())
    return painted


def _encoder(folder: Path) -> Path:
    """A dual encoder of the CLIP class with 512 dimensions, hardly trained: it is for speed alone."""
    from policy.growth.encoders.tiny import TinySettings, train_tiny

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (64, 32, 32, 3), np.uint8)
    texts = [f"number {at % 8}" for at in range(64)]
    train_tiny(list(zip(frames, texts, strict=True)), folder, TinySettings(steps=2, batch=32, dim=DIM))
    return folder
