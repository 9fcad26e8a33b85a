"""What was found of a trend at each stage in; shares with their intervals, and the table with its aims, out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from simulation.trends.settings import TRENDS, TrendScenario

BY_PRECEDENTS, AFTER_REFRESH, LEAST_CHANGE = 0.6, 0.9, -0.01
RESAMPLES = 2_000

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Stage:
    """What was found at one stage, a stratum for each seed (and trend): a row a draw, a column a video."""

    of_trend: dict[str, list[Bools]]
    as_served: dict[str, list[Bools]]
    look_alikes: list[Bools]
    harmless: list[Bools]
    harmless_as_served: list[Bools]
    old: list[Bools]

    @classmethod
    def empty(cls) -> "Stage":
        return cls({name: [] for name in TRENDS}, {name: [] for name in TRENDS}, [], [], [], [])


def line_for(harmless_N: Floats, served: float, *, most: int) -> float:
    """Where the line must be for at most `most` harmless videos to be over it, and over no more than needed.

    Where even the served line lets fewer over, it is lowered to be as strict as it may.
    """
    ranked = np.sort(harmless_N)[::-1]
    if most >= len(ranked):
        return min(served, float(ranked[-1]))
    return float(np.nextafter(ranked[most], np.float32(2.0)))


def pigeonhole(strata: Sequence[npt.NDArray[Any]], *, seed: int = 0) -> npt.NDArray[np.float64]:
    """Means of strata [draws, videos], each stratum alike, draws and videos resampled apart: [RESAMPLES].

    Owen (2007), "The pigeonhole bootstrap": its variance is never too small for a crossed random effect.
    """
    rng = np.random.default_rng(seed)
    means = np.zeros(RESAMPLES)
    for values in strata:
        n_draws, n = values.shape
        by_draw = rng.multinomial(n_draws, np.full(n_draws, 1 / n_draws), RESAMPLES) / n_draws
        by_video = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
        means += np.einsum("rn,rn->r", by_draw @ values.astype(np.float64), by_video) / len(strata)
    return means


def figures_of(stage: Stage, before: Stage) -> dict[str, Any]:
    """Shares with their 95% intervals, and the change on old categories with its one-sided 95% lower bound."""
    every = [stratum for name in TRENDS for stratum in stage.of_trend[name]]
    change = [
        after.astype(np.float64) - old.astype(np.float64) for after, old in zip(stage.old, before.old, strict=True)
    ]
    return {
        "recall": _share(every),
        **{f"recall_{name}": _share(stage.of_trend[name]) for name in TRENDS},
        "recall_as_served": _share([stratum for name in TRENDS for stratum in stage.as_served[name]]),
        "look_alikes": _share(stage.look_alikes),
        "harmless": _share(stage.harmless),
        "harmless_as_served": _share(stage.harmless_as_served),
        "old": _share(stage.old),
        "old_change": float(np.mean([stratum.mean() for stratum in change])),
        "old_change_at_least": float(np.quantile(pigeonhole(change), 0.05)),
    }


def report(figures: Mapping[str, Any], scenario: TrendScenario, seeds: Sequence[int], draws: int) -> list[Table | str]:
    """The table and the aims, each reached or missed and by how much."""
    n = figures["before"]["recall"]["n"]
    title = (
        f"Recall of {len(TRENDS)} trends that nobody was taught: {n:,} videos of seeds {', '.join(map(str, seeds))}, "
        f"{draws} draws of precedents, {scenario.wrong:.0%} of rulings wrong"
    )
    table = Table(title=title, title_justify="left", min_width=130)
    columns = (
        "",
        *TRENDS,
        "both",
        "as served",
        "look-alikes",
        "harmless",
        "served",
        "old categories",
        "change, at least",
    )
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for name, row in figures.items():
        shares = [_told(row[f"recall_{trend}"]) for trend in TRENDS]
        shares += [_told(row["recall"]), f"{row['recall_as_served']['share']:.3f}", _told(row["look_alikes"])]
        shares += [f"{row[which]['share']:.4f}" for which in ("harmless", "harmless_as_served")]
        shares += [f"{row['old']['share']:.4f}", f"{row['old_change']:+.4f}, {row['old_change_at_least']:+.4f}"]
        table.add_row(name, *shares)
    ns = {which: figures["before"][which]["n"] for which in ("look_alikes", "harmless", "old")}
    most = f"{max(scenario.precedents)} precedents"
    old = min(row["old_change_at_least"] for row in figures.values())
    return [
        table,
        f"n: {n:,} of trends, {ns['look_alikes']:,} look-alikes, {ns['harmless']:,} harmless, {ns['old']:,} of old "
        f"categories; in brackets 95%, videos and draws resampled, the line as it was found",
        _aim(f"{most}, no training", figures[most]["recall"]["share"], BY_PRECEDENTS),
        _aim("after the refresh", figures["after the refresh"]["recall"]["share"], AFTER_REFRESH),
        _aim("old categories, least lower bound of the change", old, LEAST_CHANGE),
    ]


def _aim(what: str, found: float, asked: float) -> str:
    reached = "reached" if found >= asked else f"MISSED by {asked - found:.4f}"
    return f"{what}: {found:.4f}, asked for {asked}: {reached}"


def _share(strata: Sequence[Bools]) -> dict[str, float]:
    low, high = np.quantile(pigeonhole(strata), [0.025, 0.975])
    n = sum(stratum.shape[1] for stratum in strata)
    share = float(np.mean([stratum.mean() for stratum in strata]))
    return {"share": share, "low": float(low), "high": float(high), "n": n}


def _told(share: Mapping[str, float]) -> str:
    return f"{share['share']:.3f} [{share['low']:.3f}, {share['high']:.3f}]"
