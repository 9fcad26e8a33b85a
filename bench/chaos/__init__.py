"""`precedent load` beside a stack whose parts are killed, paused, slowed, filled, added and removed: what is lost."""

import os
from collections.abc import Sequence
from typing import Any

import click

from bench.chaos.run import Act, play
from bench.chaos.schedule import Target, menu

SEED = 7


def measure() -> dict[str, Any]:
    """Ten faults in two minutes; with PRECEDENT_LONG=1 fifty in twenty, on one broker and on three."""
    one = menu(Target.REDIS, disk=True)
    acts: Sequence[Act] = (Act(nodes=1, store=Target.REDIS, choices=one, count=10, length_s=130.0, seed=SEED),)
    if os.environ.get("PRECEDENT_LONG"):
        acts = (
            Act(nodes=1, store=Target.REDIS, choices=one, count=25, length_s=600.0, seed=SEED),
            Act(nodes=3, store=Target.FEATURES, choices=menu(Target.FEATURES, disk=True), count=25, seed=SEED + 1),
        )
    figures = []
    for act in acts:
        click.echo(str(act))
        played = play(act, tell=click.echo)
        figures.append(played)
    return {"acts": figures}
