"""Options that commands of the VLM share: how a teacher is asked and what it may cost, how stages are trained."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from policy.commands.options import FILE

if TYPE_CHECKING:
    from policy.reasoning.recipe_settings import Recipe
    from policy.reasoning.training.rewards import ConsistencyJudge

F = TypeVar("F", bound=Callable[..., Any])

ASKING = (
    click.option("--parallel", type=click.IntRange(1, 256), default=4, show_default=True, help="At once."),
    click.option("--per-minute", type=click.FloatRange(0, min_open=True), help="Requests to it [as they come]."),
    click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, 3_600), default=60.0, show_default=True),
    click.option(
        "--most-tokens", type=click.IntRange(1, 1_000_000), default=2_048, show_default=True, help="An answer's."
    ),
    click.option("--budget-tokens", type=click.IntRange(1), help="Stop before so many are spent in all."),
    click.option("--budget", type=click.FloatRange(0, min_open=True), help="Stop before so much money is spent."),
    click.option(
        "--price",
        "prices",
        type=(click.FloatRange(0), click.FloatRange(0)),
        default=(0, 0),
        metavar="PROMPT COMPLETION",
        help="Of a million tokens of the teacher's.",
    ),
)
TRAINING = (
    click.option("--recipe", "settings", type=FILE, help="TOML of what each stage does [the tiny VLM's]."),
    click.option("--judge", help="The endpoint that judges consistency in RL [what the reasoning's words conclude]."),
    click.option("--judge-model", default="default", show_default=True, help="Its name there."),
)


def with_options(options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """Add options to a command, in their order."""

    def decorated(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def trained_by(
    settings: Path | None, judge: str | None, judge_model: str, usual: "Recipe"
) -> "tuple[Recipe, ConsistencyJudge | None]":
    """The recipe that was asked for, and who judges consistency in its RL; the trainers' own bars are off."""
    from transformers.utils.logging import disable_progress_bar

    from policy.reasoning.endpoint import ChatClient, Endpoint
    from policy.reasoning.recipe_settings import read_recipe
    from policy.reasoning.training.consistency import judge_for

    disable_progress_bar()
    recipe = usual if settings is None else read_recipe(settings)
    return recipe, judge_for(recipe.rl, ChatClient(Endpoint(judge, judge_model)) if judge else None)
