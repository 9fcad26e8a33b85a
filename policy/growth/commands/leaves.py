"""`precedent taxonomy propose | proposals | accept | reject | leaves`: from unexplained rulings to accepted leaves."""

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import printable
from contracts.secrets import secret_in
from policy.commands.acting import acting, docket_options
from policy.commands.options import RELEASES, TAXONOMY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.docket.docket import Docket
    from policy.growth.leaves.desk import Desk, Proposal
    from policy.growth.leaves.propose import Proposed

KEY = "PRECEDENT_LLM_KEY"
PROPOSAL = click.argument("proposal_id", metavar="PROPOSAL")


@click.command()
@TAXONOMY
@RELEASES
@docket_options
@click.option("--days", type=click.FloatRange(0.1, 3_650), default=30.0, show_default=True, help="Rulings of so long.")
@click.option("--least", type=click.IntRange(2), default=5, show_default=True, help="Cases in a cluster.")
@click.option("--authors", type=click.IntRange(1), default=2, show_default=True, help="Of a cluster, at least.")
@click.option("--llm", "url", help="An OpenAI-compatible endpoint that names clusters [the words that tell them].")
@click.option("--model", default="default", show_default=True, help="Its name there.")
def propose(
    taxonomy: Path,
    releases: Path,
    folder: Path,
    tokens: Path | None,
    days: float,
    least: int,
    authors: int,
    url: str | None,
    model: str,
) -> None:
    """Cluster the recent rulings that no accepted leaf explains, and propose each cluster as a leaf to a person.

    What was rejected is not proposed again until it has grown by half. PRECEDENT_LLM_KEY is the endpoint's key, if it
    asks for one; where the endpoint is away, clusters are named by their own words.

    \b
    Example:
      precedent taxonomy propose
      precedent taxonomy propose --days 7 --llm http://127.0.0.1:8000/v1
    """
    from policy.docket.principals import Action
    from policy.growth.leaves.clusters import ClusterSettings
    from policy.growth.leaves.desk import Desk
    from policy.growth.leaves.propose import propose_by
    from policy.reasoning.endpoint import Endpoint
    from serving.releases import ReleasesRoot

    settings = ClusterSettings(days=days, least=least, authors=authors)
    llm = Endpoint(url, model, secret_in(os.environ, KEY)) if url else None
    with acting(folder, tokens, Action.READ) as (docket, _):
        desk = Desk(taxonomy)
        done = asyncio.run(propose_by(llm, desk, ReleasesRoot(releases), docket, settings, now=datetime.now(UTC)))
        for one in done.new:
            for line in lines_of(one, docket, desk):
                click.echo(line)
    click.echo(summed_up(done))


@click.command()
@TAXONOMY
@docket_options
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
def proposals(taxonomy: Path, folder: Path, tokens: Path | None, as_json: bool) -> None:
    """List the proposed leaves that wait for a person, the largest cluster first, with titles of their videos.

    \b
    Example:
      precedent taxonomy proposals
    """
    from policy.docket.principals import Action
    from policy.growth.leaves.desk import Desk

    desk = Desk(taxonomy)
    waiting = desk.waiting()
    with acting(folder, tokens, Action.READ) as (docket, _):
        for one in waiting:
            for line in [one.model_dump_json()] if as_json else lines_of(one, docket, desk):
                click.echo(line)
    if not as_json:
        click.echo(f"{len(waiting)} proposals wait")


@click.command()
@PROPOSAL
@click.option("--name", help="Of the leaf; that of an accepted one lets the cases join it [the proposed name].")
@TAXONOMY
@docket_options
def accept(proposal_id: str, name: str | None, taxonomy: Path, folder: Path, tokens: Path | None) -> None:
    """Make PROPOSAL an accepted leaf below its category, and its cases of that leaf; PRECEDENT_TOKEN is a senior's.

    The next publication puts the leaf into the casebook, and from there into verdicts and features.

    \b
    Example:
      precedent taxonomy accept p-0c33bd6af9df --name "subsidy wheel"
    """
    from policy.docket.principals import Action
    from policy.growth.leaves.accept import accept as accept_now
    from policy.growth.leaves.desk import Desk

    with acting(folder, tokens, Action.APPROVE) as (docket, principal):
        done = accept_now(Desk(taxonomy), docket, proposal_id, principal, name=name, now=datetime.now(UTC))
    click.echo(f"{done.node.node_id}  {done.node.label}: {len(done.cases)} cases are of it")
    for case_id, why in done.left_out:
        click.echo(f"  {case_id} is not: it {why}")


@click.command()
@PROPOSAL
@click.option("--reason", required=True, help="Why it is no leaf, for who sees it proposed again.")
@TAXONOMY
@docket_options
def reject(proposal_id: str, reason: str, taxonomy: Path, folder: Path, tokens: Path | None) -> None:
    """Reject PROPOSAL: its cluster is not proposed again until it has grown by half.

    \b
    Example:
      precedent taxonomy reject p-dce15e663ca5 --reason "two campaigns that only share a phrase"
    """
    from policy.docket.principals import Action
    from policy.growth.leaves.accept import reject as reject_now
    from policy.growth.leaves.desk import Desk

    with acting(folder, tokens, Action.APPROVE) as (_, principal):
        done = reject_now(Desk(taxonomy), proposal_id, principal, reason=reason, now=datetime.now(UTC))
    click.echo(f"{done.proposal_id} of {len(done.members)} cases is rejected by {done.decided_by}")


@click.command()
@TAXONOMY
@docket_options
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
def leaves(taxonomy: Path, folder: Path, tokens: Path | None, as_json: bool) -> None:
    """List the accepted leaves, and how many rulings in force are of each.

    What viewers were shown of each says `precedent warehouse exposure --by leaf`.

    \b
    Example:
      precedent taxonomy leaves
    """
    from collections import Counter

    from policy.docket.principals import Action
    from policy.growth.leaves.accepted import read_accepted

    accepted = read_accepted(taxonomy).all()
    with acting(folder, tokens, Action.READ) as (docket, _):
        cases = Counter(one.leaf for one in docket.decided() if one.leaf)
    if not as_json:
        click.echo(f"{'cases':>7}  {'leaf':<20} label")
    for node in accepted:
        told = {"leaf": node.node_id, "label": node.label, "cases": cases[node.node_id]}
        row = f"{cases[node.node_id]:>7,}  {node.node_id:<20} {node.label}"
        click.echo(json.dumps(told, ensure_ascii=False) if as_json else row)


def summed_up(done: "Proposed") -> str:
    unseen = f", {done.unseen} cannot be seen by the release" if done.unseen else ""
    return (
        f"{done.recent} rulings, {done.explained} of a leaf or explained by one{unseen}; {len(done.new)} new "
        f"proposals, {done.waiting} clusters wait already, {done.rejected} were rejected before"
    )


def lines_of(one: "Proposal", docket: "Docket", desk: "Desk") -> "Iterator[str]":
    """A proposal for a terminal: what it is, and titles of its videos, others' words escaped."""
    from policy.growth.leaves.accepted import read_accepted

    by = f" (named by {printable(one.named_by, at_most=40)})" if one.named_by else ""
    yield f"{one.proposal_id}  {one.category.value}: {printable(one.name, at_most=120)}{by}"
    near = "no leaf is near"
    if one.nearest:
        near = f"nearest is {read_accepted(desk.root).label_of(one.nearest)} at {one.similarity:.2f}"
    yield f"  {len(one.members)} cases of {one.authors} authors, cohesion {one.cohesion:.2f}, {near}"
    for case_id in one.examples:
        if docket.known([case_id]):
            yield f"  {case_id}: {printable(docket.file(case_id).upload.title or '', at_most=80)}"
