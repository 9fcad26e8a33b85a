"""A category that was never trained on in, how many of its cases are found: by 0, 1, 5, 20 precedents and a refresh.

Every stage is read at one false positive rate: its line is moved until as few held-out positives are over it as before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contracts.cases import DecidedCase
from contracts.taxonomy import POSITIVE_INDEX, VIOLATIVE, Category
from policy.benchmark.cross_validation import Judge, Probabilities, judge_unseen, labels_of
from policy.benchmark.intervals import Interval, over_cases
from policy.benchmark.sight import Sight, seen

N_PRECEDENTS = (1, 5, 20)
SHARE_HELD_OUT = 0.2
BEFORE, REFRESHED = "before", "refresh"


class PrecedentedJudge(Judge, Protocol):
    """A judge that can be given precedents without being trained again, and be refreshed by rulings."""

    def with_precedents(self, cases: Sequence[DecidedCase]) -> Judge: ...

    def refreshed(self, old: Sequence[DecidedCase], new: Sequence[DecidedCase], *, seed: int) -> Judge: ...


class PrecedentedFit(Protocol):
    """Makes a judge that can be given precedents."""

    def __call__(self, cases: Sequence[DecidedCase], *, seed: int) -> PrecedentedJudge: ...


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Of a category's cases, N in all repetitions: found at each stage, and shares of held-out positives flagged.

    found: stage -> whether each was found, [N], at the false positive rate of before. as_served: the same at the line
    as it stood; flagged: the share of held-out positives at that line.
    """

    category: Category
    found: dict[str, list[bool]] = field(default_factory=dict)
    as_served: dict[str, list[bool]] = field(default_factory=dict)
    flagged: dict[str, list[bool]] = field(default_factory=dict)


def leave_categories_out(
    cases: Sequence[DecidedCase],
    fit: PrecedentedFit,
    *,
    sight: Sight = Sight.WORDS,
    seeds: Sequence[int] = (0, 1, 2),
    tick: Callable[[str], None] = lambda _: None,
) -> list[LeftOut]:
    """Train without each category, then judge those of its cases that became no precedent of any stage.

    A category's stages are those for which it has cases to spare: at least as many are judged as are precedents. All
    of its stages judge the same cases. A fifth of the positive cases is held out as well, to set each stage's line by.
    """
    view = [seen(case, sight) for case in cases]
    labels = labels_of(view)
    rows = []
    for category in VIOLATIVE:
        members = np.flatnonzero(labels == category.position)
        counts = [count for count in N_PRECEDENTS if 2 * count <= len(members)]
        if not counts:
            continue
        row = LeftOut(category)
        for seed in seeds:
            tick(f"without {category.value}, seed {seed}")
            rng = np.random.default_rng(seed)
            positives = np.flatnonzero(labels == Category.POSITIVE.position)
            held_out = rng.choice(positives, round(SHARE_HELD_OUT * len(positives)), replace=False)
            taught = np.setdiff1d(np.arange(len(view)), np.concatenate([members, held_out]))
            shuffled = rng.permutation(members)
            unseen, harmless = ([view[i] for i in which] for which in (shuffled[max(counts) :], held_out))
            old, ruled = ([view[i] for i in which] for which in (taught, shuffled[: max(counts)]))
            without = fit(old, seed=seed)
            stages: dict[str, Judge] = {BEFORE: without}
            stages |= {str(count): without.with_precedents(ruled[:count]) for count in counts}
            stages[REFRESHED] = without.refreshed(old, ruled, seed=seed)
            _judge(row, stages, unseen, harmless)
        rows.append(row)
    return rows


def left_out_table(rows: Sequence[LeftOut]) -> str:
    """Rows as text: each category, then all that have a stage pooled, with 95% intervals, paired with before."""
    stages = [BEFORE, *map(str, N_PRECEDENTS), REFRESHED]
    heads = [BEFORE, *(f"{count} prec." for count in N_PRECEDENTS), REFRESHED]
    lines = [
        "found of a category never trained on, at the false positive rate of before",
        f"{'':24}{'judged':>8}" + "".join(f"{head:>10}" for head in heads),
    ]
    for row in rows:
        cells = (f"{np.mean(row.found[stage]):.3f}" if stage in row.found else "-" for stage in stages)
        lines.append(f"{row.category.value:24}{len(row.found[BEFORE]):>8}" + "".join(f"{cell:>10}" for cell in cells))
    lines.append(f"{'pooled':24}{'judged':>8}{'before':>10}{'then':>24}{'as served':>12}{'false alarms, before':>22}")
    for stage, head in zip(stages[1:], heads[1:], strict=True):
        having = [row for row in rows if stage in row.found]
        if not having:
            continue
        then = pooled(having, stage)
        before = pooled(having, BEFORE).estimate
        served, flagged, flagged_before = (
            float(np.mean([one for row in having for one in getattr(row, name)[of]]))
            for name, of in (("as_served", stage), ("flagged", stage), ("flagged", BEFORE))
        )
        judged = sum(len(row.found[stage]) for row in having)
        alarms = f"{flagged:.3f}, {flagged_before:.3f}"
        lines.append(f"{head:24}{judged:>8}{before:>10.3f}{then!s:>24}{served:>12.3f}{alarms:>22}")
    return "\n".join(lines)


def pooled(rows: Sequence[LeftOut], stage: str) -> Interval:
    """The share found over all cases of the categories, each case as often as it was judged."""
    return over_cases(np.array([[found for row in rows for found in row.found[stage]]]))


def _judge(
    row: LeftOut, stages: Mapping[str, Judge], unseen: Sequence[DecidedCase], harmless: Sequence[DecidedCase]
) -> None:
    """Add what each stage finds, the first of them being what the others are compared with."""
    most: int | None = None
    for name, judge in stages.items():
        found, alarms = (_toxicity(judge_unseen(judge, some)) for some in (unseen, harmless))
        flagged = alarms >= judge.line
        most = int(flagged.sum()) if most is None else most
        row.found.setdefault(name, []).extend((found >= line_of(alarms, most=most)).tolist())
        row.as_served.setdefault(name, []).extend((found >= judge.line).tolist())
        row.flagged.setdefault(name, []).extend(flagged.tolist())


def line_of(harmless_N: npt.NDArray[np.floating], *, most: int) -> float:
    """The lowest line that at most `most` harmless cases are over: just above the next one."""
    ranked = np.sort(harmless_N)[::-1]
    return float(np.nextafter(ranked[most], np.inf)) if most < len(ranked) else 0.0


def _toxicity(probabilities_B_16: Probabilities) -> npt.NDArray[np.floating]:
    return np.asarray(1.0 - probabilities_B_16[:, POSITIVE_INDEX])
