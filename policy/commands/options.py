"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from contracts.errors import BadInputError
from contracts.records import is_id

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
RELEASES = click.option(
    "--releases", type=FOLDER, envvar="PRECEDENT_RELEASES", default=Path(".state/releases"), show_default=True
)
TAXONOMY = click.option(
    "--taxonomy",
    type=FOLDER,
    envvar="PRECEDENT_TAXONOMY",
    default=Path(".state/taxonomy"),
    show_default=True,
    help="Where accepted leaves lie.",
)


def named_by(does: str) -> Callable[[F], F]:
    """Who moves the pointer or deletes, by a name that history may keep; `does` says what, for the help."""
    return click.option("--by", metavar="NAME", callback=_named, help=f"Who {does}, for the history.")


def _named(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    if name is not None and not is_id(name):
        raise BadInputError(f"--by {name!r}, must be 1 to 128 of letters, digits and _ . : -")
    return name
