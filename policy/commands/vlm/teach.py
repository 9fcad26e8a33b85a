"""`precedent vlm teach`: a teacher writes the reasoning that led to each ruling, a reader checks that it does."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import BadInputError, CheckFailedError
from contracts.secrets import secret_in
from policy.commands.options import FILE, FOLDER
from policy.commands.progress import progress_of
from policy.commands.vlm.options import ASKING, with_options

if TYPE_CHECKING:
    from policy.reasoning.teaching.plan import Disagreements
    from policy.reasoning.teaching.rows import TeachingReport

TEACHER_KEY, READER_KEY = "PRECEDENT_TEACHER_KEY", "PRECEDENT_READER_KEY"


@click.command()
@click.option("--cases", "cases_path", type=FILE, required=True, help="JSONL of decided cases, or KuaiMod's.")
@click.option("--out", "folder", type=FOLDER, required=True, help="The run's folder; the same one goes on.")
@click.option("--out-cases", type=FILE, help="Write all cases again here, with their reasoning.")
@click.option("--teacher", "teacher_url", required=True, help="An OpenAI-compatible endpoint: http://HOST:PORT/v1.")
@click.option("--model", default="default", show_default=True, help="The teacher's name there.")
@click.option("--reader", "reader_url", help="The endpoint that derives the tag again [the teacher's].")
@click.option("--reader-model", help="The reader's name there [the teacher's].")
@click.option("--disagreements", type=click.Choice(["drop", "review"]), default="drop", show_default=True)
@click.option("--tries", type=click.IntRange(1, 20), default=3, show_default=True, help="Of each stage, a case.")
@click.option(
    "--names",
    type=click.Choice(["hidden", "shown"]),
    default="hidden",
    show_default=True,
    help="Of categories, to the reader.",
)
@with_options(ASKING)
@click.option("--patience", "patience_s", type=click.FloatRange(0.1, 36_000), help="Of a request in all [3 timeouts].")
@click.option("--temperature", type=click.FloatRange(0, 2), default=1.0, show_default=True)
@click.option("--frames", type=click.IntRange(1, 64), default=8, show_default=True, help="Shown of a video.")
@click.option("--frame-px", type=click.IntRange(16, 1_024), default=224, show_default=True)
@click.option("--chars", type=click.IntRange(2, 100_000), default=4_000, show_default=True, help="Shown of a text.")
@click.option(
    "--reader-price",
    "reader_prices",
    type=(click.FloatRange(0), click.FloatRange(0)),
    metavar="PROMPT COMPLETION",
    help="The reader's [as the teacher's].",
)
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where media may lie [the cases' folder].")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Decoding processes.")
def teach(
    cases_path: Path,
    folder: Path,
    out_cases: Path | None,
    teacher_url: str,
    model: str,
    reader_url: str | None,
    reader_model: str | None,
    disagreements: "Disagreements",
    tries: int,
    names: str,
    parallel: int,
    per_minute: float | None,
    timeout_s: float,
    patience_s: float | None,
    temperature: float,
    most_tokens: int,
    frames: int,
    frame_px: int,
    chars: int,
    budget_tokens: int | None,
    budget: float | None,
    prices: tuple[float, float],
    reader_prices: tuple[float, float] | None,
    roots: tuple[Path, ...],
    workers: int,
) -> None:
    """Have a teacher write the reasoning behind each ruling (Tag2CoT), and a reader derive the tag from it (CoT2Tag).

    What agrees is in OUT/reasonings.jsonl, what does not is dropped or in OUT/review.jsonl, what has no reasoning is in
    OUT/dropped.jsonl. The same command goes on after any interruption and pays for no answer again. Exit code 1: the
    budget is spent or an endpoint is away, and cases are left. PRECEDENT_TEACHER_KEY and PRECEDENT_READER_KEY are the
    endpoints' keys, if they ask for one.

    \b
    Example:
      precedent vlm teach --cases cases.jsonl --out taught --teacher http://127.0.0.1:8000/v1
      precedent vlm teach --cases cases.jsonl --out taught --teacher https://vlm.example/v1 --price 2.5 10 --budget 20
    """
    from policy.evidence import read_cases
    from policy.reasoning.endpoint import Endpoint
    from policy.reasoning.question import Budget
    from policy.reasoning.teaching.account import Limits, Price
    from policy.reasoning.teaching.pictures import looking
    from policy.reasoning.teaching.plan import TeachingSettings
    from policy.reasoning.teaching.teach import teach as teach_cases
    from serving.preprocess.media import PoolSettings

    patience = 3 * timeout_s if patience_s is None else patience_s
    teacher_key = secret_in(os.environ, TEACHER_KEY)
    reader_key = secret_in(os.environ, READER_KEY) or (teacher_key if reader_url in {None, teacher_url} else None)
    teacher = Endpoint(teacher_url, model, teacher_key, timeout_s, patience, most_tokens=most_tokens)
    reader = Endpoint(
        reader_url or teacher_url, reader_model or model, reader_key, timeout_s, patience, most_tokens=most_tokens
    )
    settings = TeachingSettings(
        tries=tries,
        parallel=parallel,
        per_minute=per_minute,
        temperature=temperature,
        budget=Budget(frames, chars),
        frame_px=frame_px,
        hide_names=names == "hidden",
        disagreements=disagreements,
        teacher_price=Price(*prices),
        reader_price=Price(*(reader_prices or prices)),
        limits=Limits(budget_tokens, budget),
    )
    if out_cases is not None and out_cases.resolve() == cases_path.resolve():
        raise BadInputError(f"--out-cases {out_cases}: is the file of --cases, must be another")
    cases = read_cases(cases_path)
    pool = PoolSettings(tuple(roots) or (cases_path.parent.resolve(),), workers, frames, frame_px)
    with looking(pool) as look, progress_of(len(cases), "teaching") as advance:
        report = teach_cases(
            cases,
            teacher,
            reader,
            folder,
            settings,
            look,
            out_cases=out_cases,
            advance=advance,
            warn=lambda line: click.echo(f"warning: {line}", err=True),
        )
    click.echo(_told(report))
    if report.stopped is not None:
        raise CheckFailedError(
            f"{folder}: {report.stopped}, {report.left} of {report.given} cases are left: the same command with more "
            "goes on"
        )


def _told(report: "TeachingReport") -> str:
    """The counts, a line each kind."""
    dropped = sum(report.dropped.values())
    lines = [
        f"{report.given} cases: {report.kept} kept ({report.first_try} at the first try), {report.review} for review, "
        f"{dropped} dropped, {report.already} had a reasoning, {report.left} left for later"
    ]
    for what, counted in (("dropped", report.dropped), ("unusable", report.unusable)):
        often_first = sorted(counted.items(), key=lambda one: -one[1])
        lines += [f"  {what} {times}: {why}" for why, times in often_first]
    lines += [
        f"{stage}: {spent.answers} answers, {spent.prompt_tokens} + {spent.completion_tokens} tokens"
        for stage, spent in report.spent.items()
    ]
    return "\n".join([*lines, f"cost {report.cost:.4f}"])
