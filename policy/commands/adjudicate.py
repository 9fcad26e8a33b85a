"""`precedent case adjudicate`: a vision-language model rules on cases that wait."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from contracts.secrets import secret_in
from policy.commands.acting import acting, docket_options

KEY_VARIABLE = "PRECEDENT_JUDGE_KEY"


@click.command()
@click.option("--judge", required=True, help="An OpenAI-compatible endpoint: http://HOST:PORT/v1.")
@click.option("--model", default="default", show_default=True, help="The model's name there.")
@click.option("--votes", type=click.IntRange(1, 99), default=5, show_default=True, help="Answers a case.")
@click.option("--at-most", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Cases.")
@click.option("--frames", type=click.IntRange(1, 64), default=8, show_default=True, help="Of a video, as taught.")
@click.option("--chars", type=click.IntRange(2, 100_000), default=4_000, show_default=True, help="Of each text.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(1, 3_600), default=60.0, show_default=True)
@docket_options
def adjudicate(
    judge: str,
    model: str,
    votes: int,
    at_most: int,
    frames: int,
    chars: int,
    timeout_s: float,
    folder: Path,
    tokens: Path | None,
) -> None:
    """Let a judge rule on waiting cases by majority; what it finds positive goes on waiting for a person.

    PRECEDENT_TOKEN is an adjudicator's token; PRECEDENT_JUDGE_KEY the endpoint's key, if it asks for one.

    \b
    Example:
      precedent case adjudicate --judge http://127.0.0.1:8000/v1 --votes 5 --at-most 10
    """
    from policy.docket.principals import Action
    from policy.reasoning.adjudicate import adjudicate as ask_about
    from policy.reasoning.adjudicator import VotingAdjudicator
    from policy.reasoning.endpoint import ChatClient, Endpoint
    from policy.reasoning.question import Budget

    endpoint = Endpoint(
        judge, model, secret_in(os.environ, KEY_VARIABLE), timeout_s=timeout_s, patience_s=3 * timeout_s
    )
    voting = VotingAdjudicator(ChatClient(endpoint).complete, votes, Budget(frames, chars))
    with acting(folder, tokens, Action.RULE) as (docket, principal):
        done = ask_about(docket, voting, docket.folder, principal, at_most=at_most, now=datetime.now(UTC))
    for one in done:
        named = "-" if one.opinion.category is None else one.opinion.category.value
        votes_told = (
            f"{one.opinion.votes.get(one.opinion.category, 0) if one.opinion.category else 0} of {one.opinion.asked}"
        )
        click.echo(
            f"{one.case_id}  {named}  {votes_told} votes, confidence {one.opinion.confidence:.2f}: {one.outcome}"
        )
    click.echo(f"{len(done)} cases, {sum(one.outcome == 'ruled' for one in done)} ruled")
