"""`precedent features rebuild`: the warehouse's verdicts in, an online store that came up empty written anew out."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from features.config import FeaturesConfig

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@click.command()
@click.option("--since", type=click.DateTime(), default=None, help="UTC; older versions of videos are left out [all]")
@click.option("--resume", is_flag=True, help="go on where the last rebuilding was interrupted")
@click.option(
    "--mark",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".state/features/rebuild.json"),
    show_default=True,
    help="file that says how far it got, while it is not done",
)
@click.option(
    "--histories/--no-histories", default=True, show_default=True, help="count authors and viewers anew as well"
)
def rebuild(since: datetime | None, mark: Path, *, resume: bool, histories: bool) -> None:
    """Write the online store anew from the warehouse's verdicts, after it came up empty or lost some.

    The newest hours come first. No feature replaces a newer one, so workers may go on meanwhile, and it may be done
    again. PRECEDENT_WAREHOUSE, _ONLINE_STORE and _FEATURES_WRITER say where things are.

    \b
    Example:
      precedent features rebuild --since 2026-11-01
    """
    from rich.console import Console
    from rich.progress import Progress

    from contracts.errors import DependencyError
    from features.histories import materialise
    from features.rebuild import Mark
    from features.rebuild import rebuild as write_anew
    from features.writer import open_writer
    from streams.clerk.archive import Archive
    from warehouse.address import address_in
    from warehouse.histories import CountedPast

    archive = Archive(address_in(os.environ))
    config = FeaturesConfig.from_environment(os.environ)
    now = datetime.now(UTC)
    earliest = since.replace(tzinfo=UTC) if since else EARLIEST
    begun = Mark.read(mark, store=config.shown_online) if resume else Mark(config.shown_online, earliest, now)

    async def run() -> Mark:
        writer = open_writer(config)
        try:
            with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
                task = bar.add_task("verdicts", total=None)
                return await write_anew(
                    archive, writer, begun, mark, done=lambda rows, all_: bar.update(task, completed=rows, total=all_)
                )
        finally:
            await writer.close()

    try:
        finished = asyncio.run(run())
    except DependencyError as error:
        raise DependencyError(f"{error}; what is written stays, `--resume` goes on ({mark})") from error
    counted = {}
    if histories:
        done = asyncio.run(materialise(CountedPast(archive.client), config, as_of=now, now=now))
        counted = {name: written._asdict() for name, written in done._asdict().items()}
    click.echo(json.dumps({"store": config.shown_online, "videos": finished.written._asdict(), **counted}))
