"""`precedent score | benchmark`: a release on files."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import BadInputError
from policy.commands.injecting import injections
from policy.commands.judging import (
    VOTES,
    CaseAsking,
    client_of,
    judge_options,
    kuaimod_by_judge,
    require_folder_of,
    reward,
)
from policy.commands.options import FILE, FOLDER
from policy.commands.progress import progress_of, say

if TYPE_CHECKING:
    from contracts.verdicts import Verdict
    from contracts.videos import VideoUploaded
    from serving.releases import ReleaseFolder


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
      precedent benchmark kuaimod --cross-validate 5 --cases public_cases.jsonl
    """


benchmark.add_command(reward)
benchmark.add_command(injections)


@benchmark.command()
@click.option("--cases", "cases_path", type=FILE, required=True, help="The benchmark's JSONL.")
@click.option("--release", "release_path", type=FOLDER, help="Judge the cases with a release.")
@judge_options(required=False)
@click.option("--votes", type=VOTES, help="With --judge: answers a case [5].")
@click.option("--at-most", type=click.IntRange(1), help="With --judge: cases, spread evenly over the file [all].")
@click.option("--predictions", type=FILE, help="With --release or --judge: write the published format here.")
@click.option("--cross-validate", "folds", type=click.IntRange(2, 100), help="Train and judge by K folds instead.")
@click.option("--leave-out", is_flag=True, help="Leave each category out; tell what precedents find of it instead.")
def kuaimod(
    cases_path: Path,
    release_path: Path | None,
    judge: str | None,
    model: str,
    timeout_s: float,
    parallel: int,
    votes: int | None,
    at_most: int | None,
    predictions: Path | None,
    folds: int | None,
    leave_out: bool,
) -> None:
    """Print our row under the published rows of the KuaiMod benchmark, and what the model did not see.

    With --judge the row is that of the vision-language model that would rule on such cases; its answers are kept as
    they come in PREDICTIONS.answers. PRECEDENT_JUDGE_KEY is the endpoint's key, if it asks for one.

    \b
    Example:
      precedent benchmark kuaimod --cross-validate 5 --cases public_cases.jsonl
      precedent benchmark kuaimod --release release-1 --cases cases.jsonl --predictions out.jsonl
      precedent benchmark kuaimod --judge http://127.0.0.1:8000/v1 --cases cases.jsonl --votes 5 --at-most 100
    """
    from policy.evidence import read_cases, read_taught

    if (release_path is not None) + (judge is not None) + (folds is not None) + leave_out != 1:
        raise BadInputError("--release, --judge, --cross-validate and --leave-out: give one of them")
    if predictions is not None and release_path is None and judge is None:
        raise BadInputError("--predictions goes with --release or --judge")
    for option, given in (("--votes", votes), ("--at-most", at_most)):
        if given is not None and judge is None:
            raise BadInputError(f"{option} goes with --judge")
    require_folder_of(predictions, "--predictions")
    cases = read_cases(cases_path)
    if judge is not None:
        client = client_of(judge, model, timeout_s)
        asking = CaseAsking(cases_path, judge, model, votes or 5, parallel, at_most)
        click.echo(kuaimod_by_judge(cases, client, asking, predictions))
        return

    from policy.benchmark.kuaimod import refuse_taught, run_benchmark, run_cross_validation, run_left_out
    from policy.benchmark.published import write_predictions
    from serving.releases import open_release

    if folds is not None:
        click.echo(run_cross_validation(cases, folds=folds, tick=say).report())
        return
    if leave_out:
        click.echo(run_left_out(cases, tick=say))
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
