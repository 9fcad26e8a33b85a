"""`precedent policy promote | gate | rollback | history`: which release serves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import CheckFailedError
from policy.commands.options import FILE, FOLDER, RELEASES

if TYPE_CHECKING:
    from contracts.releases import Seat


@click.command()
@click.argument("release", type=FOLDER)
@RELEASES
@click.option(
    "--as",
    "seat",
    type=click.Choice(["live", "canary", "shadow"]),
    default="live",
    show_default=True,
    help="Canary or shadow: judges beside the live release, whose decisions stay in force.",
)
def promote(release: Path, releases: Path, seat: "Seat") -> None:
    """Make RELEASE live, or a candidate: verify its digests, admit it, move the pointer that workers follow.

    \b
    Example:
      precedent policy promote release-1
      precedent policy promote release-2 --as canary
    """
    from policy.releases import promote as move_pointer
    from serving.releases import ReleasesRoot

    pointer = move_pointer(ReleasesRoot(releases), release, now=datetime.now(UTC), seat=seat)
    click.echo(pointer.model_dump_json())


@click.command()
@click.option("--candidate", type=FOLDER, required=True, help="The release that wants to follow the parent.")
@click.option("--parent", type=FOLDER, required=True, help="The release that it is compared with.")
@click.option("--golden", type=FILE, required=True, help="JSONL of decided cases that taught neither.")
@click.option("--traffic", type=FILE, help="JSONL of recent uploads, whose decisions are compared.")
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where media may lie [the files' folders].")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@RELEASES
def gate(
    candidate: Path,
    parent: Path,
    golden: Path,
    traffic: Path | None,
    roots: tuple[Path, ...],
    as_json: bool,
    releases: Path,
) -> None:
    """Say whether CANDIDATE may follow PARENT: refused with every reason (exit code 1), or passed.

    \b
    Example:
      precedent policy gate --candidate release-2 --parent release-1 --golden golden.jsonl --traffic uploads.jsonl
    """
    from policy.gate.command import gate_files, report
    from policy.releases import write_gate_result
    from serving.releases import ReleasesRoot

    allowed = roots or tuple(sorted({file.resolve().parent for file in (golden, traffic) if file is not None}))
    result = gate_files(candidate, parent, golden, traffic, roots=allowed, now=datetime.now(UTC))
    write_gate_result(ReleasesRoot(releases), result)
    click.echo(result.model_dump_json(indent=2) if as_json else report(result))
    if not result.passed:
        raise CheckFailedError(f"{candidate}: refused for {len(result.refusals)} reasons, first: {result.refusals[0]}")


@click.command()
@RELEASES
def rollback(releases: Path) -> None:
    """Make the release before the live one live again, at once; workers follow without a restart.

    \b
    Example:
      precedent policy rollback
    """
    from policy.releases import rollback as move_back
    from serving.releases import ReleasesRoot

    root = ReleasesRoot(releases)
    left = root.read_pointer().live
    pointer = move_back(root, now=datetime.now(UTC))
    live, earlier = pointer.live, pointer.previous
    click.echo(
        f"rolled back from release {left.release_version} (casebook {left.casebook_version}) to release "
        f"{live.release_version} (casebook {live.casebook_version}); before it: "
        f"{'nothing' if earlier is None else f'release {earlier.release_version}'}"
    )


@click.command()
@RELEASES
def history(releases: Path) -> None:
    """List the releases, what the gate said of them, and every move of the pointer, oldest first.

    \b
    Example:
      precedent policy history
    """
    from policy.releases import history_lines
    from serving.releases import ReleasesRoot

    for line in history_lines(ReleasesRoot(releases)):
        click.echo(line)


RELEASE_COMMANDS: tuple[click.Command, ...] = (promote, gate, rollback, history)
