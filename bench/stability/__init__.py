"""Where does StableReinforce go on that Reinforce++ does not? A grid of tiny policies, ten runs a cell and variant.

Each is a recurrent policy of a few thousand weights, taught by supervision to answer prompts in the form, then trained
by the very functions that train the VLM, in float32. Which conditions are run, and what counts as diverged and as
collapsed, stands in `grid` and was fixed before the first run. What it shows of seven thousand million weights is only
that the arithmetic is the same; nothing here says how often a large model meets these conditions.

What it showed, with seed 0: nothing diverged in any variant, and the variants collapse alike (Reinforce++ 33.0%,
StableReinforce 32.4%, of 900 runs each): what decides is the learning rate and an old sampler. The filter costs more
than it gives where right answers are rare, for then they are the outliers. Log-ratios rose to 68 at most where they
were looked at, below the 88.7 at which float32 overflows: what Pre-Clip prevents did not come up.
"""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from bench.stability.grid import GRID, REWARDS, Grid
from bench.stability.report import figures_of, picture_of, tables_of

PICTURE = Path(".state/bench/stability.svg")


def measure(*, grid: Grid = GRID, seed: int = 0, picture: Path = PICTURE) -> dict[str, Any]:
    """Every cell of the grid on one thread, its tables and a picture; six minutes of one idle core at the defaults."""
    import torch

    from bench.stability.training import run_cell, warmed_up

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        starts = {name: warmed_up(REWARDS[name], grid, seed + 1_000 * place) for place, name in enumerate(grid.rewards)}
        cells = track(list(enumerate(grid.cells())), "cells", console=Console(stderr=True), disable=not _watched())
        runs = {cell: run_cell(cell, starts[cell.rewards], grid, seed + 100_000 + 10 * row) for row, cell in cells}
    finally:
        torch.set_num_threads(threads)
    figures = figures_of(runs)
    console = Console(width=190)
    for shown in tables_of(figures, runs, grid):
        console.print(shown, highlight=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(picture_of(runs, grid), encoding="utf-8")
    console.print(f"picture: {picture}", highlight=False)
    return {"seed": seed, "seeds": grid.seeds, "rollouts": grid.rollouts, **figures}


def _watched() -> bool:
    return sys.stderr.isatty()
