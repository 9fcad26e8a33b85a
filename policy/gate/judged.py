"""A release and cases in, what it says of each and how long it took out: the inputs of every check of the gate."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.releases import InputShape, Thresholds
from contracts.taxonomy import N_CATEGORIES
from contracts.verdicts import Decision
from contracts.videos import VideoUploaded
from policy.casebook import Frames
from policy.decide import decide
from serving.in_process import InProcessScorer
from serving.preprocess.batch import preprocess
from serving.preprocess.inputs import ModelInputs
from serving.releases import ReleaseFolder
from serving.scorer import check_probabilities

DECISIONS = tuple(Decision)
"""From mildest to strictest; arrays of decisions hold positions in it."""
ALLOW, REVIEW, REMOVE = (DECISIONS.index(d) for d in (Decision.ALLOW, Decision.REVIEW, Decision.REMOVE))
BATCH, BATCH_SIDE_BY_SIDE = 64, 256
_Part = tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], float]


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
    folders: Sequence[ReleaseFolder],
    uploads: Sequence[VideoUploaded],
    frames: Sequence[Frames],
    *,
    side_by_side: bool = False,
) -> list[Judged]:
    """Judge the same N videos with each release, batch by batch; inputs of the same shape are made once.

    In turn, so that what slows one slows the others and `seconds` compare; or `side_by_side`, a thread each, which is
    faster and compares no seconds. Raises `BadInputError` when a release's models do not load, or answer with what is
    no probability.
    """
    scorers = [InProcessScorer({folder.pin: (folder.student, folder.casebook)}) for folder in folders]
    size = BATCH_SIDE_BY_SIDE if side_by_side else BATCH
    parts: list[list[_Part]] = [[] for _ in folders]
    with ThreadPoolExecutor(len(folders) if side_by_side else 1) as threads:
        for start in range(0, len(uploads), size):
            rows = slice(start, start + size)
            made: dict[InputShape, ModelInputs] = {}
            for folder in folders:
                shape = folder.release.inputs
                made[shape] = made[shape] if shape in made else preprocess(uploads[rows], frames[rows], shape)
            tasks = [
                threads.submit(_score, folder, scorer, made[folder.release.inputs], warm=start == 0)
                for folder, scorer in zip(folders, scorers, strict=True)
            ]
            for part, task in zip(parts, tasks, strict=True):
                part.append(task.result())
    return [_judged(folder, part) for folder, part in zip(folders, parts, strict=True)]


def _score(folder: ReleaseFolder, scorer: InProcessScorer, inputs: ModelInputs, *, warm: bool) -> _Part:
    if warm:
        scorer.score_now(inputs, folder.pin)  # loads the models
    began = time.perf_counter()
    scores = scorer.score_now(inputs, folder.pin)
    took = time.perf_counter() - began
    check_probabilities(scores.probabilities, str(folder.student))
    return scores.probabilities, scores.cited_categories[:, 0], took


def _judged(folder: ReleaseFolder, parts: Sequence[_Part]) -> Judged:
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Judged(np.zeros((0, N_CATEGORIES), np.float32), nothing, nothing, nothing.astype(np.int32), np.zeros(0))
    probabilities = np.concatenate([p for p, _, _ in parts])
    category, decision = decide_rows(probabilities, folder.release.thresholds)
    precedent, seconds = np.concatenate([c for _, c, _ in parts]), np.array([s for _, _, s in parts])
    return Judged(probabilities, category, decision, precedent, seconds)
