"""The student's input tensors: what preprocessing makes, what training reads, what Triton is sent.

Shapes: B videos, F frames of S x S pixels, L hashed n-grams, `len(SIGNALS)` signals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SIGNALS = (
    # layout: how the video was put together, no word read
    "log_title_chars",
    "log_ocr_chars",
    "log_asr_chars",
    "log_hashtags",
    "log_mentions",
    "log_pictures",
    "pictures_given",
    "log_ocr_segments",
    "log_asr_segments",
    "ascii_share",
    # feedback: log-scaled counters and the report rate per thousand
    "log_impressions",
    "log_reports",
    "log_likes",
    "log_skips",
    "log_reports_per_thousand",
)
N_LAYOUT = 10

Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """A batch of B videos as tensors; the field names are the models' input names.

    frames: uint8 [B, F, S, S, 3]; rows without media are zero; a batch without any is [B, 1, 8, 8, 3].
    ngram_ids: int32 [B, L], each in [0, 3 * buckets): title, OCR and ASR have ranges of their own.
    ngram_counts: uint8 [B, L], how often; 0 is padding.
    signals: float32 [B, len(SIGNALS)], zero where missing.
    present: uint8 [B, len(MODALITIES)], 1 where the modality is there.
    """

    frames: npt.NDArray[np.uint8]
    ngram_ids: npt.NDArray[np.int32]
    ngram_counts: npt.NDArray[np.uint8]
    signals: npt.NDArray[np.float32]
    present: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return int(self.present.shape[0])

    def tensors(self) -> Tensors:
        """Name to array, in the models' order."""
        return {
            "frames": self.frames,
            "ngram_ids": self.ngram_ids,
            "ngram_counts": self.ngram_counts,
            "signals": self.signals,
            "present": self.present,
        }

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer[Any]]) -> "ModelInputs":
        """The videos at `rows`, as a batch of their own."""
        return ModelInputs(**{name: tensor[rows] for name, tensor in self.tensors().items()})
