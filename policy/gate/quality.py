"""What two releases said of golden cases in; paired comparisons with intervals, calibration and refusals out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.taxonomy import CATEGORIES, POSITIVE_INDEX, VIOLATIVE, VIOLATIVE_GROUPS
from policy.benchmark.intervals import Interval
from policy.calibration import expected_calibration_error
from policy.decide import toxicity_of
from policy.gate.judged import ALLOW, REMOVE, REVIEW, Judged
from policy.gate.limits import GateLimits

ONE_SIDED, TWO_SIDED = 1.645, 1.960

Bools = npt.NDArray[np.bool_]
Right = Callable[[Judged], Bools]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How often each of two releases is right on the same n cases, and the candidate's gain.

    gain: with its 95% interval. at_least: the one-sided 95% lower bound of the gain.
    """

    name: str
    n: int
    parent: float
    candidate: float
    gain: Interval
    at_least: float
    margin: float

    def refusal(self) -> str | None:
        """Why the candidate is refused: its gain may lie below minus the margin."""
        if self.at_least >= -self.margin:
            return None
        return (
            f"{self.name}: {self.candidate:.3f}, parent {self.parent:.3f}, gain {self.gain.points()}, at least "
            f"{100 * self.at_least:+.1f} points, must be at least {-100 * self.margin:+.1f} ({self.n} golden cases)"
        )


def compare(name: str, parent_right_N: Bools, candidate_right_N: Bools, *, margin: float) -> Comparison:
    """Compare paired rights and wrongs by Wald with half a case added to each of the four cells.

    With nothing discordant the bound still tells few cases from many (Agresti and Min 2005, 2.2).
    """
    n = len(parent_right_N)
    won, lost = int((candidate_right_N & ~parent_right_N).sum()), int((parent_right_N & ~candidate_right_N).sum())
    gain = (won - lost) / (n + 2)
    error = np.sqrt((won + lost + 1) - (won - lost) ** 2 / (n + 2)) / (n + 2)
    return Comparison(
        name,
        n,
        float(parent_right_N.mean()),
        float(candidate_right_N.mean()),
        Interval(gain, float(gain - TWO_SIDED * error), float(gain + TWO_SIDED * error)),
        float(gain - ONE_SIDED * error),
        margin,
    )


def compare_quality(
    parent: Judged, candidate: Judged, labels_N: npt.NDArray[np.int64], limits: GateLimits
) -> list[Comparison]:
    """Compare two releases on N golden cases in every respect that has cases enough to be tested."""
    return [
        compare(name, right(parent)[rows], right(candidate)[rows], margin=margin)
        for name, rows, right, margin in _respects(labels_N, limits)
        if rows.any() and (name in _WHOLE or rows.sum() >= limits.fewest)
    ]


def unguarded(labels_N: npt.NDArray[np.int64], limits: GateLimits) -> dict[str, int]:
    """Violative categories with too few golden cases to be tested one by one, and how many they have."""
    counts = np.bincount(labels_N, minlength=len(CATEGORIES))
    return {c.value: int(counts[c.position]) for c in VIOLATIVE if counts[c.position] < limits.fewest}


_WHOLE = ("binary accuracy", "clean videos not demoted", "clean videos not removed", "harmful videos acted on")


def _respects(labels_N: npt.NDArray[np.int64], limits: GateLimits) -> Iterator[tuple[str, Bools, Right, float]]:
    violative = labels_N != POSITIVE_INDEX
    everything = np.ones(len(labels_N), np.bool_)
    groups = np.array([CATEGORIES[label].group.value for label in labels_N])

    def told(judged: Judged) -> Bools:
        return (judged.decision > ALLOW) == violative

    yield "binary accuracy", everything, told, limits.binary_accuracy
    yield "clean videos not demoted", ~violative, told, limits.false_positives
    yield "clean videos not removed", ~violative, lambda judged: judged.decision < REMOVE, limits.false_removals
    yield "harmful videos acted on", violative, lambda judged: judged.decision >= REVIEW, limits.acted_on
    yield "nearest precedent agrees", everything, lambda j: j.precedent == labels_N, limits.precedent_agrees
    for group in VIOLATIVE_GROUPS:
        yield f"recall of {group.value}", groups == group.value, told, limits.group_recall
    for category in VIOLATIVE:
        rows = labels_N == category.position
        yield f"{category.value} named", rows, lambda j: _likeliest(j) == labels_N, limits.named
    rare = np.isin(labels_N, [c.position for c in VIOLATIVE if c.value in unguarded(labels_N, limits)])
    yield "rare categories named", rare, lambda j: _likeliest(j) == labels_N, limits.named


def _likeliest(judged: Judged) -> npt.NDArray[np.int64]:
    """The likeliest violative category of each video, whether or not it is found violative."""
    return np.asarray(np.delete(judged.probabilities, POSITIVE_INDEX, axis=1).argmax(axis=1), np.int64)


def ece_of(judged: Judged, labels_N: npt.NDArray[np.int64]) -> float:
    """Expected calibration error of the blended toxicity."""
    return expected_calibration_error(toxicity_of(judged.probabilities), labels_N != POSITIVE_INDEX)


def calibration_refusal(parent: float, candidate: float, n: int, limits: GateLimits) -> str | None:
    """Why the candidate is refused for its calibration, from both releases' errors on n golden cases."""
    if candidate <= parent + limits.worse_ece:
        return None
    most = parent + limits.worse_ece
    return f"calibration: ECE {candidate:.3f}, parent {parent:.3f}, must be at most {most:.3f} ({n} golden cases)"


def names_loss_of(judged: Judged, labels_N: npt.NDArray[np.int64]) -> float:
    """Mean cross-entropy, in nats, of the category of the violative cases given that they are violative; 0 without any.

    Of a name that is as often right as before it still tells whether it is as sure as it should be.
    """
    violative = labels_N != POSITIVE_INDEX
    if not violative.any():
        return 0.0
    names = np.delete(judged.probabilities[violative], POSITIVE_INDEX, axis=1).astype(np.float64)
    place = [VIOLATIVE.index(CATEGORIES[label]) for label in labels_N[violative]]
    given = names[np.arange(len(names)), place] / np.maximum(names.sum(axis=1), 1e-12)
    return float(-np.log(np.clip(given, 1e-7, 1.0)).mean())


def names_refusal(parent: float, candidate: float, n: int, limits: GateLimits) -> str | None:
    """Why the candidate is refused: it is less right, or too sure, of the names of n violative golden cases."""
    most = parent + limits.worse_names
    if candidate <= most:
        return None
    return (
        f"names: cross-entropy {candidate:.3f}, parent {parent:.3f}, must be at most {most:.3f} ({n} violative golden "
        "cases)"
    )
