"""`precedent case`: the docket on the command line; PRECEDENT_TOKEN says who acts, as in the court's API."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.cases import CaseReason
from contracts.taxonomy import Category
from policy.commands.acting import acting, docket_options
from policy.commands.adjudicate import adjudicate
from policy.commands.backing_up import backup
from policy.commands.options import RELEASES, TAXONOMY

if TYPE_CHECKING:
    from policy.docket.docket import Docket
    from policy.docket.files import CaseFile
    from policy.growth.leaves.explaining import Fit

CATEGORIES = {category.value: category for category in Category}
CATEGORY = click.Choice(list(CATEGORIES))
LEAF = click.option("--leaf", default="", help="The accepted leaf below the category, by its id or name.")


@click.group()
def case() -> None:
    """Rule on cases: what waits, what was decided and by whom, and what was overruled.

    PRECEDENT_TOKEN says who acts; `precedent court issue` makes a token.

    \b
    Example:
      precedent case list
      precedent case rule case-81f3 --category off_platform_trading --reasoning "asks for payment by private message"
    """


@case.command("list")
@docket_options
@click.option("--all", "everything", is_flag=True, help="Those too that wait for nobody.")
@click.option("--reason", type=click.Choice([reason.value for reason in CaseReason]), help="Only those opened for it.")
@click.option("--at-most", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
@TAXONOMY
def list_cases(
    folder: Path,
    tokens: Path | None,
    everything: bool,
    reason: str | None,
    at_most: int,
    as_json: bool,
    taxonomy: Path,
) -> None:
    """List the cases that wait for a ruling, in the order in which to rule on them.

    The highest expected harm comes first; every tenth ruling is on what the random audit drew, the longest waiting.

    \b
    Example:
      precedent case list --reason appeal
    """
    from policy.docket.principals import Action
    from policy.docket.telling import summary, table
    from policy.growth.leaves.accepted import read_accepted

    with acting(folder, tokens, Action.READ) as (docket, _):
        files = docket.listed(
            waiting=None if everything else True, reason=CaseReason(reason) if reason else None, at_most=at_most
        )
        waiting = docket.depth().waiting
    if as_json:
        for file in files:
            click.echo(json.dumps(summary(file), ensure_ascii=False))
        return
    if files:
        name_of = read_accepted(taxonomy).label_of if any(file.leaf for file in files) else str
        for line in table(files, name_of):
            click.echo(line)
    click.echo(f"{len(files)} of {waiting} waiting cases" if not everything else f"{len(files)} cases, {waiting} wait")


@case.command()
@click.argument("case_id")
@docket_options
@click.option("--json", "as_json", is_flag=True, help="The whole file as JSON.")
@click.option("--suggest", is_flag=True, help="And the accepted leaf that explains it best, by the live release.")
@TAXONOMY
@RELEASES
def show(
    case_id: str, folder: Path, tokens: Path | None, as_json: bool, suggest: bool, taxonomy: Path, releases: Path
) -> None:
    """Show all that is known of a case: evidence, rulings in force and overruled, its leaf, appeals.

    \b
    Example:
      precedent case show case-81f3
      precedent case show case-81f4 --suggest
    """
    from policy.docket.principals import Action
    from policy.docket.telling import lines, told
    from policy.growth.leaves.accepted import read_accepted

    with acting(folder, tokens, Action.READ) as (docket, _):
        file = docket.file(case_id)
        fit = _suggested(docket, file, releases) if suggest else None
    if as_json:
        found = {"suggested_leaf": fit._asdict() if fit else None} if suggest else {}
        click.echo(json.dumps(told(file) | found, ensure_ascii=False, indent=2))
        return
    leaves = read_accepted(taxonomy) if file.leaf or fit else None
    for line in lines(file, leaves.label_of if leaves else str):
        click.echo(line)
    if suggest:
        like = f"{fit.leaf} {leaves.label_of(fit.leaf)}, at {fit.similarity:.2f}" if fit and leaves else "none"
        click.echo(f"suggested {like}")


def _suggested(docket: "Docket", file: "CaseFile", releases: Path) -> "Fit | None":
    """The leaf that explains a case best: of what is ruled, or else of what the policy found."""
    from policy.growth.leaves.seen import Video, suggested
    from serving.releases import ReleasesRoot

    evidence = file.opened.evidence
    category = file.ruling.category if file.ruling else evidence.category if evidence else Category.POSITIVE
    if category is Category.POSITIVE:
        return None
    video = Video(file.upload, evidence.frames_digest if evidence else None)
    return suggested(ReleasesRoot(releases), docket, video, category)


@case.command()
@click.argument("case_id")
@click.option("--category", type=CATEGORY, required=True, help="What the video is; `positive` where it breaks no rule.")
@click.option("--reasoning", default="", help="Why, for who rules on similar cases later.")
@LEAF
@TAXONOMY
@docket_options
def rule(
    case_id: str, category: str, reasoning: str, leaf: str, taxonomy: Path, folder: Path, tokens: Path | None
) -> None:
    """Rule on a case; the ruling becomes a precedent at the next publication.

    \b
    Example:
      precedent case rule case-81f3 --category off_platform_trading --reasoning "asks for payment by private message"
      precedent case rule case-81f4 --category prohibited_goods --leaf "fruit cups"
    """
    _rule(case_id, category, reasoning, leaf, taxonomy, folder, tokens)


@case.command()
@click.argument("case_id")
@click.option("--category", type=CATEGORY, required=True, help="What the video is, other than was ruled.")
@click.option("--reasoning", default="", help="Why what stood was wrong.")
@click.option("--ruling", help="The ruling that falls [the one in force when this runs].")
@LEAF
@TAXONOMY
@docket_options
def overrule(
    case_id: str,
    category: str,
    reasoning: str,
    ruling: str | None,
    leaf: str,
    taxonomy: Path,
    folder: Path,
    tokens: Path | None,
) -> None:
    """Overrule the ruling in force on a case's video; it stays in the history. Another person's takes a senior.

    \b
    Example:
      precedent case overrule case-81f3 --category positive --reasoning "a shop's own address, which is allowed"
    """
    _rule(case_id, category, reasoning, leaf, taxonomy, folder, tokens, overrules=ruling or "")


@case.command()
@click.argument("case_id")
@click.option("--leaf", required=True, help="The accepted leaf by its id or name; '' takes it away.")
@TAXONOMY
@docket_options
def label(case_id: str, leaf: str, taxonomy: Path, folder: Path, tokens: Path | None) -> None:
    """Name the leaf of what is ruled on a case; the ruling itself stays as it is.

    \b
    Example:
      precedent case label case-81f4 --leaf "fruit cups"
    """
    from policy.docket.principals import Action
    from policy.docket.sessions import label_case
    from policy.growth.leaves.accepted import read_accepted

    leaves = read_accepted(taxonomy)
    with acting(folder, tokens, Action.RULE) as (docket, principal):
        file = label_case(docket, case_id, leaf, principal, leaves=leaves, now=datetime.now(UTC))
    click.echo(f"{file.opened.video_id} is of {leaves.label_of(file.leaf) or 'no leaf'}")


def _rule(
    case_id: str,
    category: str,
    reasoning: str,
    leaf: str,
    taxonomy: Path,
    folder: Path,
    tokens: Path | None,
    *,
    overrules: str | None = None,
) -> None:
    """Enter a ruling; an empty `overrules` means the one in force."""
    from policy.docket.principals import Action
    from policy.docket.sessions import rule_on, ruling_to_overrule
    from policy.growth.leaves.accepted import read_accepted

    with acting(folder, tokens, Action.RULE if overrules is None else Action.OVERRULE) as (docket, principal):
        falls = ruling_to_overrule(docket.file(case_id)) if overrules == "" else overrules
        leaves = read_accepted(taxonomy) if leaf else None
        file = rule_on(
            docket,
            case_id,
            CATEGORIES[category],
            reasoning,
            principal,
            overrules=falls,
            leaf=leaf,
            leaves=leaves,
            now=datetime.now(UTC),
        )
    assert file.ruling is not None
    fell = f", {file.ruling.overrules} fell" if file.ruling.overrules else ""
    of = f" of {leaves.label_of(file.leaf)}" if leaves and file.leaf else ""
    click.echo(f"{file.ruling.event_id}  {file.opened.video_id} is {file.ruling.category.value}{of}{fell}")


@case.command()
@click.argument("video_id")
@click.option("--author", required=True, help="The video's author, in whose name the platform appeals.")
@click.option("--statement", default="", help="What the author says; up to 2,000 characters.")
@docket_options
def appeal(video_id: str, author: str, statement: str, folder: Path, tokens: Path | None) -> None:
    """Enter an author's appeal against what was decided about a video; the clerk opens a case for it.

    \b
    Example:
      precedent case appeal video-17 --author author-4 --statement "the goods are my own work"
    """
    from policy.docket.principals import Action
    from policy.docket.sessions import appeal_against

    with acting(folder, tokens, Action.APPEAL) as (docket, principal):
        entered = appeal_against(docket, video_id, author, statement, principal, now=datetime.now(UTC))
    click.echo(f"{entered.event_id}  appealed on {entered.appealed_at:%Y-%m-%d %H:%M:%S}")


@case.command()
@docket_options
@click.option("--noted", help="A last digest of earlier, which must still be in the chain.")
def audit(folder: Path, tokens: Path | None, noted: str | None) -> None:
    """Print who did what, oldest first, and verify that nothing was changed; the last line is the digest to note.

    \b
    Example:
      precedent case audit
    """
    from policy.docket.principals import Action

    with acting(folder, tokens, Action.READ_AUDIT) as (docket, _):
        for entry in docket.audit():
            click.echo(
                f"{entry.sequence:>7}  {entry.at[:19]}  {entry.who} ({entry.role})  {entry.action} {entry.subject}"
            )
        last = docket.verify_audit(noted=noted)
    click.echo(f"verified, the last digest is {last}")


@case.command("erase-author")
@click.argument("author_id")
@docket_options
def erase_author(author_id: str, folder: Path, tokens: Path | None) -> None:
    """Erase an author's uploads, frames and appeals from the docket; rulings and their history stay.

    The next publication leaves their precedents out, the next refresh what it was taught of them. Older casebooks,
    snapshots and releases keep both, to be rolled back to: `policy prune --snapshots` deletes the casebooks, and the
    snapshots of releases whose folder is gone. Cases that a release learned from a file, and that are not on the docket
    by the same id, are not known to be theirs. `warehouse erase-user` erases what the warehouse has of them.

    \b
    Example:
      precedent case erase-author user-4711
    """
    from policy.docket.principals import Action

    with acting(folder, tokens, Action.ERASE) as (docket, principal):
        erased = docket.erase_author(author_id, principal, now=datetime.now(UTC))
    click.echo(f"erased of {len(erased.cases)} cases, {len(erased.appeals)} appeals, {len(erased.frames)} clips")


@case.command()
@docket_options
def brigades(folder: Path, tokens: Path | None) -> None:
    """List the reporters who were seen to report together, the largest brigade first, as JSON lines.

    \b
    Example:
      precedent case brigades
    """
    from policy.cases.brigades import read_brigades
    from policy.docket.principals import Action

    with acting(folder, tokens, Action.READ):
        for brigade in read_brigades(folder):
            click.echo(brigade.model_dump_json())


case.add_command(adjudicate)
case.add_command(backup)
