"""Runs by cell and variant in, figures, tables and a picture out."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from rich.table import Table

from bench.stability.grid import VARIANTS, Cell, Grid, Run

Runs = Mapping[Cell, Mapping[str, Sequence[Run]]]
_Z = 1.959964


def wilson(found: int, of: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share (Brown, Cai and DasGupta, 2001, eq. 4)."""
    if of == 0:
        return 0.0, 1.0
    share, z2 = found / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return middle - half, middle + half


def figures_of(runs: Runs) -> dict[str, Any]:
    """Over all cells by variant, by each condition, and every cell."""
    return {
        "variants": {name: _figures([run for cell in runs.values() for run in cell[name]]) for name in VARIANTS},
        "conditions": {
            str(value): {
                name: _figures([run for cell, by in runs.items() if condition(cell) == value for run in by[name]])
                for name in VARIANTS
            }
            for condition in _CONDITIONS
            for value in dict.fromkeys(condition(cell) for cell in runs)
        },
        "cells": [
            {**cell._asdict(), **{name: _figures(some) for name, some in by.items()}} for cell, by in runs.items()
        ],
    }


_CONDITIONS: tuple[Callable[[Cell], str], ...] = (
    lambda cell: cell.rewards,
    lambda cell: f"{cell.steps} steps a rollout",
    lambda cell: f"learning rate {cell.learning_rate:g}",
    lambda cell: f"sampler {cell.lag} rollouts old",
)


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    went_on = [run for run in runs if not run.diverged]
    counts = {what: sum(getattr(run, what) for run in runs) for what in ("diverged", "collapsed", "failed")}
    mean: Callable[[str], float] = lambda name: (  # noqa: E731
        sum(getattr(run, name) for run in went_on) / len(went_on) if went_on else math.nan
    )
    return {
        "runs": len(runs),
        **counts,
        **{f"{what}_95": wilson(found, len(runs)) for what, found in counts.items()},
        **{name: mean(name) for name in ("reward_before", "reward_after", "right_after", "entropy_after")},
    }


def tables_of(figures: Mapping[str, Any], runs: Runs, grid: Grid) -> list[Table | str]:
    """By variant with intervals, by condition, by cell."""
    of = next(iter(figures["variants"].values()))["runs"]
    whole = _table(
        f"{of} runs a variant: {len(runs)} cells of {grid.seeds}; 95% by Wilson, as if runs of a cell were no more "
        "alike than others",
        ["", "diverged", "collapsed", "either", "reward before", "after", "right after", "entropy after"],
    )
    for name, found in figures["variants"].items():
        whole.add_row(
            name,
            *(_share(found, what) for what in ("diverged", "collapsed", "failed")),
            *(f"{found[what]:.3f}" for what in ("reward_before", "reward_after", "right_after", "entropy_after")),
        )
    by_condition = _table("Diverged + collapsed of runs, and reward after, by condition", ["", *VARIANTS])
    for condition, variants in figures["conditions"].items():
        by_condition.add_row(condition, *(_short(variants[name]) for name in VARIANTS))
    steps = ", ".join(map(str, grid.steps))
    by_cell = _table(
        f"Diverged + collapsed of {grid.seeds} runs at {steps} steps a rollout, by cell",
        ["rewards", "learning rate", "sampler", *VARIANTS],
    )
    for rewards in grid.rewards:
        for learning_rate in grid.learning_rates:
            for lag in grid.lags:
                some = [runs[Cell(rewards, steps, learning_rate, lag)] for steps in grid.steps]
                by_cell.add_row(
                    rewards, f"{learning_rate:g}", "fresh" if lag == 0 else f"{lag} old",
                    *(", ".join(_counts(cell[name]) for cell in some) for name in VARIANTS),
                )  # fmt: skip
    return [whole, by_condition, by_cell]


def _counts(runs: Sequence[Run]) -> str:
    return f"{sum(run.diverged for run in runs)}+{sum(run.collapsed for run in runs)}"


def _share(found: Mapping[str, Any], what: str) -> str:
    low, high = found[f"{what}_95"]
    return f"{found[what]:,} = {found[what] / found['runs']:.1%} [{low:.1%}, {high:.1%}]"


def _short(found: Mapping[str, Any]) -> str:
    return f"{found['diverged']}+{found['collapsed']} of {found['runs']}, {found['reward_after']:.2f}"


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", min_width=120)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def picture_of(runs: Runs, grid: Grid) -> str:
    """A self-contained SVG: a square a cell and variant, the darker the more of its runs failed."""
    side, left, top = 14, 300, 92
    width = left + len(VARIANTS) * (len(grid.steps) * side + 20) + 120
    lines = [(r, rate, lag) for r in grid.rewards for rate in grid.learning_rates for lag in grid.lags]
    height = top + len(lines) * side + 60
    drawn = [_text(10, 20, "Share of runs that diverged or collapsed: white none, dark red all", size=13)]
    for column, name in enumerate(VARIANTS):
        x = left + column * (len(grid.steps) * side + 20)
        drawn.append(_text(x, top - 24, name, size=9, turned=True))
        drawn += [_text(x + row * side + 2, top - 6, str(steps), size=8) for row, steps in enumerate(grid.steps)]
    for row, (rewards, rate, lag) in enumerate(lines):
        y = top + row * side
        drawn.append(_text(10, y + 11, f"{rewards}, {rate:g}, {'fresh' if lag == 0 else f'{lag} old'}", size=10))
        for column, name in enumerate(VARIANTS):
            for number, steps in enumerate(grid.steps):
                some = runs[Cell(rewards, steps, rate, lag)][name]
                share = sum(run.failed for run in some) / len(some)
                x = left + column * (len(grid.steps) * side + 20) + number * side
                shade = f"rgb({round(255 - 115 * share)},{round(255 * (1 - share))},{round(255 * (1 - share))})"
                told = f"{name}, {rewards}, {steps} steps, {rate:g}, lag {lag}: {share:.0%}"
                drawn.append(
                    f'<rect x="{x}" y="{y}" width="{side - 1}" height="{side - 1}" fill="{shade}" stroke="#999" '
                    f'stroke-width="0.5"><title>{escape(told)}</title></rect>'
                )
    drawn.append(_text(10, height - 20, "columns of a variant: steps a rollout; rows: rewards, rate, sampler", size=10))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(drawn)}</svg>\n'
    )


def _text(x: float, y: float, text: str, *, size: int, turned: bool = False) -> str:
    turn = f' transform="rotate(-20 {x} {y})"' if turned else ""
    return f'<text x="{x}" y="{y}" font-size="{size}"{turn}>{escape(text)}</text>'
