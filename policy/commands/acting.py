"""The docket and who acts on it: options and the check of PRECEDENT_TOKEN that several commands share."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from contracts.errors import BadInputError
from contracts.secrets import secret_in
from policy.commands.options import FILE, FOLDER

if TYPE_CHECKING:
    from policy.docket.docket import Docket
    from policy.docket.principals import Action, Principal

F = TypeVar("F", bound=Callable[..., None])
TOKENS_FILE = "tokens.json"
TOKEN_VARIABLE = "PRECEDENT_TOKEN"


def docket_options(command: F) -> F:
    """The docket's folder, and the file of who may act on it."""
    place = click.option(
        "--docket", "folder", type=FOLDER, envvar="PRECEDENT_DOCKET", default=Path(".state/docket"), show_default=True
    )
    tokens = click.option("--tokens", type=FILE, envvar="PRECEDENT_TOKENS", help="Who may act [DOCKET/tokens.json].")
    return place(tokens(command))


@contextmanager
def acting(folder: Path, tokens: Path | None, action: "Action") -> Iterator[tuple["Docket", "Principal"]]:
    """The docket and who acts, by PRECEDENT_TOKEN; raises `NotAllowedError` where they may not do this."""
    from policy.docket.docket import Docket
    from policy.docket.principals import Tokens
    from policy.docket.register.store import FILE as DATABASE

    path = tokens or folder / TOKENS_FILE
    token = secret_in(os.environ, TOKEN_VARIABLE) or ""
    if not token and path.exists():
        raise BadInputError(f"{TOKEN_VARIABLE} is not set, must be a token that `precedent court issue` printed")
    principal = Tokens(path).who(token)
    principal.require(action)
    if not (folder / DATABASE).exists():
        raise BadInputError(f"{folder}: has no {DATABASE}, must be a docket that the clerk or the court opened")
    docket = Docket(folder)
    try:
        yield docket, principal
    finally:
        docket.close()
