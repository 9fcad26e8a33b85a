"""`precedent court`: the docket's HTTP API in the foreground, and the tokens of who may use it."""

import json
import logging
from pathlib import Path

import click

from policy.commands.acting import TOKENS_FILE, docket_options
from policy.commands.options import TAXONOMY
from policy.docket.principals import Role, Tokens

ROLE = click.Choice([role.value for role in Role])


@click.group(invoke_without_command=True)
@docket_options
@TAXONOMY
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Interface to listen on; plain HTTP, keep it on loopback."
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="0 takes a free one.")
@click.pass_context
def court(context: click.Context, folder: Path, tokens: Path | None, taxonomy: Path, host: str, port: int) -> None:
    """Serve the docket over HTTP: cases by priority, rulings, appeals, the audit. Each request carries a token.

    \b
    Example:
      precedent court issue ann --role reviewer
      precedent court --port 8090
      curl -H "Authorization: Bearer $PRECEDENT_TOKEN" http://127.0.0.1:8090/cases
    """
    path = tokens or folder / TOKENS_FILE
    if context.invoked_subcommand is not None:
        context.obj = Tokens(path)
        return
    from policy.docket.court.serve import serve
    from policy.docket.docket import Docket

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    docket = Docket(folder)
    try:
        serve(
            docket,
            Tokens(path),
            host=host,
            port=port,
            taxonomy=taxonomy,
            announce=lambda address: click.echo(json.dumps({"part": "court", "address": address})),
        )
    finally:
        docket.close()


@court.command()
@click.argument("name")
@click.option("--role", type=ROLE, required=True)
@click.pass_obj
def issue(tokens: Tokens, name: str, role: str) -> None:
    """Make a token for NAME and print it, this once: the file keeps its hash alone.

    \b
    Example:
      precedent court issue ann --role reviewer
    """
    click.echo(tokens.issue(name, Role(role)))


@court.command()
@click.argument("name")
@click.pass_obj
def revoke(tokens: Tokens, name: str) -> None:
    """Take back the token of NAME; what NAME ruled stays.

    \b
    Example:
      precedent court revoke ann
    """
    tokens.revoke(name)
    click.echo(f"{name} has no token any more")
