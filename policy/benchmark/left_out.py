"""A category that was never trained on in, how many of its cases are found out: without and with 5 precedents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from contracts.cases import DecidedCase
from contracts.taxonomy import VIOLATIVE, Category
from policy.benchmark.cross_validation import Judge, judge_unseen, labels_of, toxic
from policy.benchmark.sight import Sight, seen

N_PRECEDENTS = 5
SHARE_HELD_OUT = 0.2


class PrecedentedJudge(Judge, Protocol):
    """A judge that can be given precedents without being trained again."""

    def with_precedents(self, cases: Sequence[DecidedCase]) -> Judge: ...


class PrecedentedFit(Protocol):
    """Makes a judge that can be given precedents."""

    def __call__(self, cases: Sequence[DecidedCase], *, seed: int) -> PrecedentedJudge: ...


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Shares judged violative, over all repetitions, of a category's `judged` cases and of positives held out."""

    category: Category
    judged: int
    found: float
    found_with_precedents: float
    positives_flagged: float
    positives_flagged_with_precedents: float


def leave_categories_out(
    cases: Sequence[DecidedCase],
    fit: PrecedentedFit,
    *,
    sight: Sight = Sight.WORDS,
    seeds: Sequence[int] = (0, 1, 2),
    tick: Callable[[str], None] = lambda _: None,
) -> list[LeftOut]:
    """Train without each category that has more than 5 cases, then judge those that did not become precedents.

    A fifth of the positive cases is held out as well: what is found must not be paid for with false alarms.
    """
    view = [seen(case, sight) for case in cases]
    labels = labels_of(view)
    rows = []
    for category in VIOLATIVE:
        members = np.flatnonzero(labels == category.position)
        if len(members) <= N_PRECEDENTS:
            continue
        shares = []
        for seed in seeds:
            tick(f"without {category.value}, seed {seed}")
            rng = np.random.default_rng(seed)
            positives = np.flatnonzero(labels == Category.POSITIVE.position)
            held_out = rng.choice(positives, round(SHARE_HELD_OUT * len(positives)), replace=False)
            taught = np.setdiff1d(np.arange(len(view)), np.concatenate([members, held_out]))
            shuffled = rng.permutation(members)
            known, unseen = shuffled[:N_PRECEDENTS], shuffled[N_PRECEDENTS:]
            without = fit([view[i] for i in taught], seed=seed)
            judges: tuple[Judge, Judge] = (without, without.with_precedents([view[i] for i in known]))
            shares.append(
                [
                    toxic(judge_unseen(judge, [view[i] for i in which]), judge.line).mean()
                    for which in (unseen, held_out)
                    for judge in judges
                ]
            )
        mean = np.mean(shares, axis=0).tolist()
        rows.append(LeftOut(category, len(members) - N_PRECEDENTS, *mean))
    return rows


def left_out_table(rows: Sequence[LeftOut]) -> str:
    """Rows as text, the last one over all cases."""
    total = sum(row.judged for row in rows)

    def overall(name: str) -> float:
        return sum(getattr(row, name) * row.judged for row in rows) / total if total else np.nan

    shown = ("found", "found_with_precedents", "positives_flagged", "positives_flagged_with_precedents")
    lines = [
        f"{'never trained on':24}{'judged':>8}{'found':>10}{'+5 prec.':>10}{'false al.':>11}{'+5 prec.':>10}",
        *(_line(row.category.value, row.judged, [getattr(row, name) for name in shown]) for row in rows),
    ]
    return "\n".join([*lines, _line("all", total, [overall(name) for name in shown])])


def _line(name: str, judged: int, shares: Sequence[float]) -> str:
    found, found_with, flagged, flagged_with = shares
    return f"{name:24}{judged:>8}{found:>10.3f}{found_with:>10.3f}{flagged:>11.3f}{flagged_with:>10.3f}"
