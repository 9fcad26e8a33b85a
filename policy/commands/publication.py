"""`precedent policy publish | impact`: which precedents serve, and what hangs on one of them."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import BadInputError, CheckFailedError
from policy.commands.acting import acting, docket_options
from policy.commands.options import FILE, FOLDER, RELEASES

if TYPE_CHECKING:
    from contracts.videos import VideoUploaded
    from policy.publication.publish import Publication
    from warehouse.address import Client

MEDIA = click.option(
    "--media-root",
    "roots",
    type=FOLDER,
    multiple=True,
    help="Where media may lie [PRECEDENT_MEDIA_ROOTS, folders separated by ':'].",
)


@click.command()
@RELEASES
@docket_options
@MEDIA
@click.option("--traffic", type=FILE, help="JSONL of recent uploads to try it on, instead of the warehouse's.")
@click.option("--sample", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Recent videos.")
@click.option("--days", type=click.IntRange(1, 90), default=1, show_default=True, help="How long ago is recent.")
@click.option("--flips-at-most", type=click.IntRange(0), default=5, show_default=True)
@click.option("--flips-share", type=click.FloatRange(0, 1), default=0.02, show_default=True, help="If it is more.")
@click.option(
    "--approve", "version", type=click.IntRange(1), help="Publish the casebook that waits under this version."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def publish(
    releases: Path,
    folder: Path,
    tokens: Path | None,
    roots: tuple[Path, ...],
    traffic: Path | None,
    sample: int,
    days: int,
    flips_at_most: int,
    flips_share: float,
    version: int | None,
    as_json: bool,
) -> None:
    """Make precedents of the rulings in force: publish a casebook, or hold it (exit code 1) for a senior's approval.

    \b
    Example:
      precedent policy publish
      precedent policy publish --traffic uploads.jsonl --flips-at-most 20
      precedent policy publish --approve 7
    """
    from policy.docket.docket import Docket
    from policy.docket.principals import CLERK, Action
    from policy.publication.publish import PublicationSettings, approve_held, publish_pending
    from policy.publication.traffic import RecentTraffic
    from serving.releases import ReleasesRoot

    root, now = ReleasesRoot(releases), datetime.now(UTC)
    if version is not None:
        with acting(folder, tokens, Action.APPROVE) as (register, principal):
            done = approve_held(root, register, version, now=now, principal=principal)
        click.echo(
            f"published casebook {done.version} of release {done.release_version}, approved by {done.approved_by}"
        )
        return
    if not folder.is_dir():
        raise BadInputError(f"--docket {folder}: is not a folder, must be a docket that the clerk or the court opened")
    recent = RecentTraffic(_recent(traffic, sample, timedelta(days=days), now), _roots(roots))
    settings = PublicationSettings(flips_at_most=flips_at_most, flips_share=flips_share)
    publications = publish_pending(root, Docket(folder), recent, settings, now=now, principal=CLERK)
    for one in publications:
        click.echo(json.dumps(_told(one)) if as_json else _lines(one))
    if held := [one for one in publications if one.outcome == "held"]:
        waits = held[0].casebook
        assert waits is not None
        raise CheckFailedError(
            f"casebook {waits.version} of release {waits.release_version} waits for a senior: {held[0].reasons[0]}; "
            f"look with --json, then publish --approve {waits.version}"
        )


@click.command()
@click.argument("case_id")
@RELEASES
@MEDIA
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC [seven days ago].")
@click.option("--json", "as_json", is_flag=True, help="Print the impact as JSON.")
def impact(
    case_id: str,
    releases: Path,
    roots: tuple[Path, ...],
    since: datetime | None,
    as_json: bool,
) -> None:
    """List the recent verdicts that would change if the precedent CASE_ID fell.

    \b
    Example:
      precedent policy impact case-u-1 --since 2026-01-02
    """
    from policy.publication.impact import impact_of, table
    from serving.releases import ReleasesRoot
    from warehouse.uploads import uploads_of
    from warehouse.verdict_history import verdicts_citing

    client = _client()
    start = datetime.now(UTC) - timedelta(days=7) if since is None else since.replace(tzinfo=UTC)
    verdicts = verdicts_citing(client, case_id, since=start)
    uploads = uploads_of(client, [verdict.video_id for verdict in verdicts])
    found = impact_of(ReleasesRoot(releases), case_id, verdicts, uploads, media_roots=_roots(roots))
    if not as_json:
        click.echo(table(found))
        return
    sides = ("decision", "category", "toxicity")
    changes = [
        {
            "video_id": one.video_id,
            "now": dict(zip(sides, one.now, strict=True)),
            "then": dict(zip(sides, one.then, strict=True)),
        }
        for one in found.changes
    ]
    told = {"case_id": found.case_id, "category": found.category, **found.pin.model_dump()}
    click.echo(
        json.dumps({**told, "citing": found.citing, "computed": found.computed, "gone": found.gone, "changes": changes})
    )


def _recent(path: Path | None, sample: int, recent: timedelta, now: datetime) -> "Sequence[VideoUploaded]":
    from policy.score import read_uploads
    from warehouse.uploads import recent_uploads

    if path is not None:
        return list(read_uploads([path]))
    return recent_uploads(_client(), since=now - recent, until=now, at_most=sample)


def _client() -> "Client":
    from warehouse.address import address_in, connect

    return connect(address_in(os.environ))


def _roots(roots: tuple[Path, ...]) -> tuple[Path, ...]:
    given = os.environ.get("PRECEDENT_MEDIA_ROOTS", "")
    return roots or tuple(Path(part) for part in given.split(":") if part)


def _told(one: "Publication") -> dict[str, object]:
    return {
        "seats": one.seats,
        "outcome": one.outcome,
        "casebook": None if one.casebook is None else one.casebook.model_dump(mode="json"),
        "reasons": one.reasons,
        "left_out": [item._asdict() for item in one.draft.left_out],
        "contradictions": [item._asdict() for item in one.draft.contradictions],
    }


def _lines(one: "Publication") -> str:
    book, draft = one.casebook, one.draft
    head = f"release {one.pin.release_version} ({', '.join(one.seats)}): {one.outcome}"
    if book is not None:
        head += (
            f" casebook {book.version}: {len(book.news)} precedents since the training, {len(book.fell)} fell, "
            f"{book.flips} of {book.sampled} recent decisions flip"
        )
    left_out = [f"  left out {item.case_id}: {item.reason}" for item in draft.left_out]
    beside = [f"  {item.heard} is heard against {item.beside}: {item.reason}" for item in draft.contradictions]
    return "\n".join([head, *(f"  {reason}" for reason in one.reasons), *left_out, *beside])


PUBLICATION_COMMANDS: tuple[click.Command, ...] = (publish, impact)
