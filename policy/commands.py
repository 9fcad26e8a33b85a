"""`precedent policy | score | benchmark`: parse, build, call."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import BadInputError

if TYPE_CHECKING:
    from policy.casebook import Evidence

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def policy() -> None:
    """Train policies from decided cases and make them live."""


@policy.command()
@click.option("--cases", "cases_path", type=FILE, required=True, help="JSONL of decided cases, or KuaiMod's.")
@click.option("--out", type=FOLDER, required=True, help="The release folder to write; it must not exist.")
@click.option("--parent", type=FOLDER, help="The release that this one follows.")
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where media may lie [the cases' folder].")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Decoding processes.")
def train(cases_path: Path, out: Path, parent: Path | None, roots: tuple[Path, ...], seed: int, workers: int) -> None:
    """Train a release from decided cases: student, calibration, casebook and thresholds.

    \b
    Example:
      precedent simulate uploads --out clips --n 600 --seed 1 --as-cases
      precedent policy train --cases clips/cases.jsonl --out release-1
    """
    from policy.evidence import gather, read_cases
    from policy.train import Lineage, TrainSettings, write_release
    from policy.train import train as train_policy
    from serving.preprocess.media import DecodePool, PoolSettings
    from serving.releases import open_release

    before = open_release(parent).release if parent is not None else None
    if out.exists():
        raise BadInputError(f"--out {out}: exists, a release is never written again")
    cases = read_cases(cases_path)
    settings = TrainSettings()
    allowed = tuple(roots) or (cases_path.parent.resolve(),)
    pool = PoolSettings(allowed, workers, settings.inputs.n_frames, settings.inputs.frame_px)

    async def decode_all(advance: Callable[[int], None]) -> "list[Evidence]":
        async with DecodePool(pool) as decoder:
            return await gather(cases, decoder, advance=advance)

    with progress_of(len(cases), "decoding") as advance:
        evidence = asyncio.run(decode_all(advance))
    trained = train_policy(evidence, settings=settings, seed=seed, tick=say)
    release = write_release(trained, out, Lineage.of(cases, before), settings=settings, now=datetime.now(UTC))
    click.echo(
        json.dumps({"release": str(out), "version": release.version, "parent": release.parent, **release.metrics})
    )


@policy.command()
@click.argument("release", type=FOLDER)
@click.option(
    "--releases", type=FOLDER, envvar="PRECEDENT_RELEASES", default=Path(".state/releases"), show_default=True
)
def promote(release: Path, releases: Path) -> None:
    """Make RELEASE live: verify its digests, admit it, move the pointer that workers follow.

    \b
    Example:
      precedent policy promote release-1
    """
    from policy.releases import promote as move_pointer
    from serving.releases import ReleasesRoot

    pointer = move_pointer(ReleasesRoot(releases), release, now=datetime.now(UTC))
    click.echo(pointer.model_dump_json())


@click.command()
@click.option("--release", "release_path", type=FOLDER, required=True)
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where media may lie [the files' folders].")
@click.argument("files", type=FILE, nargs=-1, required=True)
def score(release_path: Path, roots: tuple[Path, ...], files: tuple[Path, ...]) -> None:
    """Score FILES, KuaiMod JSONL or upload events or mp4, with a release: verdicts as JSON lines.

    \b
    Example:
      precedent score --release release-1 clips/uploads.jsonl
    """
    from policy.score import read_uploads, score_uploads
    from serving.in_process import InProcessScorer
    from serving.preprocess.media import DecodePool, PoolSettings
    from serving.releases import open_release

    folder = open_release(release_path)
    uploads = list(read_uploads(files))
    inputs = folder.release.inputs
    allowed = tuple(roots) or tuple(sorted({file.parent.resolve() for file in files}))

    async def run(advance: Callable[[int], None]) -> None:
        scorer = InProcessScorer({folder.pin: (folder.student, folder.casebook)})
        async with DecodePool(PoolSettings(allowed, 2, inputs.n_frames, inputs.frame_px)) as decoder:
            async for verdict in score_uploads(uploads, folder=folder, scorer=scorer, decoder=decoder):
                click.echo(verdict.model_dump_json())
                advance(1)

    with progress_of(len(uploads), "scoring") as advance:
        asyncio.run(run(advance))


def say(line: str) -> None:
    """A line of what is going on, where somebody watches."""
    if sys.stderr.isatty() or os.environ.get("PRECEDENT_VERBOSE"):
        sys.stderr.write(f"{line}\n")


@contextmanager
def progress_of(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr where that is a terminal; yields what advances it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda n: bar.advance(task, n)
