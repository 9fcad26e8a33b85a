"""`precedent taxonomy`: growing types and their instruction data, a module for each step's commands."""

import click

from policy.growth.commands.grow import grow
from policy.growth.commands.leaves import accept, leaves, proposals, propose, reject
from policy.growth.commands.match import match
from policy.growth.commands.page import page
from policy.growth.commands.samples import export, questions, referee, strike


@click.group()
def taxonomy() -> None:
    """Grow a taxonomy, match pictures with its types, and make instruction data of them (TaskGalaxy).

    \b
    Example:
      precedent taxonomy grow --out taxonomy --llm http://127.0.0.1:8000/v1
    """


for command in (grow, match, strike, questions, referee, export, page, propose, proposals, accept, reject, leaves):
    taxonomy.add_command(command)
