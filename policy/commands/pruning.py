"""`precedent policy prune`: what nothing needs any more of a releases root is listed, or deleted."""

from datetime import UTC, datetime
from pathlib import Path

import click

from policy.commands.options import FOLDER, RELEASES, named_by


@click.command()
@RELEASES
@click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    default=30,
    show_default=True,
    help="For how long a move of the pointer keeps the casebooks that it names.",
)
@click.option("--snapshots", is_flag=True, help="Data snapshots too that no release of the root names.")
@click.option(
    "--keep",
    type=FOLDER,
    multiple=True,
    envvar="PRECEDENT_OLD",
    help="With --snapshots: one that stays though no release names it.  [env: PRECEDENT_OLD]",
)
@click.option("--apply", "applies", is_flag=True, help="Delete what is listed.")
@named_by("prunes")
def prune(releases: Path, days: int, snapshots: bool, keep: tuple[Path, ...], applies: bool, by: str | None) -> None:
    """List casebooks published between releases that nothing names any more; with --apply delete them.

    Kept is what a seat of the pointer, the release before it, a held publication or a move of the last days names, and
    what a person reviewed before it. A rollback that would need what was pruned says so.

    \b
    Example:
      precedent policy prune
      precedent policy prune --days 90 --snapshots --apply --by ann
    """
    from policy.publication.pruning import Keeping
    from policy.publication.pruning import prune as prune_root
    from serving.releases import ReleasesRoot

    found = prune_root(
        ReleasesRoot(releases),
        Keeping(days, snapshots, keep),
        now=datetime.now(UTC),
        apply=applies,
        pruned_by=by,
    )
    for one in found:
        click.echo(f"{one.kind} {one.path}  {one.size_bytes:,} bytes")
    done = "deleted" if applies else "would be deleted by --apply"
    click.echo(f"{len(found)} folders, {sum(one.size_bytes for one in found):,} bytes {done}")
