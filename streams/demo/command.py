"""`precedent demo`: run the loop with its progress on stderr, print the summary and the page's path."""

import os
import signal
import sys
import warnings
from pathlib import Path

import click

from contracts.errors import BadInputError


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path(".state/demo"), show_default=True)
@click.option(
    "--train", "n_train", type=click.IntRange(100), default=700, show_default=True, help="Videos to learn from."
)
@click.option("--uploads", type=click.IntRange(10), default=300, show_default=True, help="Videos to moderate.")
@click.option("--rate", type=click.FloatRange(1), default=40.0, show_default=True, help="Uploads a second.")
@click.option(
    "--viewers", type=click.IntRange(0), default=5_000, show_default=True, help="Of the experiment; 0: without one."
)
@click.option("--days", type=click.IntRange(7), default=14, show_default=True, help="Of the experiment.")
@click.option("--vlm", type=click.Path(path_type=Path, file_okay=False), help="A checkpoint that rules too.")
@click.option("--golden", type=click.IntRange(100), default=6_000, show_default=True, help="Of the trend's gate.")
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True)
@click.option("--trend/--no-trend", default=True, show_default=True, help="A trend comes up that nobody was taught.")
def demo(
    out: Path,
    n_train: int,
    uploads: int,
    rate: float,
    viewers: int,
    days: int,
    vlm: Path | None,
    golden: int,
    seed: int,
    *,
    trend: bool,
) -> None:
    """Run the whole loop on the embedded parts: film, train, serve, moderate, rank, a trend, experiment, report.

    \b
    Example:
      precedent demo --uploads 100
      precedent demo --vlm .state/vlm/tiny/rl
    """
    if vlm is not None and not (vlm / "config.json").is_file():
        raise BadInputError(f"--vlm {vlm}: holds no config.json, must be a checkpoint folder")
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from streams.stack import ONE_THREAD

    os.environ.update(ONE_THREAD)  # before NumPy is loaded: the demo shares the cores with its parts
    from streams.demo.run import DemoPlan, Steps, run_demo
    from streams.demo.summary import as_text

    warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: the parts end first
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:

        def begin(name: str, total: int | None) -> None:
            if bar.tasks:
                done = bar.tasks[-1]
                bar.update(done.id, total=done.total or 1, completed=done.total or 1)
                bar.stop_task(done.id)
            bar.add_task(name, total=total)
            if not console.is_terminal:
                click.echo(f"... {name}", err=True)

        plan = DemoPlan(
            n_train, uploads, rate, viewers=viewers, days=days, golden=golden, trend=trend, vlm=vlm, seed=seed
        )
        steps = Steps(begin, lambda n: bar.advance(bar.tasks[-1].id, n))
        summary, page = run_demo(out.absolute(), plan, steps)
    click.echo(as_text(summary))
    click.echo(f"\nreport       {os.path.relpath(page)}")
    if summary.experiment:
        click.echo(f"             {os.path.relpath(summary.experiment.page)}")
