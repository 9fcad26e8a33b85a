"""A release and cases in, what it says of each and how long it took out: the inputs of every check of the gate."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.releases import Thresholds
from contracts.verdicts import Decision
from contracts.videos import VideoUploaded
from policy.casebook import Frames
from policy.decide import decide
from serving.in_process import InProcessScorer
from serving.preprocess.batch import preprocess
from serving.releases import ReleaseFolder
from serving.scorer import check_probabilities

DECISIONS = tuple(Decision)
"""From mildest to strictest; arrays of decisions hold positions in it."""
ALLOW, REVIEW, REMOVE = (DECISIONS.index(d) for d in (Decision.ALLOW, Decision.REVIEW, Decision.REMOVE))
BATCH = 64


@dataclass(frozen=True, slots=True)
class Judged:
    """What a release says of N videos: blended probabilities [N, 16], category and decision [N] by position.

    precedent: category of the nearest precedent [N], -1 where none is cited. seconds: of each batch, in order.
    """

    probabilities: npt.NDArray[np.float32]
    category: npt.NDArray[np.int64]
    decision: npt.NDArray[np.int64]
    precedent: npt.NDArray[np.int32]
    seconds: npt.NDArray[np.float64]


def decide_rows(
    probabilities_N_16: npt.NDArray[np.float32], thresholds: Thresholds
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Category and decision of N scored videos by position, each [N]."""
    judgements = decide(probabilities_N_16, thresholds)
    position = {decision: index for index, decision in enumerate(DECISIONS)}
    category = np.fromiter((c.position for c, _ in judgements), np.int64, len(judgements))
    return category, np.fromiter((position[d] for _, d in judgements), np.int64, len(judgements))


def judge_all(
    folders: Sequence[ReleaseFolder], uploads: Sequence[VideoUploaded], frames: Sequence[Frames]
) -> list[Judged]:
    """Judge the same N videos with each release, batch by batch in turn, so that what slows one slows the others.

    Raises `BadInputError` when a release's models do not load, or answer with what is no probability.
    """
    scorers = [InProcessScorer({folder.pin: (folder.student, folder.casebook)}) for folder in folders]
    parts: list[list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], float]]] = [[] for _ in folders]
    for start in range(0, len(uploads), BATCH):
        rows = slice(start, start + BATCH)
        for folder, scorer, part in zip(folders, scorers, parts, strict=True):
            inputs = preprocess(uploads[rows], frames[rows], folder.release.inputs)
            if start == 0:
                scorer.score_now(inputs, folder.pin)  # loads the models
            began = time.perf_counter()
            scores = scorer.score_now(inputs, folder.pin)
            took = time.perf_counter() - began
            check_probabilities(scores.probabilities, str(folder.student))
            part.append((scores.probabilities, scores.cited_categories[:, 0], took))
    judged = []
    for folder, part in zip(folders, parts, strict=True):
        probabilities = np.concatenate([p for p, _, _ in part])
        category, decision = decide_rows(probabilities, folder.release.thresholds)
        precedent, seconds = np.concatenate([c for _, c, _ in part]), np.array([s for _, _, s in part])
        judged.append(Judged(probabilities, category, decision, precedent, seconds))
    return judged
