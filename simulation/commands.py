"""`precedent simulate`: a platform's uploads as files, from a seed or from the KuaiMod benchmark."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from contracts.errors import BadInputError


@click.group()
def simulate() -> None:
    """Simulate a short-video platform: uploads with real clips, and the truth about them apart.

    \b
    Example:
      precedent simulate uploads --out clips --n 20 --seed 1
    """


@simulate.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--n", type=click.IntRange(1, 10_000_000), required=True, help="How many videos.")
@click.option("--seed", type=click.IntRange(0), required=True, help="The same seed gives the same videos.")
@click.option("--workers", type=click.IntRange(1), help="Processes that film (default: one a core).")
@click.option("--as-cases", is_flag=True, help="Also write cases.jsonl: the videos, ruled as they truly are.")
@click.option("--no-media", is_flag=True, help="Words only: no clips, no media_url.")
@click.option("--width", type=click.IntRange(16, 4096), help="Clips of one size, in pixels (with --height).")
@click.option("--height", type=click.IntRange(16, 4096), help="See --width.")
@click.option("--seconds", type=click.FloatRange(0.1, 600.0), default=4.0, show_default=True, help="With --width.")
@click.option("--fps", type=click.IntRange(1, 120), default=24, show_default=True, help="With --width.")
def uploads(
    out: Path,
    n: int,
    seed: int,
    workers: int | None,
    as_cases: bool,
    no_media: bool,
    width: int | None,
    height: int | None,
    seconds: float,
    fps: int,
) -> None:
    """Write uploads.jsonl, media/*.mp4 and truth.jsonl to a folder.

    Clips are 2 to 3 s long and about 160 x 120 by default, of many shapes, frame rates and key frame distances;
    --width and --height film all to one size, for 4 s at 24 frames a second, encoded as phones do.

    \b
    Example:
      precedent simulate uploads --out clips --n 20 --seed 1
      precedent simulate uploads --out phone --n 50 --seed 2 --width 360 --height 640
    """
    from rich.console import Console
    from rich.progress import Progress

    from simulation.pictures.clips import ClipSize
    from simulation.uploads import Simulation, write_uploads

    if (width is None) != (height is None):
        raise BadInputError("--width and --height must be given together")
    size = ClipSize(width, height, seconds, fps) if width is not None and height is not None else None
    simulation = Simulation(n, seed, media=not no_media, size=size, as_cases=as_cases)
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        bar = progress.add_task("filming", total=n)
        write_uploads(
            out,
            simulation,
            workers=workers or len(os.sched_getaffinity(0)),
            on_filmed=lambda done: progress.advance(bar, done),
        )
    click.echo(f"{n} uploads in {out / 'uploads.jsonl'}")


@simulate.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--rate", type=click.FloatRange(0.001), default=10.0, show_default=True, help="Uploads a second.")
@click.option("--start", type=click.DateTime(), help="When the first came, UTC (default: now).")
def replay_command(file: Path, out: Path, rate: float, start: datetime | None) -> None:
    """Write a KuaiMod FILE as uploads.jsonl, its labels apart in truth.jsonl.

    \b
    Example:
      precedent simulate replay ../shared/kuaimod_benchmark/public_cases.jsonl --out replayed
    """
    from simulation.replay import write_replay

    begin = start.replace(tzinfo=UTC) if start is not None else datetime.now(UTC)
    click.echo(f"{write_replay(file, out, begin, rate)} uploads in {out / 'uploads.jsonl'}")
