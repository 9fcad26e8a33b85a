"""Two releases' decisions on the same recent videos in; who becomes stricter and who milder out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.releases import Thresholds
from policy.gate.judged import DECISIONS, decide_rows


@dataclass(frozen=True, slots=True)
class DecisionDiff:
    """How decisions on recent traffic change: counts [parent, candidate] by strictness, and whose they are."""

    counts_4_4: npt.NDArray[np.int64]
    stricter: tuple[str, ...]
    milder: tuple[str, ...]

    @property
    def n(self) -> int:
        return int(self.counts_4_4.sum())

    @property
    def changed(self) -> float:
        """Share of the videos whose decision changes."""
        return (len(self.stricter) + len(self.milder)) / self.n if self.n else 0.0

    def table(self) -> str:
        """The counts as text, a row for each decision of the parent."""
        head = f"{'parent / candidate':18s}" + "".join(f"{d.value:>9s}" for d in DECISIONS)
        rows = zip(DECISIONS, self.counts_4_4.tolist(), strict=True)
        return "\n".join([head, *(f"{d.value:18s}" + "".join(f"{count:9,d}" for count in row) for d, row in rows)])

    def refusal(self, *, at_most: float) -> str | None:
        """Why the candidate is refused: it decides too many recent videos otherwise."""
        if self.changed <= at_most:
            return None
        return (
            f"recent traffic: {self.changed:.1%} of {self.n} decisions change ({len(self.stricter)} stricter, "
            f"{len(self.milder)} milder), must be at most {at_most:.1%}"
        )


def diff_decisions(
    video_ids: Sequence[str], parent_N: npt.NDArray[np.int64], candidate_N: npt.NDArray[np.int64]
) -> DecisionDiff:
    """Cross-count N decisions, given as positions in `DECISIONS`."""
    cells = np.bincount(parent_N * len(DECISIONS) + candidate_N, minlength=len(DECISIONS) ** 2)
    stricter, milder = (np.flatnonzero(moved).tolist() for moved in (candidate_N > parent_N, candidate_N < parent_N))
    return DecisionDiff(
        cells.reshape(len(DECISIONS), -1),
        tuple(video_ids[row] for row in stricter),
        tuple(video_ids[row] for row in milder),
    )


def replay(
    video_ids: Sequence[str],
    parent: tuple[npt.NDArray[np.float32], Thresholds],
    candidate: tuple[npt.NDArray[np.float32], Thresholds],
) -> DecisionDiff:
    """Decide N already scored videos by both releases' probabilities [N, 16] and thresholds, and cross-count."""
    (_, before), (_, after) = (decide_rows(*scored) for scored in (parent, candidate))
    return diff_decisions(video_ids, before, after)
