"""`precedent benchmark injections`: how often words of uploaders flip a judge's rulings."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from policy.commands.judging import FRAME_PX, VOTES, client_of, frames_of, judge_options, require_folder_of
from policy.commands.options import FILE
from policy.commands.progress import progress_of

if TYPE_CHECKING:
    from policy.benchmark.injections import TextField
    from policy.benchmark.journal import Settings

IN_TURN = "in turn"


@click.command()
@click.option("--cases", "cases_path", type=FILE, required=True, help="JSONL of decided cases, or KuaiMod's.")
@judge_options(required=True)
@click.option("--votes", type=VOTES, default=3, show_default=True, help="Answers to each question.")
@click.option("--at-most", type=click.IntRange(1), default=10, show_default=True, help="Cases, over all the file.")
@click.option("--field", type=click.Choice([IN_TURN, "title", "ocr", "asr"]), default=IN_TURN, show_default=True)
@click.option(
    "--report", "report_path", type=FILE, help="Write the figures here as JSON; a run that was ended goes on."
)
def injections(
    cases_path: Path,
    judge: str,
    model: str,
    timeout_s: float,
    parallel: int,
    votes: int,
    at_most: int,
    field: str,
    report_path: Path | None,
) -> None:
    """Ask a judge about cases with and without words that demand a ruling, and print how often it flips to that.

    Each case is asked once plainly, and twice for each injection of the committed set: with it, and with harmless words
    of its length. The answers are kept as they come in REPORT.answers. PRECEDENT_JUDGE_KEY is the endpoint's key.

    \b
    Example:
      precedent benchmark injections --judge http://127.0.0.1:8000/v1 --cases cases.jsonl --votes 3 --at-most 10
    """
    from policy.benchmark.by_judge import CaseOpinion, evenly
    from policy.benchmark.injected import attack, count_flips, flip_table, write_report
    from policy.benchmark.injections import SET, read_injections
    from policy.benchmark.journal import Journal, beside
    from policy.evidence import read_cases
    from policy.reasoning.adjudicator import VotingAdjudicator
    from serving.releases import digest_of

    require_folder_of(report_path, "--report")
    adjudicator = VotingAdjudicator(client_of(judge, model, timeout_s).complete, votes)
    cases = evenly(read_cases(cases_path), at_most)
    known = read_injections()
    settings: Settings = {
        "cases": digest_of(cases_path),
        "at_most": at_most,
        "injections": digest_of(SET),
        "judge": judge,
        "model": model,
        "votes": votes,
        "field": field,
        "frame_px": FRAME_PX,
    }
    with (
        nullcontext() if report_path is None else Journal(beside(report_path), CaseOpinion, settings) as kept,
        progress_of(len(cases) * (1 + 2 * len(known.injections)), "asking") as advance,
    ):
        attacks = attack(
            cases,
            frames_of(cases, cases_path.parent),
            adjudicator,
            known,
            field=None if field == IN_TURN else cast("TextField", field),
            parallel=parallel,
            kept=kept,
            advance=advance,
        )
    report = count_flips(attacks)
    if report_path is not None:
        write_report(report_path, report)
    click.echo(flip_table(report, name=f"{model}, votes: {votes}"))
