"""`precedent vlm`: the moderation VLM, a module for each of its commands."""

import click

from policy.commands.vlm.recipe import recipe
from policy.commands.vlm.refine import deploy, refine, rollback
from policy.commands.vlm.reward_model import pairs, reward_model, teach_pairs
from policy.commands.vlm.teach import teach


@click.group()
def vlm() -> None:
    """Teach, train and serve the vision-language model that rules on cases.

    \b
    Example:
      precedent vlm teach --cases cases.jsonl --out taught --teacher http://127.0.0.1:8000/v1
    """


for command in (teach, recipe, deploy, refine, rollback, pairs, teach_pairs, reward_model):
    vlm.add_command(command)
