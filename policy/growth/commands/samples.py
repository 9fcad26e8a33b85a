"""`precedent taxonomy strike | questions | referee | export`: from matched pictures to instruction data."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contracts.errors import BadInputError, CheckFailedError
from contracts.secrets import secret_in
from policy.commands.options import FOLDER
from policy.commands.progress import progress_of
from policy.commands.vlm.options import ASKING, with_options

if TYPE_CHECKING:
    from policy.growth.calls.asker import AskingSettings
    from policy.growth.calls.stage import Stage, StageReport
    from policy.reasoning.endpoint import Endpoint

KEY = "PRECEDENT_LLM_KEY"
REFEREE_KEY = "PRECEDENT_REFEREE_{}_KEY"
"""One a referee: a key is for its own endpoint alone."""
HOME = click.argument("home", type=FOLDER)
TYPES = click.option("--taxonomy", "types", type=FOLDER, required=True, help="The folder that was matched.")
LLM_URL = click.option(
    "--llm", "url", required=True, help="An OpenAI-compatible endpoint that sees: http://HOST:PORT/v1."
)
SHOWING = (
    click.option("--frames", type=click.IntRange(1, 16), default=4, show_default=True, help="Shown of a picture."),
    click.option("--tries", type=click.IntRange(1, 10), default=3, show_default=True, help="Of a useless answer."),
    click.option("--temperature", type=click.FloatRange(0, 2), default=0.7, show_default=True),
    *ASKING,
)


@click.command()
@HOME
@TYPES
@LLM_URL
@click.option("--model", default="default", show_default=True, help="Its name there.")
@with_options(SHOWING)
def strike(home: Path, types: Path, url: str, model: str, frames: int, tries: int, **asked: Any) -> None:
    """Have an LLM strike the types that do not fit a picture: HOME/matches becomes HOME/struck.

    The same command goes on after any interruption and pays for no answer again. PRECEDENT_LLM_KEY is the endpoint's
    key, if it asks for one. Exit code 1: the budget is spent, or the endpoint is away.

    \b
    Example:
      precedent taxonomy strike grown --taxonomy taxonomy --llm http://127.0.0.1:8000/v1 --parallel 32
    """
    from policy.growth.calls.ask import LLM
    from policy.growth.samples.strike import ShowingSettings, strike_stage
    from policy.growth.taxonomy.folder import read_taxonomy

    llm = _endpoint(url, model, asked)
    stage = strike_stage(home, read_taxonomy(types), llm, ShowingSettings(frames, tries))
    _run(home, stage, {LLM: llm}, _asking(asked, (LLM,)))


@click.command()
@HOME
@TYPES
@LLM_URL
@click.option("--model", default="default", show_default=True, help="Its name there.")
@click.option(
    "--types", "at_once", type=click.IntRange(1, 50), default=8, show_default=True, help="A request asks for."
)
@with_options(SHOWING)
def questions(
    home: Path, types: Path, url: str, model: str, at_once: int, frames: int, tries: int, **asked: Any
) -> None:
    """Have an LLM write a question and its answer for each picture and type: HOME/struck becomes HOME/questions.

    \b
    Example:
      precedent taxonomy questions grown --taxonomy taxonomy --llm http://127.0.0.1:8000/v1 --budget-tokens 5000000
    """
    from policy.growth.calls.ask import LLM
    from policy.growth.samples.questions import QuestionSettings, question_stage
    from policy.growth.samples.strike import ShowingSettings
    from policy.growth.taxonomy.folder import read_taxonomy

    llm = _endpoint(url, model, asked)
    settings = QuestionSettings(ShowingSettings(frames, tries), at_once)
    _run(home, question_stage(home, read_taxonomy(types), llm, settings), {LLM: llm}, _asking(asked, (LLM,)))


@click.command()
@HOME
@TYPES
@click.option("--referee", "urls", multiple=True, required=True, help="An endpoint that sees; to be given three times.")
@click.option("--model", "models", multiple=True, help="Their names there, in the same order [default].")
@with_options(SHOWING)
def referee(
    home: Path, types: Path, urls: tuple[str, ...], models: tuple[str, ...], frames: int, tries: int, **asked: Any
) -> None:
    """Have three models score each sample, and keep what two of them pass: HOME/questions becomes HOME/judged.

    Where one of them is away the other two decide; one alone does not. Fleiss' kappa says how far they agree.
    PRECEDENT_REFEREE_1_KEY, _2_ and _3_ are their keys, in the same order, where they ask for one.

    \b
    Example:
      precedent taxonomy referee grown --taxonomy taxonomy --referee http://127.0.0.1:8001/v1
        --referee http://127.0.0.1:8002/v1 --referee http://127.0.0.1:8003/v1
    """
    from policy.growth.samples.referee import REFEREES, SEATS, agreement, referee_stage
    from policy.growth.samples.strike import ShowingSettings
    from policy.growth.taxonomy.folder import read_taxonomy

    if len(urls) != REFEREES or len(models) > REFEREES:
        raise BadInputError(f"{len(urls)} --referee and {len(models)} --model, must be {REFEREES} and at most as many")
    named = [*models, *["default"] * (REFEREES - len(models))]
    seats = {
        seat: _endpoint(url, model, asked, key=REFEREE_KEY.format(number))
        for number, (seat, url, model) in enumerate(zip(SEATS, urls, named, strict=True), start=1)
    }
    stage = referee_stage(home, read_taxonomy(types), seats, ShowingSettings(frames, tries))
    _run(home, stage, seats, _asking(asked, SEATS))
    agreed = agreement(home)
    kappa = "not defined, all scores are alike" if agreed.kappa is None else f"{agreed.kappa:.3f}"
    click.echo(f"agreement of the referees, Fleiss' kappa: {kappa} ({agreed.n} samples that all three scored)")


@click.command()
@HOME
@click.option("--out", type=FOLDER, required=True, help="A new folder.")
@click.option("--datasets", is_flag=True, help="Also as a folder for `datasets.load_from_disk`.")
def export(home: Path, out: Path, datasets: bool) -> None:
    """Write what the referees passed as LLaVA conversations: OUT/conversations.json and OUT/images.

    \b
    Example:
      precedent taxonomy export grown --out instruction --datasets
    """
    from policy.growth.parts import parts_of
    from policy.growth.samples import export as exporting

    with progress_of(len(parts_of(home / "judged")), "exporting") as advance:
        done = exporting.export(home, out, datasets=datasets, advance=advance)
    left = len(parts_of(home / "questions")) - len(parts_of(home / "judged"))
    more = f", {left} parts are not judged yet" if left else ""
    click.echo(f"{done.samples} samples of {done.pictures} pictures in {out}{more}")


def _endpoint(url: str, model: str, asked: Mapping[str, Any], *, key: str = KEY) -> "Endpoint":
    from policy.reasoning.endpoint import Endpoint

    limit = asked["timeout_s"]
    return Endpoint(
        url, model, secret_in(os.environ, key), limit, patience_s=3 * limit, most_tokens=asked["most_tokens"]
    )


def _asking(asked: Mapping[str, Any], seats: tuple[str, ...]) -> "AskingSettings":
    from policy.growth.calls.asker import AskingSettings
    from policy.reasoning.teaching.account import Limits, Price

    return AskingSettings(
        asked["parallel"],
        asked["per_minute"],
        asked["temperature"],
        dict.fromkeys(seats, Price(*asked["prices"])),
        Limits(asked["budget_tokens"], asked["budget"]),
    )


def _run(home: Path, stage: "Stage[Any]", seats: "Mapping[str, Endpoint]", settings: "AskingSettings") -> None:
    from policy.growth.calls.asker import asking
    from policy.growth.calls.stage import run_stage, sources_of
    from policy.growth.parts import alone_in, totals

    async def run() -> "tuple[StageReport, int]":
        async with asking(seats, settings) as asker:
            with progress_of(totals(stage.source).kept, stage.name) as advance:
                report = await run_stage(stage, asker, advance=advance)
            return report, asker.calls

    sources_of(stage)  # before the lock, which makes the folder
    with alone_in(home):
        report, calls = asyncio.run(run())
    click.echo(told(report, calls))
    if report.stopped:
        raise CheckFailedError(f"{stage.folder}: {report.stopped}, {report.left} parts are left; the same goes on")


def told(report: "StageReport", calls: int) -> str:
    """What became of all rows, and what it cost."""
    lines = [f"{report.stage}: {report.kept} kept, {sum(report.dropped.values())} dropped"]
    lines += [
        f"  {times} dropped: {reason}" for reason, times in sorted(report.dropped.items(), key=lambda one: -one[1])
    ]
    spent = report.spent.values()
    prompt, completion = sum(one.prompt_tokens for one in spent), sum(one.completion_tokens for one in spent)
    lines.append(
        f"  {calls} answers now, {sum(one.answers for one in spent)} in all, {prompt} + {completion} tokens, "
        f"cost {report.cost:.4f}"
    )
    return "\n".join(lines)
