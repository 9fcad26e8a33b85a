"""A trained student and cases that it was not taught in; it calibrated, and what it says of them, out."""

import numpy as np
import numpy.typing as npt
import torch

from contracts.taxonomy import POSITIVE_INDEX
from policy.calibration import fit_temperature
from policy.lesson import Lesson
from policy.text_fit import TextFit, log_probabilities
from serving.preprocess.inputs import ModelInputs
from serving.student import FRAMES, Student

LEAST_SPREAD = 0.01
"""Added to the variance of each direction of pictures, as a share of the mean variance."""


def calibrated(
    student: Student,
    lesson: Lesson,
    text: TextFit,
    taught: npt.NDArray[np.int64],
    judged: npt.NDArray[np.int64],
    share: float | None,
) -> npt.NDArray[np.float32]:
    """Calibrate the student in place on the judged rows; returns what it says of them, out of sample, [J, 16]."""
    logits, pictures = _out_of_sample(student, lesson.inputs, text)
    fused, labels = student.shape.fused, lesson.labels
    if fused:
        _whiten(student, pictures[np.intersect1d(taught, np.flatnonzero(lesson.inputs.present[:, FRAMES]))])
    calibrating = judged if fused else judged[labels[judged] != POSITIVE_INDEX]
    named = slice(None) if fused else slice(POSITIVE_INDEX)
    temperature, bias = fit_temperature(
        logits[calibrating, named], labels[calibrating], stands_for_N=lesson.stands_for[calibrating]
    )
    student.log_temperature.fill_(float(np.log(temperature)))
    student.class_bias[named] = torch.from_numpy(bias)
    logits = _for_share(student, logits, labels[judged], share, lesson.stands_for[judged])
    return student.calibrated(torch.from_numpy(logits[judged])).numpy()


def _out_of_sample(
    student: Student, inputs: ModelInputs, text: TextFit, *, batch: int = 64
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Uncalibrated logits [N, 16] as a new video would get them, from unseen wide logits, and pictures [N, P]."""
    if not student.shape.fused:
        return text.out_of_sample, np.zeros((len(inputs), 0), np.float32)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch):
            rows = slice(start, start + batch)
            words, embedding = (torch.from_numpy(a[rows]) for a in (text.out_of_sample, text.embedding))
            present = torch.from_numpy(inputs.present[rows])
            picture = student.eval().picture(torch.from_numpy(inputs.frames[rows]), present)
            signals = torch.from_numpy(inputs.signals[rows])
            parts.append((student.fuse(words, embedding, picture, signals, present).numpy(), picture.numpy()))
    logits_N_16, pictures_N_P = (np.concatenate(column) for column in zip(*parts, strict=True))
    return logits_N_16, pictures_N_P


def _whiten(student: Student, pictures_N_P: npt.NDArray[np.float32]) -> None:
    """Centre and whiten what precedents are searched by on the taught videos' pictures; the least spread is held.

    A direction in which they hardly differ would else be all that pictures are compared by.
    """
    if len(pictures_N_P) < 2:
        return
    variances, directions = np.linalg.eigh(np.cov(pictures_N_P.T.astype(np.float64)))
    variances = np.maximum(variances, 0.0)
    whitening = directions / np.sqrt(variances + max(LEAST_SPREAD * variances.mean(), 1e-9))
    student.picture_mean.copy_(torch.from_numpy(pictures_N_P.mean(axis=0)))
    student.picture_whitening.copy_(torch.from_numpy(whitening))


def _for_share(
    student: Student,
    logits_N_16: npt.NDArray[np.float32],
    labels_N: npt.NDArray[np.int64],
    share: float | None,
    stands_for_N: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Move the student's odds of positive from the cases' share of violative ones to `share`; returns its logits then.

    By Bayes' rule the odds change by the ratio of the prior odds (Saerens et al., Neural Computation 14(1), 2002,
    eq. 2.4). Cases are opened where the release doubts, so their share of violative videos says nothing of uploads:
    without this every refresh would move what a score means.
    """
    among = float(np.average(labels_N != POSITIVE_INDEX, weights=stands_for_N)) if len(labels_N) else 0.0
    if share is None or not 0.0 < among < 1.0:
        return logits_N_16
    moved = np.float32(np.log((1.0 - share) / share) - np.log((1.0 - among) / among))
    if student.shape.fused:
        student.class_bias[POSITIVE_INDEX] += moved
        return logits_N_16
    student.text.stack[2] += moved
    log_p = logits_N_16[:, POSITIVE_INDEX]
    odds = log_p - np.log(-np.expm1(np.minimum(log_p, -1e-7))) + moved
    z = np.concatenate([logits_N_16[:, :POSITIVE_INDEX], odds[:, None]], axis=1)
    return log_probabilities(z.astype(np.float32))
