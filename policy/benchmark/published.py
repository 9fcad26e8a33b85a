"""Judgements in, the prediction format that KuaiMod's own scripts read out; and what our rows are to be read with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from contracts.cases import DecidedCase
from contracts.taxonomy import CATEGORIES

N_PUBLISHED_CASES = 1_000


def write_predictions(
    path: Path, cases: Sequence[DecidedCase], judgements_N: Sequence[int | None] | npt.NDArray[np.int64]
) -> None:
    """Write `{"tag": ..., "judgement": ...}` a line in Chinese labels, as the benchmark's own scripts read them.

    A case that was not judged, None, has the judgement "": the scripts leave it out.
    """
    with path.open("wb") as lines:
        for case, judgement in zip(cases, judgements_N, strict=True):
            label = "" if judgement is None else CATEGORIES[int(judgement)].chinese
            record = {"tag": case.category.chinese, "judgement": label}
            lines.write(orjson.dumps(record) + b"\n")


def what_was_seen(n_cases: int, *, trained_here: bool, saw_pictures: int = 0) -> str:
    """The line under a table that says what our rows saw of a case, beside what the published rows did."""
    pictures = f"pictures of {saw_pictures} cases" if saw_pictures else "no picture"
    data = f"{n_cases} of the benchmark's {N_PUBLISHED_CASES:,} cases" if n_cases < N_PUBLISHED_CASES else "all cases"
    taught = ", and was taught by nothing but the other folds" if trained_here else ""
    return (
        f"our rows saw title, OCR and ASR, {pictures}, no user feedback, of {data}{taught}; published rows are the "
        "paper's, on all cases and most of them with pictures"
    )
