"""Options that several commands share."""

from pathlib import Path

import click

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
RELEASES = click.option(
    "--releases", type=FOLDER, envvar="PRECEDENT_RELEASES", default=Path(".state/releases"), show_default=True
)
