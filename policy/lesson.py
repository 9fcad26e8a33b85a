"""Decided cases in, what they teach out: inputs, labels, which are new, and how many uploads each speaks for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.releases import InputShape
from contracts.taxonomy import N_CATEGORIES, Category
from policy.casebook import Evidence
from policy.sampling import uploads_spoken_for
from serving.preprocess.batch import preprocess
from serving.preprocess.inputs import ModelInputs


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from: N cases, their inputs and labels [N], how many uploads each speaks for, rows of the new.

    targets [N, 16]: the probabilities to learn; of a person's ruling all on its label, of a VLM's the shares of its
    votes, the soft targets of distillation (Hinton et al., arXiv 1503.02531, section 2). Only votes that made a ruling
    are among them, so that they lean to what was ruled.
    """

    cases: list[DecidedCase]
    inputs: ModelInputs
    labels: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float32]
    stands_for: npt.NDArray[np.float32]
    new: npt.NDArray[np.int64]


def lesson_of(evidence: Sequence[Evidence], inputs: InputShape, new: Collection[str]) -> Lesson:
    """What these cases teach; `new` are the ids of those that a parent was not taught.

    Raises `BadInputError` where they are of one category, or none of them is positive.
    """
    cases = [item.case for item in evidence]
    if len({case.category for case in cases}) < 2:
        raise BadInputError(f"{len(cases)} cases of one category, training needs at least two categories")
    if all(case.category is not Category.POSITIVE for case in cases):
        raise BadInputError(f"{len(cases)} cases, 0 positive, training needs positive and violative ones")
    return Lesson(
        cases,
        preprocess([case.upload for case in cases], [item.frames for item in evidence], inputs),
        np.array([case.category.position for case in cases], np.int64),
        targets_of(cases),
        uploads_spoken_for(cases),
        np.flatnonzero([case.case_id in new for case in cases]),
    )


def targets_of(cases: Sequence[DecidedCase]) -> npt.NDArray[np.float32]:
    """What is to be learned of N cases, probabilities [N, 16]: the shares of votes, or all on the category."""
    targets = np.zeros((len(cases), N_CATEGORIES), np.float32)
    for row, case in enumerate(cases):
        if case.votes:
            targets[row] = np.array(case.votes) / sum(case.votes)
        else:
            targets[row, case.category.position] = 1.0
    return targets
