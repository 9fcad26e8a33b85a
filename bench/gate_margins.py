"""Retrainings of a parent on its own cases in; how wide each of the gate's margins must be to let them pass, out.

The rule of `policy/gate/limits.py`: of each figure the mean loss of the retrainings and four standard deviations, by
its one-sided bound where the gate goes by one, rounded up to half a point; of the groups the worst. Words only.
"""

import math
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.gate.releases import NOW, SETTINGS, lineage, word_cases, write
from contracts.errors import CheckFailedError
from contracts.releases import GateResult
from policy.gate.gate import pass_gate
from policy.gate.limits import GateLimits
from policy.lineage import write_release
from policy.train import train

BY_RULE = {
    "binary accuracy": "binary_accuracy",
    "clean videos not demoted": "false_positives",
    "clean videos not removed": "false_removals",
    "harmful videos acted on": "acted_on",
    "nearest precedent agrees": "precedent_agrees",
    "recall of ": "group_recall",
    "ece": "worse_ece",
    "overturned": "overturned",
    "recent_changed": "changed",
}
"""Names of figures, or how they begin, and the margin that each is held against."""
DEVIATIONS, STEP = 4.0, 0.005


def measure(
    *, n_train: int = 3_000, n_golden: int = 2_000, n_traffic: int = 1_000, seeds: Sequence[int] = range(101, 121)
) -> dict[str, Any]:
    """What the retrainings of these seeds lose, and the margins that follow."""
    taught, golden = word_cases(n_train, 1), word_cases(n_golden, 2)
    traffic = [(item.case.upload, None) for item in word_cases(n_traffic, 3)]
    lost = defaultdict[str, list[float]](list)
    with tempfile.TemporaryDirectory(prefix="precedent-margins-") as folder:
        parent, path = Path(folder) / "parent", Path(folder) / "again"
        write_release(train(taught, settings=SETTINGS, seed=0), parent, lineage(taught, 1), settings=SETTINGS, now=NOW)
        for seed in seeds:
            write(train(taught, settings=SETTINGS, seed=seed), taught, path)
            for name, loss in losses_of(pass_gate(path, parent, golden, now=NOW, traffic=traffic)).items():
                lost[name].append(loss)
            shutil.rmtree(path)
    margins = margins_of(lost)
    limits = GateLimits()
    table = Table(title=f"{len(seeds)} retrainings on {n_train:,} cases, {n_golden:,} golden", title_justify="left")
    for column in ("margin", "needs", "is"):
        table.add_column(column, justify="left" if column == "margin" else "right")
    for name, needed in margins.items():
        table.add_row(name, f"{needed:.3f}", f"{getattr(limits, name):.3f}")
    Console(width=100).print(table)
    return {"margins": margins, "lost": dict(lost)}


def losses_of(result: GateResult) -> dict[str, float]:
    """What a retraining loses by each figure: by the one-sided bound of what is compared in pairs."""
    figures = result.figures
    losses = {name.removesuffix(", at least"): -value for name, value in figures.items() if name.endswith(", at least")}
    losses["ece"] = figures["ece, candidate"] - figures["ece, parent"]
    losses["overturned"] = len(result.overturned) / max(figures["upheld"], 1.0)
    losses["recent_changed"] = figures["recent_changed"]
    return {name: loss for name, loss in losses.items() if _margin(name)}


def margins_of(lost: dict[str, list[float]]) -> dict[str, float]:
    """The margin of each rule, in the order of `BY_RULE`: the most that any of its figures needs, and at least 0.

    Raises `CheckFailedError` for a rule that no figure is of, or one retraining alone.
    """
    needed = {}
    for margin in BY_RULE.values():
        of_rule = [losses for name, losses in lost.items() if _margin(name) == margin]
        if not of_rule or min(map(len, of_rule)) < 2:
            raise CheckFailedError(f"{margin}: figures of {len(of_rule)} kinds, must be one at least, of 2 retrainings")
        asked = max(float(np.mean(losses) + DEVIATIONS * np.std(losses, ddof=1)) for losses in of_rule)
        needed[margin] = max(0.0, STEP * math.ceil(round(asked / STEP, 6)))
    return needed


def _margin(figure: str) -> str:
    return next((margin for name, margin in BY_RULE.items() if figure.startswith(name)), "")
