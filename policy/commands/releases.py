"""`precedent policy promote | watch | gate | rollback | history`: which release serves."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import BadInputError, CheckFailedError
from policy.commands.options import FILE, FOLDER, RELEASES, named_by

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
@click.option(
    "--share",
    type=click.FloatRange(0.0, 1.0),
    default=0.0,
    show_default=True,
    help="With --as canary: the share of the videos of which it decides.",
)
@click.option("--without-gate", metavar="REASON", help="Promote what the gate did not let pass; history keeps why.")
@named_by("promotes")
def promote(
    release: Path, releases: Path, seat: "Seat", share: float, without_gate: str | None, by: str | None
) -> None:
    """Make RELEASE live, or a candidate: verify its digests, ask the gate, admit it, move the pointer.

    Canary and live need a gate that RELEASE passed against the live release; the first release of a root needs none.

    \b
    Example:
      precedent policy promote release-1
      precedent policy promote release-2 --as canary --share 0.05
    """
    from policy.releases import promote as move_pointer
    from serving.releases import ReleasesRoot

    root = ReleasesRoot(releases)
    pointer = move_pointer(
        root,
        release,
        now=datetime.now(UTC),
        seat=seat,
        share=share,
        without_gate=without_gate,
        moved_by=by,
    )
    click.echo(pointer.model_dump_json())


@click.command()
@RELEASES
@click.option("--advance", "go_on", is_flag=True, help="Give a candidate that showed enough its next seat.")
@named_by("watches")
def watch(releases: Path, go_on: bool, by: str | None) -> None:
    """Look once at the candidate: halt it where a line is crossed (exit code 1), say what it lacks to go on.

    Figures are read from the warehouse at PRECEDENT_WAREHOUSE.

    \b
    Example:
      precedent policy watch
      precedent policy watch --advance
    """
    from policy.rollout.from_warehouse import figures_from
    from policy.rollout.watch import WATCH
    from policy.rollout.watch import watch as look_once
    from serving.releases import ReleasesRoot
    from warehouse.address import address_in, connect

    figures_of = figures_from(connect(address_in(os.environ)))
    look = look_once(ReleasesRoot(releases), figures_of, now=datetime.now(UTC), go_on=go_on, moved_by=by or WATCH)
    if look.candidate is None:
        click.echo(look.assessment.reason)
        return
    name = f"{look.seat} release {look.candidate.release_version}"
    if look.assessment.outcome == "halt":
        raise CheckFailedError(f"{name} is halted: {look.assessment.reason}")
    if look.moved is None:
        click.echo(f"{name}: {look.assessment.outcome}: {look.assessment.reason}")
        return
    next_seat = "live" if look.seat == "canary" else f"canary of {look.moved.canary_share:.1%} of the videos"
    click.echo(f"{name} is now {next_seat}: {look.assessment.reason}")


@click.command()
@click.option("--candidate", type=FOLDER, required=True, help="The release that wants to follow the parent.")
@click.option("--parent", type=FOLDER, required=True, help="The release that it is compared with.")
@click.option("--golden", type=FILE, required=True, help="JSONL of decided cases that taught neither.")
@click.option("--traffic", type=FILE, help="JSONL of recent uploads, whose decisions are compared.")
@click.option("--verdicts", type=FILE, help="JSONL of verdicts on the traffic; the parent's own are not asked again.")
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where media may lie [the files' folders].")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@RELEASES
def gate(
    candidate: Path,
    parent: Path,
    golden: Path,
    traffic: Path | None,
    verdicts: Path | None,
    roots: tuple[Path, ...],
    as_json: bool,
    releases: Path,
) -> None:
    """Say whether CANDIDATE may follow PARENT: refused with every reason (exit code 1), or passed.

    Verdicts are lines of the topic videos.verdicts, or of the warehouse's table of the same fields, FORMAT JSONEachRow
    with date_time_output_format = 'iso'. Those of other releases and casebooks are counted and left aside.

    \b
    Example:
      precedent policy gate --candidate release-2 --parent release-1 --golden golden.jsonl --traffic uploads.jsonl
    """
    from policy.gate.command import gate_files, report
    from policy.gate.results import write_gate_result
    from serving.releases import ReleasesRoot

    allowed = roots or tuple(sorted({file.resolve().parent for file in (golden, traffic) if file is not None}))
    now = datetime.now(UTC)
    result = gate_files(candidate, parent, golden, traffic, roots=allowed, now=now, verdicts=verdicts)
    write_gate_result(ReleasesRoot(releases), result)
    click.echo(result.model_dump_json(indent=2) if as_json else report(result))
    if not result.passed:
        raise CheckFailedError(f"{candidate}: refused for {len(result.refusals)} reasons, first: {result.refusals[0]}")


@click.command()
@RELEASES
@named_by("rolls back")
@click.option("--reason", default="", help="Why, for the history.")
def rollback(releases: Path, by: str | None, reason: str) -> None:
    """Make the release before the live one live again, at once; workers follow without a restart.

    It says which precedents are silent until the next publication.

    \b
    Example:
      precedent policy rollback
    """
    from policy.releases import rollback as move_back
    from policy.rollout.history import not_cited_any_more
    from serving.releases import ReleasesRoot

    root = ReleasesRoot(releases)
    left = root.read_pointer().live
    pointer = move_back(root, now=datetime.now(UTC), moved_by=by, reason=reason)
    live, earlier = pointer.live, pointer.previous
    click.echo(
        f"rolled back from release {left.release_version} (casebook {left.casebook_version}) to release "
        f"{live.release_version} (casebook {live.casebook_version}); before it: "
        f"{'nothing' if earlier is None else f'release {earlier.release_version}'}"
    )
    try:
        click.echo(_survival(not_cited_any_more(root, left, live), live.release_version))
    except BadInputError as error:  # what is left may be damaged, which is why it is left: the pointer has moved
        click.echo(f"which precedents are silent now cannot be said: {error}")


def _survival(silent: Sequence[str], version: int) -> str:
    """What becomes of the precedents that spoke until the rollback, as a sentence."""
    if not silent:
        return "every precedent that spoke before speaks now, or was taught"
    some = ", ".join(silent[:3]) + (", ..." if len(silent) > 3 else "")
    return (
        f"{len(silent)} precedents that spoke before are silent now ({some}); those ruled through the docket survive "
        f"in it, and the next publication for release {version} (precedent policy publish, or the clerk) cites them"
    )


@click.command()
@RELEASES
def history(releases: Path) -> None:
    """List the releases, what the gate said of them, and every move of the pointer, oldest first.

    \b
    Example:
      precedent policy history
    """
    from policy.rollout.history import history_lines
    from serving.releases import ReleasesRoot

    for line in history_lines(ReleasesRoot(releases)):
        click.echo(line)


RELEASE_COMMANDS: tuple[click.Command, ...] = (promote, watch, gate, rollback, history)
