"""`precedent ab`: who is in which arm of a declared experiment."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click
from pydantic import TypeAdapter, ValidationError

from contracts.errors import BadInputError
from contracts.records import Id

DECLARED = Path("deploy/experiments.toml")
_AT_ONCE = 100_000

experiments_option = click.option(
    "--experiments",
    "declared",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="PRECEDENT_EXPERIMENTS",
    default=DECLARED,
    show_default=True,
    help="TOML file that declares them; PRECEDENT_EXPERIMENTS names another.",
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
