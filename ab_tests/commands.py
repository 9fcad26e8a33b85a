"""`precedent ab`: who is in which arm of a declared experiment, what it did, and how many users that takes."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import click
from pydantic import TypeAdapter, ValidationError

from contracts.errors import BadInputError, CheckFailedError
from contracts.records import Id

if TYPE_CHECKING:
    from ab_tests.results import Analysis
    from contracts.experiments import Experiment
    from warehouse.address import WarehouseAddress

DECLARED = Path("deploy/experiments.toml")
_AT_ONCE = 100_000

experiments_option = click.option(
    "--experiments",
    "declared",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="PRECEDENT_EXPERIMENTS",
    default=DECLARED,
    show_default=True,
    help="TOML or JSON file that declares them; PRECEDENT_EXPERIMENTS names another.",
)


@click.group()
def ab() -> None:
    """A/B tests: assign users to arms, analyse what happened, and plan how many users it takes.

    \b
    Example:
      precedent ab assign toxicity-ranking --users users.txt
    """


@ab.command()
@click.argument("experiment")
@click.option(
    "--users",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=Path("-"),
    help="File of user ids, one a line (default: standard input).",
)
@experiments_option
def assign(experiment: str, users: Path, declared: Path) -> None:
    """Print the arm of each user in EXPERIMENT as a JSON line; the variant is null outside of its buckets.

    The same user has the same arm for ever, and whether or not the experiment runs today. Counts go to standard
    error.

    \b
    Example:
      precedent ab assign toxicity-ranking --users users.txt
    """
    from rich.console import Console
    from rich.progress import Progress

    from ab_tests.assignment import assign as assign_users
    from ab_tests.experiments import find, read_experiments

    chosen = find(read_experiments(declared), experiment, place=str(declared))
    shown = [f'"{variant.name}"' for variant in chosen.variants] + ["null"]  # place -1 is the last
    counts: Counter[int] = Counter()
    with (
        nullcontext(sys.stdin.buffer) if users == Path("-") else _open(users) as stream,
        Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress,
    ):
        bar = progress.add_task("assigning", total=_size_of(stream))
        ids = _read_ids(stream, str(users))
        while some := list(islice(ids, _AT_ONCE)):
            places = assign_users(chosen, some).tolist()
            counts.update(places)
            lines = [
                f'{{"user_id": "{user_id}", "variant": {shown[place]}}}\n'
                for user_id, place in zip(some, places, strict=True)
            ]
            sys.stdout.write("".join(lines))
            progress.advance(bar, sum(map(len, some)) + len(some))
    told = [f"{variant.name} {counts[place]:,}" for place, variant in enumerate(chosen.variants)]
    click.echo(f"{experiment}: {', '.join(told)}, outside {counts[-1]:,}", err=True)


through_option = click.option(
    "--through",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Last day that counts (default: the experiment's last day, or yesterday when it still runs).",
)


@ab.command()
@click.argument("experiment")
@through_option
@click.option(
    "--correction",
    type=click.Choice(["fdr", "fwer"]),
    default="fdr",
    show_default=True,
    help="Adjust p-values by Benjamini-Hochberg (fdr) or by Holm (fwer).",
)
@click.option(
    "--planned-days",
    type=click.IntRange(1),
    help="How many days were planned at the start, where ends_on was moved since.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON document.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as one HTML page.")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as Markdown.")
@experiments_option
def analyse(
    experiment: str,
    through: datetime | None,
    correction: Literal["fdr", "fwer"],
    planned_days: int | None,
    as_json: bool,
    html: Path | None,
    markdown: Path | None,
    declared: Path,
) -> None:
    """Say whether users of EXPERIMENT were better off, from the warehouse of PRECEDENT_WAREHOUSE.

    The verdict may be asked for on every day: its bands allow for that. Nothing is said of data that fail a check
    (sample ratio, empty arms, users in several arms): one line says why, a report shows what is known all the same,
    and the exit code is 1.

    \b
    Example:
      precedent ab analyse toxicity-ranking --through 2026-11-15 --html report.html
    """
    from ab_tests.population import BlockedError
    from ab_tests.report.reading import Blocked
    from ab_tests.running import write_pages

    chosen = _declared_experiment(experiment, declared)
    day = _last_day(chosen, through)
    try:
        analysis = _analyse(chosen, day, correction=correction, planned_days=planned_days)
    except BlockedError as blocked:
        known = Blocked(chosen, day, str(blocked), blocked.sample_ratio, blocked.population)
        write_pages(known, html=html, markdown=markdown)
        raise
    write_pages(analysis, html=html, markdown=markdown)
    if as_json:
        import orjson

        options = orjson.OPT_INDENT_2
        click.echo(orjson.dumps(analysis, default=lambda record: record.model_dump(mode="json"), option=options))
        return
    from ab_tests.verdict import lines_of

    for line in lines_of(analysis):
        click.echo(line)


@ab.command()
@click.argument("names", metavar="[EXPERIMENT]...", nargs=-1)
@click.option("--through", type=click.DateTime(["%Y-%m-%d"]), help="Last day that counts (default: yesterday).")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path(".state/reports"), show_default=True
)
@experiments_option
def report(names: tuple[str, ...], through: datetime | None, out: Path, declared: Path) -> None:
    """Write OUT/DAY/EXPERIMENT.html and .md of each EXPERIMENT, of all that run on the day where none is named.

    An experiment whose data fail a check gets pages that say so, after all others were written the exit code is 1.

    \b
    Example:
      precedent ab report --through 2026-11-15 --out reports
    """
    from ab_tests.experiments import find, read_experiments
    from ab_tests.running import report as write_report

    day = through.date() if through else datetime.now(UTC).date() - timedelta(days=1)
    known = read_experiments(declared)
    chosen = [find(known, name, place=str(declared)) for name in names] or known.running_on(day)
    reported = [write_report(_warehouse(), experiment, out, through=day) for experiment in chosen]
    for one in reported:
        click.echo(f"{one.html}{' (blocked)' if one.blocked else ''}")
    if not reported:
        click.echo(f"no experiment runs on {day}")
    if blocked := [one.blocked for one in reported if one.blocked]:
        raise CheckFailedError("; ".join(blocked))


@ab.command()
@click.argument("experiment")
@through_option
@click.option("--effect", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Relative effect to find.")
@experiments_option
def power(experiment: str, through: datetime | None, effect: float | None, declared: Path) -> None:
    """Say what EXPERIMENT's users so far can show, and how many more days a smaller effect takes.

    The effect is the experiment's smallest_effect unless --effect gives another. Variance and growth are those
    observed in the warehouse of PRECEDENT_WAREHOUSE. Before the experiment begins, or with --through a day before it,
    it is planned: users and days are told from what users did on the last pre_period_days.

    \b
    Example:
      precedent ab power toxicity-ranking --effect 0.02
      precedent ab power toxicity-ranking --through 2026-11-01
    """
    from ab_tests.planning import past_lines, past_reader, plan
    from ab_tests.verdict import power_lines

    chosen = _declared_experiment(experiment, declared)
    if effect is not None:
        chosen = chosen.model_copy(update={"smallest_effect": effect})
    day = _last_day(chosen, through)
    if day >= chosen.starts_on:
        lines = power_lines(_analyse(chosen, day))
    else:
        lines = past_lines(plan(chosen, past_reader(_warehouse(), chosen, through=day), through=day))
    for line in lines:
        click.echo(line)


def _declared_experiment(name: str, declared: Path) -> "Experiment":
    from ab_tests.experiments import find, read_experiments

    return find(read_experiments(declared), name, place=str(declared))


def _last_day(experiment: "Experiment", through: datetime | None) -> date:
    """The day asked for; else the experiment's last one, or yesterday while it runs."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    return through.date() if through else min(experiment.ends_on, yesterday)


def _analyse(
    experiment: "Experiment",
    through: date,
    *,
    correction: Literal["fdr", "fwer"] = "fdr",
    planned_days: int | None = None,
) -> "Analysis":
    """Analyse an experiment on the warehouse, with a bar for the tables that are built."""
    from rich.console import Console
    from rich.progress import Progress

    from ab_tests.analysis import reads_of
    from ab_tests.running import analyse_stored

    address = _warehouse()
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        bar = progress.add_task("reading", total=reads_of(experiment, through))
        return analyse_stored(
            address,
            experiment,
            through=through,
            correction=correction,
            planned_days=planned_days,
            tick=lambda: progress.advance(bar),
        )


def _warehouse() -> "WarehouseAddress":
    from warehouse.address import address_in

    return address_in(os.environ)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror}") from error


def _size_of(stream: BinaryIO) -> int | None:
    """Bytes to read, None where nobody knows: a pipe."""
    return os.fstat(stream.fileno()).st_size or None


def _read_ids(stream: BinaryIO, place: str) -> Iterator[str]:
    """The user ids of a file; raises `BadInputError` with file and line for what is none."""
    check = TypeAdapter(Id).validator.validate_python
    for number, line in enumerate(stream, start=1):
        user_id = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        try:
            yield check(user_id)
        except ValidationError as error:
            shown = user_id if len(user_id) <= 80 else f"{user_id[:77]}..."
            rule = "must be 1 to 128 of ASCII letters, digits and _ . : -"
            raise BadInputError(f"{place}:{number}: user_id == {shown!r}, {rule}") from error
