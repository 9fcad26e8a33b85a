"""Tensors in, scores out: the protocol that Triton and in-process ONNX Runtime both implement."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.releases import Pin
from serving.preprocess.inputs import ModelInputs

N_CITED = 5


@dataclass(frozen=True, slots=True)
class Scores:
    """What the models say of B videos.

    probabilities: float32 [B, 16], classifier and precedents blended, calibrated.
    classifier: float32 [B, 16], the student alone, calibrated.
    cited_ids: object [B, N_CITED], case ids of the nearest precedents as str, "" where there is none.
    cited_categories: int32 [B, N_CITED], index into `CATEGORIES`, -1 where there is none.
    cited_similarities: float32 [B, N_CITED], cosine in [-1, 1], highest first, -1 where there is none.
    """

    probabilities: npt.NDArray[np.float32]
    classifier: npt.NDArray[np.float32]
    cited_ids: npt.NDArray[np.object_]
    cited_categories: npt.NDArray[np.int32]
    cited_similarities: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.probabilities.shape[0])

    def take(self, rows: npt.NDArray[np.intp]) -> "Scores":
        """The scores of the videos at `rows`, in that order."""
        return Scores(
            self.probabilities[rows],
            self.classifier[rows],
            self.cited_ids[rows],
            self.cited_categories[rows],
            self.cited_similarities[rows],
        )


def check_probabilities(probabilities_B_16: npt.NDArray[np.float32], place: str) -> None:
    """Raise `BadInputError` naming `place` unless each row is of probabilities that sum to 1 within 1e-3."""
    off = float(np.abs(probabilities_B_16.sum(axis=1) - 1.0).max(initial=0.0))
    if not np.isfinite(off) or off > 1e-3 or probabilities_B_16.min(initial=0.0) < -1e-6:
        raise BadInputError(f"{place}: probabilities sum to 1 within {off:.3g}, must be within 1e-3")


class Scorer(Protocol):
    """Scores a batch with the pinned release and casebook.

    Raises `DependencyError` when the models cannot be reached within the deadline (try again later), and
    `BadInputError` when the pinned versions do not exist or the tensors are refused.
    """

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores: ...

    async def ready(self, pin: Pin) -> bool: ...

    async def close(self) -> None: ...
