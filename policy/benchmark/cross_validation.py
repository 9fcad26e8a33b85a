"""Cases and ways to fit in, who was judged how by models that never met them out: k folds, several seeds.

All fits of a seed share its folds, so that their rows can be compared case by case.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, CheckFailedError
from contracts.taxonomy import POSITIVE_INDEX
from policy.benchmark.columns import Columns, judge_columns, mean_columns
from policy.benchmark.intervals import Interval, over_cases, paired_gain
from policy.benchmark.sight import Sight, seen

Probabilities = npt.NDArray[np.floating[Any]]


class Judge(Protocol):
    """A fitted model: violative from toxicity `line` on; `taught` are the ids of all cases it learned anything from."""

    @property
    def line(self) -> float: ...

    @property
    def taught(self) -> frozenset[str]: ...

    def probabilities(self, cases: Sequence[DecidedCase]) -> Probabilities:
        """[B, 16] in the order of `CATEGORIES`."""
        ...


class Fit(Protocol):
    """Makes a judge of cases: all that it learns, calibration, thresholds and casebook included, comes from them."""

    def __call__(self, cases: Sequence[DecidedCase], *, seed: int) -> Judge: ...


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to fit and what it may see of a case."""

    sight: Sight
    fit: Fit


@dataclass(frozen=True, slots=True)
class Judged:
    """How one contender judged N cases in S splits, each case by a model that had not met it."""

    labels_N: npt.NDArray[np.int64]
    violative_S_N: npt.NDArray[np.bool_]
    category_S_N: npt.NDArray[np.int64]
    seconds_per_fold: list[float] = field(default_factory=list)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each split judged each case right, violative or not: [S, N]."""
        return self.violative_S_N == (self.labels_N != POSITIVE_INDEX)

    def columns(self) -> Columns:
        """The benchmark's columns, mean over the splits."""
        return mean_columns([judge_columns(self.labels_N, split) for split in self.violative_S_N])

    def accuracy(self) -> Interval:
        return over_cases(self.right)

    def gain_over(self, other: "Judged") -> Interval:
        """Paired gain in binary accuracy on the same cases and splits."""
        return paired_gain(self.right, other.right)


def cross_validate(
    cases: Sequence[DecidedCase],
    contenders: Mapping[str, Contender],
    *,
    folds: int = 5,
    seeds: Sequence[int] = (0, 1, 2),
    tick: Callable[[str], None] = lambda _: None,
) -> dict[str, Judged]:
    """Judge every case once per seed by models fitted on the other folds, stratified by violative or not.

    Raises `BadInputError` when there are too few cases for the folds, and `CheckFailedError` naming a case that a
    model was taught and then judged.
    """
    labels = labels_of(cases)
    violative = labels != POSITIVE_INDEX
    fewest = int(min(violative.sum(), (~violative).sum()))
    if not 2 <= folds <= fewest:
        raise BadInputError(f"{folds} folds, must be from 2 to {fewest}, the fewer of positive and violative cases")
    found = {
        name: Judged(labels, np.zeros((len(seeds), len(cases)), np.bool_), np.zeros((len(seeds), len(cases)), np.int64))
        for name in contenders
    }
    views = {sight: [seen(case, sight) for case in cases] for sight in {c.sight for c in contenders.values()}}
    for split, seed in enumerate(seeds):
        for fold, (taught, left) in enumerate(stratified(violative, folds, seed)):
            for name, contender in contenders.items():
                tick(f"seed {seed}, fold {fold + 1}/{folds}: {name}")
                view = views[contender.sight]
                start = perf_counter()
                judge = contender.fit([view[i] for i in taught], seed=seed)
                probabilities = judge_unseen(judge, [view[i] for i in left])
                found[name].seconds_per_fold.append(perf_counter() - start)
                found[name].violative_S_N[split, left] = toxic(probabilities, judge.line)
                found[name].category_S_N[split, left] = judgement(probabilities, judge.line)
    return found


def stratified(
    violative_N: npt.NDArray[np.bool_], folds: int, seed: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Rows taught and rows left out of each fold, with the same share of violative cases in each."""
    from sklearn.model_selection import StratifiedKFold

    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(violative_N, violative_N)
    return [(taught, left) for taught, left in splits]


def judge_unseen(judge: Judge, cases: Sequence[DecidedCase]) -> Probabilities:
    """Probabilities [B, 16] of cases; raises `CheckFailedError` where the judge was taught one of them."""
    if met := judge.taught & {case.case_id for case in cases}:
        raise CheckFailedError(f"case {min(met)} was taught to the model that judges it ({len(met)} such cases)")
    return judge.probabilities(cases)


def labels_of(cases: Sequence[DecidedCase]) -> npt.NDArray[np.int64]:
    return np.array([case.category.position for case in cases], np.int64)


def toxic(probabilities_B_16: Probabilities, line: float) -> npt.NDArray[np.bool_]:
    return 1.0 - probabilities_B_16[:, POSITIVE_INDEX] >= line


def judgement(probabilities_B_16: Probabilities, line: float) -> npt.NDArray[np.int64]:
    """The one label of each case: the likeliest violative category where it is toxic, else positive."""
    likeliest = probabilities_B_16[:, :POSITIVE_INDEX].argmax(axis=1)
    return np.where(toxic(probabilities_B_16, line), likeliest, POSITIVE_INDEX).astype(np.int64)
