"""`precedent taxonomy grow`: an LLM proposes types below a seed hierarchy, level by level."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import BadInputError, CheckFailedError
from contracts.secrets import secret_in
from policy.commands.options import FOLDER
from policy.commands.progress import progress_of
from policy.commands.vlm.options import ASKING, with_options

if TYPE_CHECKING:
    from policy.growth.grow.meaning import TextEncoder
    from policy.growth.grow.rounds import Growth
    from policy.growth.taxonomy.folder import TaxonomyVersion
    from policy.growth.taxonomy.hierarchy import Taxonomy

LLM_KEY = "PRECEDENT_LLM_KEY"


@click.command()
@click.option(
    "--seed",
    type=click.Path(path_type=Path),
    help="Types to grow: a file, a line a type, or a TAXONOMY [visual tasks].",
)
@click.option("--moderation", is_flag=True, help="Grow below the 16 top labels, which stay as they are.")
@click.option("--out", "folder", type=FOLDER, required=True, metavar="TAXONOMY", help="Its folder; the same goes on.")
@click.option("--llm", "url", required=True, help="An OpenAI-compatible endpoint: http://HOST:PORT/v1.")
@click.option("--model", default="default", show_default=True, help="Its name there, and the types' provenance.")
@click.option("--subject", help="What the types are, for the prompt [visual tasks, or with --moderation violations].")
@click.option("--levels", type=click.IntRange(2, 8), default=4, show_default=True, help="Of the deepest types.")
@click.option("--rounds", type=click.IntRange(1, 1_000), default=3, show_default=True, help="Of a level, at most.")
@click.option(
    "--least-new",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="End a level when a round adds less, as a share.",
)
@click.option("--target", type=click.IntRange(1), help="End when there are so many leaves.")
@click.option("--encoder", type=FOLDER, help="A CLIP-class checkpoint that says what means the same [n-grams].")
@click.option(
    "--near", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="The cosine that means the same."
)
@click.option(
    "--spelled", type=click.Choice(["siblings", "anywhere"]), default="anywhere", show_default=True, help="Apart."
)
@click.option("--tries", type=click.IntRange(1, 20), default=2, show_default=True, help="Of a useless answer.")
@click.option("--most-lines", type=click.IntRange(1, 1_000), default=30, show_default=True, help="Read of an answer.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.7, show_default=True)
@with_options(ASKING)
def grow(
    seed: Path | None,
    moderation: bool,
    folder: Path,
    url: str,
    model: str,
    subject: str | None,
    levels: int,
    rounds: int,
    least_new: float,
    target: int | None,
    encoder: Path | None,
    near: float,
    spelled: str,
    tries: int,
    most_lines: int,
    temperature: float,
    parallel: int,
    per_minute: float | None,
    timeout_s: float,
    most_tokens: int,
    budget_tokens: int | None,
    budget: float | None,
    prices: tuple[float, float],
) -> None:
    """Grow a taxonomy: an LLM is shown what is there, level by level, and proposes what is missing.

    What is spelled or means the same as a type that is there is refused; each decision is a row in TAXONOMY/rounds. The
    same command goes on after any interruption and pays for no answer again. A seed file has a type a line, its levels
    joined by ~; without --seed it is policy/growth/taxonomy/seeds.txt, 115 visual tasks. Without --encoder, the same
    words in any order mean the same; the cosines of a checkpoint are another scale, so give --near with it. Exit code
    1: the budget is spent, or the endpoint is away. PRECEDENT_LLM_KEY is the endpoint's key, if it asks for one.

    \b
    Example:
      precedent taxonomy grow --out taxonomy --llm http://127.0.0.1:8000/v1 --target 19227
      precedent taxonomy grow --seed types.txt --out taxonomy --llm http://127.0.0.1:8000/v1 --budget-tokens 5000000
      precedent taxonomy grow --moderation --levels 3 --out violations --llm http://127.0.0.1:8000/v1
    """
    from policy.growth.calls.ask import LLM
    from policy.growth.calls.asker import Asker, AskingSettings, asking
    from policy.growth.grow.rounds import grow_into
    from policy.growth.grow.settings import VIOLATIONS, VISUAL_TASKS, GrowthSettings, Scope
    from policy.reasoning.endpoint import Endpoint
    from policy.reasoning.teaching.account import Limits, Price

    settings = GrowthSettings(
        model=model,
        subject=subject or (VIOLATIONS if moderation else VISUAL_TASKS),
        levels=levels,
        rounds=rounds,
        least_new=least_new,
        target=target,
        tries=tries,
        most_lines=most_lines,
        near=near,
        spelled=Scope(spelled),
    )
    ask_by = AskingSettings(parallel, per_minute, temperature, {LLM: Price(*prices)}, Limits(budget_tokens, budget))
    llm = Endpoint(
        url, model, secret_in(os.environ, LLM_KEY), timeout_s, patience_s=3 * timeout_s, most_tokens=most_tokens
    )
    types, texts = _seeds(seed, moderation=moderation), _encoder(encoder)

    async def run() -> "tuple[Growth, TaxonomyVersion, Asker]":
        async with asking({LLM: llm}, ask_by) as asker:
            growth, version = await grow_into(folder, types, settings, asker, texts, watch=progress_of)
            return growth, version, asker

    growth, version, asker = asyncio.run(run())
    spent = asker.account.spent[LLM]
    click.echo(told(growth, version))
    click.echo(
        f"{spent.answers} answers, {spent.prompt_tokens} + {spent.completion_tokens} tokens, "
        f"cost {asker.account.money:.4f}"
    )
    if growth.stopped:
        raise CheckFailedError(f"{folder}: {growth.detail}, the same command with more goes on")


def _encoder(checkpoint: Path | None) -> "TextEncoder":
    from policy.growth.grow.meaning import NgramEncoder

    if checkpoint is None:
        return NgramEncoder()
    from transformers.utils.logging import disable_progress_bar

    from policy.growth.encoders.checkpoint import open_encoder

    disable_progress_bar()
    return open_encoder(checkpoint)


def _seeds(seed: Path | None, *, moderation: bool) -> "Taxonomy":
    from policy.growth.taxonomy.folder import read_taxonomy
    from policy.growth.taxonomy.seeds import SEEDS, read_seeds
    from policy.growth.taxonomy.top_labels import check_top_labels, top_labels

    if seed is None:
        return top_labels() if moderation else read_seeds(SEEDS)
    types = read_taxonomy(seed) if seed.is_dir() else read_seeds(seed)
    if moderation:
        try:
            check_top_labels(types)
        except BadInputError as error:
            raise BadInputError(f"--moderation with --seed {seed}: {error}") from None
    return types


def told(growth: "Growth", version: "TaxonomyVersion") -> str:
    """A line a round, what was refused and why, and what there is now."""
    lines = ["round  level  asked  answers  unusable  proposed   kept  refused   leaves"]
    refused = dict[str, int]()
    for one in growth.rounds:
        lines.append(
            f"{one.number:>5}  {one.level:>5}  {one.asked:>5}  {one.answers:>7}  {one.unusable:>8}  "
            f"{one.proposed:>8}  {one.kept:>5}  {one.proposed - one.kept:>7}  {one.leaves:>7}"
        )
        for reason, times in one.refused.items():
            refused[reason] = refused.get(reason, 0) + times
    lines += [f"  refused {times}: {reason}" for reason, times in sorted(refused.items(), key=lambda one: -one[1])]
    levels = ", ".join(f"{count} on level {level}" for level, count in version.by_level.items())
    lines.append(f"{version.version}: {version.nodes} types, {version.leaves} leaves ({levels}); {growth.ending.value}")
    return "\n".join(lines)
