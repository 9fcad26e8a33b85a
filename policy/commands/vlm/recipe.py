"""`precedent vlm recipe`: reasoned cases in, a VLM release out, stage by stage, each measured on held-out cases."""

from pathlib import Path

import click

from contracts.errors import CheckFailedError
from policy.commands.options import FILE, FOLDER
from policy.commands.progress import say
from policy.commands.vlm.options import TRAINING, trained_by, with_options


@click.command()
@click.option("--cases", "cases_path", type=FILE, required=True, help="JSONL of decided cases with reasonings.")
@click.option("--out", type=FOLDER, required=True, help="Checkpoints, runs and the page; the same folder goes on.")
@click.option("--start", type=FOLDER, help="A checkpoint to begin from [a tiny one, built for these cases].")
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where media may lie [beside the cases].")
@with_options(TRAINING)
def recipe(
    cases_path: Path,
    out: Path,
    start: Path | None,
    roots: tuple[Path, ...],
    settings: Path | None,
    judge: str | None,
    judge_model: str,
) -> None:
    """Fine-tune, prefer, reinforce: SFT, DPO on the model's own wrong answers, StableReinforce.

    Cases whose reasoning is not by states are left out and counted: `precedent vlm teach` writes them. OUT/recipe.html
    shows figures and curves. Exit code 1: a stage answers out of form.

    \b
    Example:
      precedent simulate uploads --out clips --n 4000 --seed 5 --as-cases --plain
      precedent vlm recipe --cases clips/cases.jsonl --out vlm
      precedent vlm recipe --cases cases.jsonl --out 7b --start QWEN2.5-VL-FOLDER --recipe deploy/vllm/qwen-7b.toml
    """
    from policy.casebook import Evidence
    from policy.evidence import read_cases
    from policy.reasoning.measured import table_of
    from policy.reasoning.recipe import run_recipe
    from policy.reasoning.recipe_settings import TINY
    from policy.reasoning.rows import ruling_rows
    from policy.reasoning.teaching.pictures import looking
    from serving.preprocess.media import MediaError, PoolSettings

    planned, asked = trained_by(settings, judge, judge_model, TINY)
    cases = read_cases(cases_path)
    allowed = tuple(root.resolve() for root in roots) or (cases_path.parent.resolve(),)
    with looking(PoolSettings(allowed, 2, planned.budget.frames, planned.frame_px)) as look:
        seen = look(cases)
    broken = [f"{case.case_id}: {one}" for case, one in zip(cases, seen, strict=True) if isinstance(one, MediaError)]
    if broken:
        say(f"left out {len(broken)} cases whose media cannot be decoded, the first: {broken[0]}")
    found = ruling_rows(
        (Evidence(case, one) for case, one in zip(cases, seen, strict=True) if not isinstance(one, MediaError)),
        planned.budget,
    )
    for rule, times in found.left_out.most_common():
        say(f"left out {times}: {rule}")
    made = run_recipe(found.rows, out, planned, start=start, judge=asked, tick=say)
    for row in table_of(made):
        click.echo(f"{row[0]:8}{row[1]:36}{row[2]:36}{row[3]:26}{row[4]}")
    click.echo(f"page     {out / 'recipe.html'}")
    if bad := [one.stage for one in made if one.evaluation.form.value < 1.0]:
        raise CheckFailedError(f"{', '.join(bad)}: form is below 1 on held-out cases, see {out / 'recipe.html'}")
