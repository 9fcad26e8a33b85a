"""`precedent vlm refine | deploy | rollback`: the next VLM from a night's rulings, by its gate, into its seat."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click

from contracts.errors import CheckFailedError
from policy.commands.options import FOLDER
from policy.commands.progress import say
from policy.commands.vlm.options import TRAINING, trained_by, with_options

ROOT = click.option(
    "--vlm",
    "root",
    type=FOLDER,
    envvar="PRECEDENT_VLM",
    default=Path(".state/vlm-root"),
    show_default=True,
    help="The folder that says which VLM rules.",
)
Step = Literal["refine", "gate", "promote"]


@click.command()
@click.option("--run", "home", type=FOLDER, required=True, help="The refresh's folder, of which `collect` is done.")
@ROOT
@click.option("--step", type=click.Choice(("refine", "gate", "promote")), help="This step alone [all of them].")
@with_options(TRAINING)
def refine(
    home: Path, root: Path, step: Step | None, settings: Path | None, judge: str | None, judge_model: str
) -> None:
    """Post-train the deployed VLM on what it gets wrong of a night's rulings, older cases replayed.

    Rulings without a reasoning by states are learned from by RL alone; `precedent vlm teach` writes such reasonings.
    The gate compares both VLMs on the refresh's golden cases and on what was got wrong. Exit code 1: it refused.

    \b
    Example:
      precedent policy refresh --run .state/refresh/tonight --golden golden.jsonl --step collect
      precedent vlm refine --run .state/refresh/tonight
    """
    from policy.reasoning.recipe_settings import REFINE_TINY
    from policy.reasoning.refinement.nightly import VlmNight, gate_tonight, promote_tonight, refine_tonight
    from policy.reasoning.refinement.seat import checkpoint_of
    from policy.refresh.run import RefreshRun

    planned, asked = trained_by(settings, judge, judge_model, REFINE_TINY)
    night, now = VlmNight(RefreshRun.resume(home), root, planned), datetime.now(UTC)
    if step in {None, "refine"}:
        refined = refine_tonight(night, judge=asked, tick=say)
        if refined is None:
            click.echo(f"refine: no VLM is deployed in {root}")
            return
        click.echo(
            f"refine: {len(refined.wrong)} of {refined.asked} not answered rightly every time, "
            f"{refined.candidate or refined.reason}"
        )
        if refined.candidate is None:
            return
    if step in {None, "gate"}:
        result = gate_tonight(night, now=now)
        for name, value in result.figures.items():
            click.echo(f"gate: {name:28} {value:.4f}")
        if not result.passed:
            raise CheckFailedError(f"refused for {len(result.refusals)} reasons: {'; '.join(result.refusals)}")
    if step in {None, "promote"}:
        seat = promote_tonight(night, now=now)
        click.echo(f"promote: {checkpoint_of(root, seat.weights)} rules, before it {seat.before}")


@click.command()
@click.argument("checkpoint", type=FOLDER)
@ROOT
def deploy(checkpoint: Path, root: Path) -> None:
    """Give a first VLM the seat; a later one takes it by `precedent vlm refine`, through the gate.

    \b
    Example:
      precedent vlm deploy vlm/rl
      precedent judge --port 8000
    """
    from policy.reasoning.models.checkpoint import check_folder, read_record
    from policy.reasoning.refinement.seat import checkpoint_of, take_seat

    check_folder(checkpoint, read_record(checkpoint))
    seat = take_seat(root, checkpoint, None, now=datetime.now(UTC))
    click.echo(f"{checkpoint_of(root, seat.weights)} rules since {seat.moved_at:%Y-%m-%d %H:%M}")


@click.command()
@ROOT
def rollback(root: Path) -> None:
    """Give the seat back to the VLM that ruled before.

    \b
    Example:
      precedent vlm rollback
    """
    from policy.reasoning.refinement.seat import checkpoint_of, roll_back

    seat = roll_back(root, now=datetime.now(UTC))
    click.echo(f"{checkpoint_of(root, seat.weights)} rules again")
