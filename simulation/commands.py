"""`precedent simulate`: a platform's uploads as files, or what its viewers do for weeks, from a seed."""

import importlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click

from contracts.errors import BadInputError
from contracts.taxonomy import VIOLATIVE

ARMS = "streams.feed.simulated:toxicity_aware"
"""What gives a plan its experiment, ranker and assigner: handed in by name, since this room knows neither."""


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
@click.option("--plain", is_flag=True, help="Only videos whose words and picture both say what they are.")
@click.option("--only", multiple=True, help="Of the violative ones this category alone; may be given again.")
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
    plain: bool,
    only: tuple[str, ...],
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
    named = {category.value: category for category in VIOLATIVE}
    if wrong := sorted(set(only) - named.keys()):
        raise BadInputError(f"--only {wrong[0]!r}, must be one of {', '.join(named)}")
    simulation = Simulation(
        n,
        seed,
        media=not no_media,
        size=size,
        as_cases=as_cases,
        plain=plain,
        only=tuple(named[one] for one in only),
    )
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        bar = progress.add_task("filming", total=n)
        write_uploads(
            out,
            simulation,
            workers=workers or len(os.sched_getaffinity(0)),
            on_filmed=lambda done: progress.advance(bar, done),
        )
    click.echo(f"{n} uploads in {out / 'uploads.jsonl'}")


@simulate.command("subtypes")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--n", type=click.IntRange(1, 1_000_000), required=True, help="How many videos.")
@click.option("--seed", type=click.IntRange(0), required=True, help="The same seed gives the same videos.")
@click.option("--good", type=click.FloatRange(0.0, 1.0), default=0.2, show_default=True, help="Share of no sub-type.")
@click.option("--no-media", is_flag=True, help="Words only: no clips, no media_url.")
def subtypes_command(out: Path, n: int, seed: int, good: float, no_media: bool) -> None:
    """Write videos of 40 planted sub-types of the categories, to grow a taxonomy and its instruction data on.

    As `uploads` writes them; truth.jsonl says the sub-type of each, and types.jsonl holds the 40.

    \b
    Example:
      precedent simulate subtypes --out planted --n 200 --seed 1
    """
    from rich.console import Console
    from rich.progress import Progress

    from simulation.subtypes.films import write_subtypes
    from simulation.subtypes.uploads import draw_subtypes

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        bar = progress.add_task("filming", total=n)
        videos = draw_subtypes(n, seed, good=good)
        write_subtypes(out, videos, media=not no_media, on_filmed=lambda done: progress.advance(bar, done))
    click.echo(f"{n} uploads in {out / 'uploads.jsonl'}")


@simulate.command("replay")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--rate", type=click.FloatRange(0.001), default=10.0, show_default=True, help="Uploads a second.")
@click.option("--start", type=click.DateTime(), help="When the first came, UTC (default: now).")
def replay_command(file: Path, out: Path, rate: float, start: datetime | None) -> None:
    """Write a KuaiMod FILE as uploads.jsonl, its labels apart in truth.jsonl.

    \b
    Example:
      precedent simulate replay public_cases.jsonl --out replayed
    """
    from simulation.replay import write_replay

    begin = start.replace(tzinfo=UTC) if start is not None else datetime.now(UTC)
    click.echo(f"{write_replay(file, out, begin, rate)} uploads in {out / 'uploads.jsonl'}")


@simulate.command("platform")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option("--users", type=click.IntRange(1), required=True, help="How many viewers.")
@click.option("--days", type=click.IntRange(2), default=28, show_default=True, help="The pre-period included.")
@click.option(
    "--pre-days", type=click.IntRange(0), default=14, show_default=True, help="Days before arms are in force."
)
@click.option("--seed", type=click.IntRange(0), required=True, help="The same seed gives the same days.")
@click.option("--begins", type=click.DateTime(["%Y-%m-%d"]), default="2026-03-02", show_default=True, help="First day.")
@click.option("--prevalence", type=float, help="Share of violative videos (settings: 0.10).")
@click.option("--recall", type=float, help="Share of them that the model finds (settings: 0.85).")
@click.option("--false-positive-rate", type=float, help="Share of the others that it calls violative (settings: 0.02).")
@click.option("--tolerance", type=float, help="Mean toxicity that viewers do not mind (settings: 0.45).")
@click.option("--no-interference", is_flag=True, help="Reports change no video: arms share nothing.")
@click.option("--form", type=click.Choice(["parquet", "jsonl"]), default="parquet", show_default=True)
@click.option("--arms", default=ARMS, show_default=True, help="MODULE:FUNCTION that gives the plan's arms.")
def platform_command(
    out: Path,
    users: int,
    days: int,
    pre_days: int,
    seed: int,
    begins: datetime,
    prevalence: float | None,
    recall: float | None,
    false_positive_rate: float | None,
    tolerance: float | None,
    no_interference: bool,
    form: Literal["parquet", "jsonl"],
    arms: str,
) -> None:
    """Let viewers live on a platform for DAYS with an experiment, and write what they did and what is true.

    Events go to OUT/events by topic, truth to OUT/truth: viewers, videos, and every user's sums in three worlds, the
    experiment, all in control, and all in treatment.

    \b
    Example:
      precedent simulate platform --out platform --users 5000 --days 28 --seed 1
      precedent simulate platform --out mild --users 5000 --seed 1 --prevalence 0.02 --form jsonl
    """
    from rich.console import Console
    from rich.progress import Progress

    from simulation.platform.day import Day
    from simulation.platform.days import live
    from simulation.platform.log.files import write_events, write_truth
    from simulation.platform.log.totals import Tally, sum_up
    from simulation.platform.population import Assigner, Plan, draw_population, everyone
    from simulation.platform.settings import with_changes

    plan = Plan(viewers=users, days=days, seed=seed, begins=begins.date(), starts_on=pre_days)
    settings = with_changes(
        prevalence=prevalence,
        recall=recall,
        false_positive_rate=false_positive_rate,
        tolerance=tolerance,
        interference=not no_interference,
    )
    given = _named(arms)(plan)
    population = draw_population(plan, settings)
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        bar = progress.add_task("living", total=3 * days)

        def world(assigner: Assigner) -> Iterator[Day]:
            for day in live(population, given.rank, assigner):
                yield day
                progress.advance(bar)

        tally = Tally(population)
        written = write_events(out, world(given.assign), population, given.experiment, form=form, observe=tally.add)
        worlds = {"experiment": tally.totals()}
        for place, variant in enumerate(given.experiment.variants):
            worlds[f"all {variant.name}"] = sum_up(world(everyone(place)), population)
        write_truth(out, population, worlds)
    click.echo(
        f"{users} users, {days} days: {written.sessions} sessions, {written.impressions} impressions, "
        f"{written.reports} reports, {written.exposures} exposures in {out / 'events'}"
    )


def _named(name: str) -> Any:
    """The function of MODULE:FUNCTION; raises `BadInputError` where there is none."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInputError(f"--arms {name!r}: {error}, must be MODULE:FUNCTION") from error
