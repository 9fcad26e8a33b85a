"""`precedent case backup`: a whole copy of a docket that is in use."""

import json
from pathlib import Path

import click

from policy.commands.options import FOLDER


@click.command()
@click.argument("to", type=FOLDER)
@click.option(
    "--docket", "folder", type=FOLDER, envvar="PRECEDENT_DOCKET", default=Path(".state/docket"), show_default=True
)
def backup(to: Path, folder: Path) -> None:
    """Copy the docket to the new folder TO while clerk and court go on, and check the copy by its audit.

    It takes no token: who can read the folder can copy it. The copy holds what the docket holds, words of uploaders and
    hashes of tokens included. To restore, stop clerk and court, and put the copy in the docket's place.

    \b
    Example:
      precedent case backup backups/docket-2026-11-01
    """
    from policy.docket.backup import back_up

    done = back_up(folder, to)
    click.echo(json.dumps({"backup": str(to), **done._asdict()}))
