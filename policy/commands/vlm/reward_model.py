"""`precedent vlm pairs | teach-pairs | reward-model`: a judge of reasonings, from pairs to a checkpoint that votes."""

import os
from pathlib import Path

import click

from contracts.errors import CheckFailedError
from contracts.secrets import secret_in
from policy.commands.options import FILE, FOLDER
from policy.commands.progress import progress_of, say
from policy.commands.vlm.options import ASKING, TRAINING, trained_by, with_options
from policy.commands.vlm.teach import TEACHER_KEY


@click.command()
@click.option("--cases", "cases_path", type=FILE, required=True, help="JSONL of cases that are reasoned by states.")
@click.option("--out", type=FOLDER, required=True, help="A new folder: pairs.jsonl and the frames it names.")
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where media may lie [beside the cases].")
@click.option("--frames", type=click.IntRange(1, 8), default=8, show_default=True, help="Shown of a video.")
@click.option("--frame-px", type=click.IntRange(16, 1_024), default=224, show_default=True)
@click.option("--chars", type=click.IntRange(2, 100_000), default=4_000, show_default=True, help="Shown of a text.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws the wrong reasonings.")
def pairs(
    cases_path: Path, out: Path, roots: tuple[Path, ...], frames: int, frame_px: int, chars: int, seed: int
) -> None:
    """Write preference pairs: beside each case's reasoning one that is right of another video.

    \b
    Example:
      precedent vlm pairs --cases reasoned.jsonl --out pairs
    """
    from policy.casebook import Evidence
    from policy.evidence import read_cases
    from policy.reasoning.question import Budget
    from policy.reasoning.reward_model import write_pairs
    from policy.reasoning.teaching.pictures import looking
    from serving.preprocess.media import MediaError, PoolSettings

    cases = read_cases(cases_path)
    allowed = tuple(root.resolve() for root in roots) or (cases_path.parent.resolve(),)
    with looking(PoolSettings(allowed, 2, frames, frame_px)) as look:
        seen = look(cases)
    evidence = [Evidence(case, one) for case, one in zip(cases, seen, strict=True) if not isinstance(one, MediaError)]
    written = write_pairs(evidence, out, Budget(frames, chars), seed=seed)
    unreasoned = len(evidence) - written
    click.echo(
        f"{written} pairs of {len(cases)} cases in {out}; left out: {len(cases) - len(evidence)} could not be decoded, "
        f"{unreasoned} are not reasoned by states"
    )


@click.command(name="teach-pairs")
@click.option("--pairs", "pairs_path", type=FILE, required=True, help="JSONL: id, prompt, chosen, rejected, image.")
@click.option("--out", "folder", type=FOLDER, required=True, help="The run's folder; the same one goes on.")
@click.option("--teacher", required=True, help="An OpenAI-compatible endpoint: http://HOST:PORT/v1.")
@click.option("--model", default="default", show_default=True, help="The teacher's name there.")
@click.option("--images", type=FOLDER, help="Where pictures lie; without it the teacher is told that there is none.")
@click.option("--tries", type=click.IntRange(1, 20), default=3, show_default=True, help="Of each pair in each order.")
@with_options(ASKING)
def teach_pairs(
    pairs_path: Path,
    folder: Path,
    teacher: str,
    model: str,
    images: Path | None,
    tries: int,
    parallel: int,
    per_minute: float | None,
    timeout_s: float,
    most_tokens: int,
    budget_tokens: int | None,
    budget: float | None,
    prices: tuple[float, float],
) -> None:
    """Have a teacher judge each pair in both orders, until it is right or its tries end; how hard each was is kept.

    The same command goes on after any interruption and pays for no answer again. Exit code 1: the budget is spent and
    questions are left. PRECEDENT_TEACHER_KEY is the endpoint's key, if it asks for one.

    \b
    Example:
      precedent vlm teach-pairs --pairs pairs/pairs.jsonl --images pairs --out judged --teacher http://127.0.0.1:8000/v1
    """
    from policy.benchmark.reward import Asking, read_pairs
    from policy.reasoning.endpoint import Endpoint
    from policy.reasoning.teaching.account import Limits, Price
    from policy.reasoning.teaching.judgements import judge_pairs
    from policy.reasoning.teaching.plan import TeachingSettings

    rows = read_pairs(pairs_path, Asking(images=images))
    key = secret_in(os.environ, TEACHER_KEY)
    endpoint = Endpoint(teacher, model, key, timeout_s, 3 * timeout_s, most_tokens=most_tokens)
    settings = TeachingSettings(
        tries=tries,
        parallel=parallel,
        per_minute=per_minute,
        teacher_price=Price(*prices),
        limits=Limits(budget_tokens, budget),
    )
    with progress_of(2 * len(rows), "judging pairs") as advance:
        report = judge_pairs(
            pairs_path,
            rows,
            endpoint,
            folder,
            settings,
            images=images,
            advance=advance,
            warn=lambda line: click.echo(f"warning: {line}", err=True),
        )
    refused = sum(report.refused.values())
    click.echo(
        f"{report.asked} questions: {report.easy} right at once, {report.hard} at a later try, {report.failed} never, "
        f"{refused} refused, {report.left} left for later"
    )
    for why, times in report.refused.items():
        click.echo(f"  refused {times}: {why}")
    spent = report.spent
    click.echo(
        f"{spent.answers} answers, {spent.prompt_tokens} + {spent.completion_tokens} tokens, cost {report.cost:.4f}"
    )
    if report.stopped is not None:
        raise CheckFailedError(f"{folder}: {report.stopped}, {report.left} of {report.asked} questions are left")


@click.command(name="reward-model")
@click.option("--pairs", "pairs_path", type=FILE, required=True, help="JSONL: id, prompt, chosen, rejected, image.")
@click.option("--judgements", type=FOLDER, required=True, help="The folder of `precedent vlm teach-pairs`.")
@click.option("--out", type=FOLDER, required=True, help="Checkpoints, runs and the page; the same folder goes on.")
@click.option("--images", type=FOLDER, help="Where pictures lie.")
@click.option("--start", type=FOLDER, help="A checkpoint to begin from [a tiny one, built for these pairs].")
@with_options(TRAINING)
def reward_model(
    pairs_path: Path,
    judgements: Path,
    out: Path,
    images: Path | None,
    start: Path | None,
    settings: Path | None,
    judge: str | None,
    judge_model: str,
) -> None:
    """Train a judge of pairs: SFT on what the teacher judged rightly, StableReinforce on what was hard for it.

    \b
    Example:
      precedent vlm reward-model --pairs pairs/pairs.jsonl --images pairs --judgements judged --out reward
      precedent judge --checkpoint reward/rl --port 8000
      precedent benchmark reward --pairs held.jsonl --judge http://127.0.0.1:8000/v1 --votes 15
    """
    from policy.benchmark.reward import Asking, read_pairs
    from policy.reasoning.measured import table_of
    from policy.reasoning.recipe_settings import TINY
    from policy.reasoning.reward_model import make_reward_model
    from policy.reasoning.teaching.judgements import read_judgements

    planned, asked = trained_by(settings, judge, judge_model, TINY)
    known = read_judgements(judgements, pairs_path, pictures=images is not None)
    rows = read_pairs(pairs_path, Asking(images=images))
    made = make_reward_model(rows, known, out, planned, images=images, start=start, judge=asked, tick=say)
    for row in table_of(made):
        click.echo(f"{row[0]:8}{row[1]:36}{row[2]:36}{row[3]:26}{row[4]}")
    click.echo(f"page     {out / 'recipe.html'}")
