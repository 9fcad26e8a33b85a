"""`precedent policy | score | benchmark`: parse, build, call."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import BadInputError, CheckFailedError

if TYPE_CHECKING:
    from contracts.releases import Seat
    from contracts.verdicts import Verdict
    from contracts.videos import VideoUploaded
    from policy.casebook import Evidence
    from serving.releases import ReleaseFolder

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
RELEASES = click.option(
    "--releases", type=FOLDER, envvar="PRECEDENT_RELEASES", default=Path(".state/releases"), show_default=True
)


@click.group()
def policy() -> None:
    """Train policies from decided cases and make them live.

    \b
    Example:
      precedent policy train --cases clips/cases.jsonl --out release-1
    """


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
    out.parent.mkdir(parents=True, exist_ok=True)  # or say now, not after the training, that it cannot be
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
@RELEASES
@click.option(
    "--as",
    "seat",
    type=click.Choice(["live", "canary", "shadow"]),
    default="live",
    show_default=True,
    help="Canary or shadow: judges beside the live release, whose decisions stay in force.",
)
def promote(release: Path, releases: Path, seat: "Seat") -> None:
    """Make RELEASE live, or a candidate: verify its digests, admit it, move the pointer that workers follow.

    \b
    Example:
      precedent policy promote release-1
      precedent policy promote release-2 --as canary
    """
    from policy.releases import promote as move_pointer
    from serving.releases import ReleasesRoot

    pointer = move_pointer(ReleasesRoot(releases), release, now=datetime.now(UTC), seat=seat)
    click.echo(pointer.model_dump_json())


@policy.command()
@click.option("--candidate", type=FOLDER, required=True, help="The release that wants to follow the parent.")
@click.option("--parent", type=FOLDER, required=True, help="The release that it is compared with.")
@click.option("--golden", type=FILE, required=True, help="JSONL of decided cases that taught neither.")
@click.option("--traffic", type=FILE, help="JSONL of recent uploads, whose decisions are compared.")
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where media may lie [the files' folders].")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@RELEASES
def gate(
    candidate: Path,
    parent: Path,
    golden: Path,
    traffic: Path | None,
    roots: tuple[Path, ...],
    as_json: bool,
    releases: Path,
) -> None:
    """Say whether CANDIDATE may follow PARENT: refused with every reason (exit code 1), or passed.

    \b
    Example:
      precedent policy gate --candidate release-2 --parent release-1 --golden golden.jsonl --traffic uploads.jsonl
    """
    from policy.gate.command import gate_files, report
    from policy.releases import write_gate_result
    from serving.releases import ReleasesRoot

    allowed = roots or tuple(sorted({file.resolve().parent for file in (golden, traffic) if file is not None}))
    result = gate_files(candidate, parent, golden, traffic, roots=allowed, now=datetime.now(UTC))
    write_gate_result(ReleasesRoot(releases), result)
    click.echo(result.model_dump_json(indent=2) if as_json else report(result))
    if not result.passed:
        raise CheckFailedError(f"{candidate}: refused for {len(result.refusals)} reasons, first: {result.refusals[0]}")


@policy.command()
@RELEASES
def rollback(releases: Path) -> None:
    """Make the release before the live one live again, at once; workers follow without a restart.

    \b
    Example:
      precedent policy rollback
    """
    from policy.releases import rollback as move_back
    from serving.releases import ReleasesRoot

    root = ReleasesRoot(releases)
    left = root.read_pointer().live
    pointer = move_back(root, now=datetime.now(UTC))
    live, earlier = pointer.live, pointer.previous
    click.echo(
        f"rolled back from release {left.release_version} (casebook {left.casebook_version}) to release "
        f"{live.release_version} (casebook {live.casebook_version}); before it: "
        f"{'nothing' if earlier is None else f'release {earlier.release_version}'}"
    )


@policy.command()
@RELEASES
def history(releases: Path) -> None:
    """List the releases, what the gate said of them, and every move of the pointer, oldest first.

    \b
    Example:
      precedent policy history
    """
    from policy.releases import history_lines
    from serving.releases import ReleasesRoot

    for line in history_lines(ReleasesRoot(releases)):
        click.echo(line)


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
    from policy.score import read_uploads
    from serving.releases import open_release

    folder = open_release(release_path)
    uploads = list(read_uploads(files))
    allowed = roots or tuple(sorted({file.parent for file in files}))
    _score(folder, uploads, allowed, lambda verdict: click.echo(verdict.model_dump_json()))


@click.group()
def benchmark() -> None:
    """Measure against public benchmarks, in their own columns.

    \b
    Example:
      precedent benchmark kuaimod --cross-validate 5 --cases ../shared/kuaimod_benchmark/public_cases.jsonl
    """


@benchmark.command()
@click.option("--cases", "cases_path", type=FILE, required=True, help="The benchmark's JSONL.")
@click.option("--release", "release_path", type=FOLDER, help="Judge the cases with a release.")
@click.option("--predictions", type=FILE, help="With --release: write the published prediction format here.")
@click.option("--cross-validate", "folds", type=click.IntRange(2, 100), help="Train and judge by K folds instead.")
def kuaimod(cases_path: Path, release_path: Path | None, predictions: Path | None, folds: int | None) -> None:
    """Print our row under the published rows of the KuaiMod benchmark, and what the model did not see.

    \b
    Example:
      precedent benchmark kuaimod --cross-validate 5 --cases ../shared/kuaimod_benchmark/public_cases.jsonl
      precedent benchmark kuaimod --release release-1 --cases cases.jsonl --predictions out.jsonl
    """
    from policy.benchmark.kuaimod import refuse_taught, run_benchmark, run_cross_validation, write_predictions
    from policy.evidence import read_cases, read_taught
    from serving.releases import open_release

    if (release_path is None) == (folds is None):
        raise BadInputError("--release and --cross-validate: give one of them")
    if predictions is not None and release_path is None:
        raise BadInputError("--predictions goes with --release")
    if predictions is not None and not predictions.parent.is_dir():
        raise BadInputError(f"--predictions {predictions}: {predictions.parent} must be a folder")
    cases = read_cases(cases_path)
    if folds is not None:
        click.echo(run_cross_validation(cases, folds=folds, tick=say).report())
        return
    assert release_path is not None
    folder = open_release(release_path)
    name = f"Precedent, release {folder.release.version}"
    refuse_taught(cases, read_taught(folder.taught), name=name)
    verdicts: list[Verdict] = []
    _score(folder, [case.upload for case in cases], (cases_path.parent,), verdicts.append)
    click.echo(run_benchmark(cases, verdicts, name=name))
    if predictions is not None:
        write_predictions(predictions, cases, [verdict.category.position for verdict in verdicts])


def _score(
    folder: "ReleaseFolder",
    uploads: Sequence["VideoUploaded"],
    roots: Iterable[Path],
    give: Callable[["Verdict"], None],
) -> None:
    """Judge uploads in order by ONNX Runtime in this process."""
    from policy.score import score_uploads
    from serving.in_process import InProcessScorer
    from serving.preprocess.media import DecodePool, PoolSettings

    inputs = folder.release.inputs
    pool = PoolSettings(tuple(root.resolve() for root in roots), 2, inputs.n_frames, inputs.frame_px)

    async def run(advance: Callable[[int], None]) -> None:
        scorer = InProcessScorer({folder.pin: (folder.student, folder.casebook)})
        async with DecodePool(pool) as decoder:
            async for verdict in score_uploads(uploads, folder=folder, scorer=scorer, decoder=decoder):
                give(verdict)
                advance(1)
        await scorer.close()

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
