"""`precedent policy refresh`: the next release from what was ruled since, step by step or at once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from contracts.errors import BadInputError, CheckFailedError
from contracts.releases import GateResult, Seat
from policy.commands.options import FOLDER, RELEASES
from policy.commands.progress import say

if TYPE_CHECKING:
    from policy.docket.docket import Docket
    from policy.refresh.run import Step

STEPS = ("collect", "mine", "build", "train", "gate", "promote")


@click.command()
@click.option("--run", "home", type=FOLDER, required=True, help="The refresh's folder; the same one goes on.")
@click.option("--step", type=click.Choice(STEPS), help="This step alone [all of them].")
@click.option("--parent", type=FOLDER, help="The release to begin from [the live one].")
@click.option("--docket", type=FOLDER, envvar="PRECEDENT_DOCKET", default=Path(".state/docket"), show_default=True)
@click.option("--golden", type=click.Path(path_type=Path), help="JSONL of decided cases, or a data snapshot.")
@click.option("--traffic", type=click.Path(path_type=Path, dir_okay=False), help="JSONL of recent uploads.")
@click.option("--old", type=FOLDER, help="The parent's data snapshot, where it names none or lies elsewhere.")
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where golden media may lie.")
@click.option("--as", "seat", type=click.Choice(get_args(Seat)), default="shadow", show_default=True)
@click.option("--cases", "cases_at_most", type=click.IntRange(min=2), default=20_000, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), help="From the parent's weights [8].")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@RELEASES
def refresh(
    home: Path,
    step: "Step | None",
    parent: Path | None,
    docket: Path,
    golden: Path | None,
    traffic: Path | None,
    old: Path | None,
    roots: tuple[Path, ...],
    seat: Seat,
    cases_at_most: int,
    epochs: int | None,
    seed: int,
    releases: Path,
) -> None:
    """Collect rulings, mine, build, train, gate and promote; a step that is done is not done again.

    A run that was begun goes on with its own plan where --golden is left away. Exit code 1: the gate refused.

    \b
    Example:
      precedent policy refresh --run .state/refresh/tonight --golden golden.jsonl
      precedent policy refresh --run .state/refresh/tonight --step train
    """
    from policy.docket.docket import Docket
    from policy.gate.command import report
    from policy.gate.results import fallen_groups
    from policy.refresh.run import EPOCHS, Plan, RefreshRun
    from policy.refresh.whole import run_all, run_step, told
    from serving.releases import ReleasesRoot

    if golden is None:
        run = RefreshRun.resume(home)
    else:
        root = ReleasesRoot(releases)
        begun = (home / "run.json").exists()
        before = parent or (
            Path(RefreshRun.resume(home).plan.parent)
            if begun
            else root.release_path(root.read_pointer().live.release_version)
        )
        plan = Plan(
            releases=str(releases),
            parent=str(before),
            docket=str(docket),
            golden=str(golden),
            traffic=None if traffic is None else str(traffic),
            old=None if old is None else str(old),
            media_roots=tuple(map(str, roots)),
            seed=seed,
            cases_at_most=cases_at_most,
            epochs=epochs or EPOCHS,
            seat=seat,
        )
        run = RefreshRun.begin(home, plan)

    def open_docket() -> "Docket":
        if not (folder := Path(run.plan.docket)).is_dir():
            raise BadInputError(f"{folder}: is not a docket, there is no such folder")
        return Docket(folder)

    now = datetime.now(UTC)
    if step is None:
        run_all(run, open_docket, now=now, tick=say)
        return
    outcome = run_step(run, step, open_docket, now=now, tick=say)
    click.echo(told(step, outcome))
    if isinstance(outcome, GateResult):
        click.echo("\n".join([report(outcome), *fallen_groups(outcome)]))
    if isinstance(outcome, GateResult) and not outcome.passed:
        raise CheckFailedError(f"{run.candidate}: refused for {len(outcome.refusals)} reasons: {outcome.refusals[0]}")
