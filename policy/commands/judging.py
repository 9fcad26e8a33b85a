"""`precedent benchmark reward | kuaimod --judge`: a judge behind an OpenAI-compatible endpoint, measured."""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from contracts.errors import BadInputError
from contracts.secrets import secret_in
from policy.commands.adjudicate import KEY_VARIABLE
from policy.commands.options import FILE, FOLDER
from policy.commands.progress import progress_of

if TYPE_CHECKING:
    from contracts.cases import DecidedCase
    from policy.benchmark.reward import Orders
    from policy.casebook import Frames
    from policy.reasoning.endpoint import ChatClient

F = TypeVar("F", bound=Callable[..., Any])
VOTES = click.IntRange(1, 99)
FRAME_PX = 224
"""Of the frames that a judge is shown of a case whose media is there."""


def judge_options(*, required: bool) -> Callable[[F], F]:
    """Where the judge answers, which model, how long it may take, how many questions are under way at once."""

    def decorated(command: F) -> F:
        for option in (
            click.option("--parallel", type=click.IntRange(1, 256), default=4, show_default=True, help="At once."),
            click.option(
                "--timeout",
                "timeout_s",
                type=click.FloatRange(1, 3_600),
                default=60.0,
                show_default=True,
                help="Seconds for an answer; a question is tried for three times as long.",
            ),
            click.option("--model", default="default", show_default=True, help="The judge's name at its endpoint."),
            click.option("--judge", required=required, help="An OpenAI-compatible endpoint: http://HOST:PORT/v1."),
        ):
            command = option(command)
        return command

    return decorated


def client_of(judge: str, model: str, timeout_s: float) -> "ChatClient":
    """Who asks the judge, with the key of PRECEDENT_JUDGE_KEY; one question is under way at a time in each thread."""
    from policy.reasoning.endpoint import ChatClient, Endpoint

    key = secret_in(os.environ, KEY_VARIABLE)
    return ChatClient(Endpoint(judge, model, key, timeout_s=timeout_s, patience_s=3 * timeout_s, parallel=1))


def require_folder_of(path: Path | None, option: str) -> None:
    """Raise `BadInputError` where a file that a long run ends with could not be written."""
    if path is not None and not path.parent.is_dir():
        raise BadInputError(f"{option} {path}: {path.parent} must be a folder")


@click.command()
@click.option("--pairs", "pairs_path", type=FILE, required=True, help="JSONL: id, prompt, chosen, rejected, image.")
@judge_options(required=True)
@click.option("--votes", type=VOTES, default=5, show_default=True, help="Answers to each pair in each order.")
@click.option("--orders", type=click.Choice(["both", "seeded"]), default="both", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="With --orders seeded.")
@click.option("--images", type=FOLDER, help="Where pictures lie; without it the judge is told that there is none.")
@click.option("--predictions", type=FILE, help="Write each row with its rewards here; a run that was ended goes on.")
@click.option("--report", "report_path", type=FILE, help="Write the figures here as JSON.")
def reward(
    pairs_path: Path,
    judge: str,
    model: str,
    timeout_s: float,
    parallel: int,
    votes: int,
    orders: str,
    seed: int,
    images: Path | None,
    predictions: Path | None,
    report_path: Path | None,
) -> None:
    """Ask a judge which response of each pair is better, and print the public reward benchmarks' figures.

    Both orders of each pair are asked, unless --orders seeded asks one that --seed draws, as the public scripts do. The
    answers are kept as they come in PREDICTIONS.answers: the same command goes on from them. PRECEDENT_JUDGE_KEY is the
    endpoint's key, if it asks for one.

    \b
    Example:
      precedent benchmark reward --pairs pairs.jsonl --judge http://127.0.0.1:8000/v1 --votes 5 --predictions out.jsonl
    """
    from policy.benchmark.journal import Journal, beside
    from policy.benchmark.reward import (
        Asking,
        judge_rows,
        read_pairs,
        settings_of,
        write_report,
        write_rewards,
    )
    from policy.benchmark.reward_scores import reward_table, score
    from policy.reasoning.pairwise import PairVerdict, PairwiseJudge

    require_folder_of(predictions, "--predictions")
    require_folder_of(report_path, "--report")
    asking = Asking(cast("Orders", orders), seed, images, parallel)
    asker = PairwiseJudge(client_of(judge, model, timeout_s).complete, votes)
    rows = read_pairs(pairs_path, asking)
    settings = settings_of(pairs_path, asking, judge=judge, model=model, votes=votes)
    with (
        nullcontext() if predictions is None else Journal(beside(predictions), PairVerdict, settings) as kept,
        progress_of(len(rows), "judging pairs") as advance,
    ):
        verdicts = judge_rows(rows, asker, asking, kept=kept, advance=advance)
    if predictions is not None:
        write_rewards(predictions, rows, verdicts)
    report = score([row.pair for row in rows], verdicts)
    if report_path is not None:
        write_report(report_path, report)
    click.echo(reward_table(report, name=model))


@dataclass(frozen=True, slots=True)
class CaseAsking:
    """Which cases a judge is asked about, who it is, and how often."""

    cases_path: Path
    judge: str
    model: str
    votes: int
    parallel: int
    at_most: int | None


def kuaimod_by_judge(
    cases: "Sequence[DecidedCase]", client: "ChatClient", asking: CaseAsking, predictions: Path | None
) -> str:
    """Ask the judge about cases, write its predictions, and give its table."""
    from policy.benchmark.by_judge import CaseOpinion, ask_about_cases, evenly, judged_table
    from policy.benchmark.journal import Journal, Settings, beside
    from policy.benchmark.published import write_predictions
    from policy.reasoning.adjudicator import VotingAdjudicator
    from serving.releases import digest_of

    asked = evenly(cases, asking.at_most)
    adjudicator = VotingAdjudicator(client.complete, asking.votes)
    settings: Settings = {
        "cases": digest_of(asking.cases_path),
        "judge": asking.judge,
        "model": asking.model,
        "votes": asking.votes,
        "frame_px": FRAME_PX,
    }
    with (
        nullcontext() if predictions is None else Journal(beside(predictions), CaseOpinion, settings) as kept,
        progress_of(len(asked), "judging cases") as advance,
    ):
        opinions = ask_about_cases(
            asked,
            adjudicator,
            lambda some: frames_of(some, asking.cases_path.parent),
            parallel=asking.parallel,
            kept=kept,
            advance=advance,
        )
    if predictions is not None:
        judgements = [None if one.category is None else one.category.position for one in opinions]
        write_predictions(predictions, asked, judgements)
    return judged_table(asked, opinions, name=f"judge {asking.model}, votes: {asking.votes}")


def frames_of(cases: "Sequence[DecidedCase]", root: Path) -> "list[Frames]":
    """The frames of cases that have media, below `root`; raises `BadInputError` naming the first that is broken."""
    from policy.evidence import gather
    from policy.reasoning.question import MOST_FRAMES
    from serving.preprocess.media import DecodePool, PoolSettings

    if not any(case.upload.media_url for case in cases):
        return [None] * len(cases)

    settings = PoolSettings((root.resolve(),), 2, MOST_FRAMES, FRAME_PX)

    async def decode() -> "list[Frames]":
        async with DecodePool(settings) as pool:
            return [one.frames for one in await gather(cases, pool)]

    return asyncio.run(decode())
