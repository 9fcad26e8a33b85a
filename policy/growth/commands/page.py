"""`precedent taxonomy page`: a page of the types and their samples, for a person to look at."""

from pathlib import Path

import click

from policy.commands.options import FILE, FOLDER


@click.command()
@click.argument("home", type=FOLDER, required=False)
@click.option("--taxonomy", "types", type=FOLDER, required=True, help="The folder of the types.")
@click.option("--out", type=FILE, required=True, help="The page, HTML.")
def page(home: Path | None, types: Path, out: Path) -> None:
    """Write a page of a taxonomy: a sunburst, what became of the pictures in HOME, some samples, all types.

    \b
    Example:
      precedent taxonomy page grown --taxonomy taxonomy --out taxonomy.html
    """
    from policy.growth.page.page import write_page

    write_page(types, home, out)
    click.echo(f"page in {out}")
