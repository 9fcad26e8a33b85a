"""Decided cases in, a release folder out: text tower, fusion, calibration, casebook, thresholds, manifest.

    cases + frames -> inputs -> text tower (wide, out of sample) -> fusion -> calibration
                             -> precedents (own case masked) -> thresholds -> release

What judges the model never taught it: a case's wide logits, its precedents and its place among the thresholds
come from fits that did not see it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, CheckFailedError
from contracts.releases import InputShape, Release, Thresholds
from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from policy.calibration import choose_thresholds, expected_calibration_error, fit_temperature
from policy.casebook import Evidence, choose_precedents, write_precedents
from policy.costs import Costs, thresholds_by_cost
from policy.evidence import digest_of_cases, write_taught
from policy.fusion import FusionSettings, Weights, fit_fusion, write_weights
from policy.releases import new_folder, write_manifest
from policy.text_fit import TextFit, TextSettings, fit_text, log_probabilities
from serving.casebook import Blend, Casebook, search, write_casebook
from serving.preprocess.batch import preprocess
from serving.preprocess.inputs import ModelInputs
from serving.releases import CASEBOOK, PRECEDENTS, STUDENT, TAUGHT, WEIGHTS
from serving.student import FRAMES, Student, StudentShape

Tick = Callable[[str], None]
LEAST_SPREAD = 0.01
"""Added to the variance of each direction of pictures, as a share of the mean variance."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What `train` may be told; `fused` None fuses where there are enough cases with frames to learn from.

    violative_share: of the videos that the probabilities are to hold for; None: as among the cases. costs: choose the
    lines of review and removal by what errors cost; None: by precision (`choose_thresholds`).
    as_like_as: a precedent is heard by videos more like it than all but this share of random pairs of cases are.
    """

    inputs: InputShape = InputShape(n_frames=9, frame_px=64, text_buckets=65_536, max_ngrams=4_096)
    text: TextSettings = field(default_factory=TextSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    fused: bool | None = None
    fewest_cases_to_fuse: int = 300
    held_out_share: float = 0.2
    precedents_at_most: int = 2_000
    as_like_as: float = 0.01
    violative_share: float | None = None
    costs: Costs | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A trained policy in memory: the student, its casebook, thresholds and what was measured out of sample."""

    student: Student
    casebook: Casebook
    precedents: list[Evidence]
    thresholds: Thresholds
    metrics: dict[str, float]


def train(
    evidence: Sequence[Evidence],
    *,
    settings: TrainSettings,
    seed: int,
    start: Weights | None = None,
    stands_for: npt.NDArray[np.float32] | None = None,
    tick: Tick = lambda _: None,
    progress: Tick = lambda _: None,
) -> Policy:
    """Train a policy from N decided cases, the fused part from the weights in `start` where they are given.

    `stands_for` [N] is how many uploads each case speaks for where the certainty of scores is chosen; 1 unless told.

    Raises `BadInputError` when the cases hold fewer than two categories, `CheckFailedError` when training diverges.
    """
    cases = [item.case for item in evidence]
    if len({case.category for case in cases}) < 2:
        raise BadInputError(f"{len(cases)} cases of one category, training needs at least two categories")
    rng = np.random.default_rng(seed)
    inputs = preprocess([case.upload for case in cases], [item.frames for item in evidence], settings.inputs)
    labels = np.array([case.category.position for case in cases], np.int64)
    tick(f"text tower on {len(cases)} cases")
    buckets = settings.inputs.text_buckets
    text = fit_text(inputs, labels, buckets=buckets, settings=settings.text, seed=seed, stands_for=stands_for)
    with_frames = int(inputs.present[:, FRAMES].sum())
    fused = settings.fused if settings.fused is not None else with_frames >= settings.fewest_cases_to_fuse
    student = Student(StudentShape(buckets, text_dim=text.embedding.shape[1], n_taught=len(text.taught), fused=fused))
    for name in ("table", "bias", "shift", "taught", "taught_violative", "stack", "unseen_idf"):
        getattr(student.text, name).copy_(torch.from_numpy(getattr(text, name)))
    judged = np.arange(len(cases))
    if fused:
        held_out = _stratified(labels, settings.held_out_share, rng)
        taught = np.setdiff1d(judged, held_out)
        tick(f"fusion on {len(taught)} cases, {with_frames} of all with frames")
        fit_fusion(
            student,
            inputs,
            text.out_of_sample,
            text.embedding,
            labels,
            taught,
            settings=settings.fusion,
            seed=seed,
            start=start,
            tick=progress,
        )
        judged = held_out
    tick("calibration and casebook")
    logits, pictures = _out_of_sample(student, inputs, text)
    if fused:
        _whiten(student, pictures[np.intersect1d(taught, np.flatnonzero(inputs.present[:, FRAMES]))])
    calibrating = judged if fused else judged[labels[judged] != POSITIVE_INDEX]
    named = slice(None) if fused else slice(POSITIVE_INDEX)
    weights = None if stands_for is None else stands_for[calibrating]
    temperature, bias = fit_temperature(logits[calibrating, named], labels[calibrating], stands_for_N=weights)
    student.log_temperature.fill_(float(np.log(temperature)))
    student.class_bias[named] = torch.from_numpy(bias)
    of_uploads = None if stands_for is None else stands_for[judged]
    logits = _for_share(student, logits, labels[judged], settings.violative_share, of_uploads)
    _, embeddings = run_student(student, inputs)
    classifier = student.calibrated(torch.from_numpy(logits[judged])).numpy()
    citable = np.flatnonzero(np.linalg.norm(embeddings, axis=1) > 0.5)
    chosen = choose_precedents([cases[row] for row in citable], at_most=settings.precedents_at_most, rng=rng)
    known = citable[chosen]
    casebook = casebook_of(cases, embeddings, known)
    others = np.setdiff1d(known, judged) if fused else known
    seen_by_judged = casebook_of(cases, embeddings, others)
    masked = _own_position(others, judged)
    blend = Blend(floor=_floor(seen_by_judged, embeddings[judged], masked, settings.as_like_as))
    blended = search(replace(seen_by_judged, blend=blend), embeddings[judged], classifier, exclude=masked).probabilities
    if not np.isfinite(blended).all() or np.ptp(blended[:, POSITIVE_INDEX]) < 1e-4:
        raise CheckFailedError(f"training collapsed: {len(judged)} unseen cases get one and the same probability")
    thresholds = choose_thresholds(blended, labels[judged])
    if settings.costs is not None:
        by_category = thresholds_by_cost(blended, labels[judged], settings.costs)
        thresholds = Thresholds(toxicity=thresholds.toxicity, by_category=by_category)
    return Policy(
        student.eval(),
        replace(casebook, blend=blend),
        [evidence[row] for row in known],
        thresholds,
        metrics=_metrics(blended, classifier, labels[judged], thresholds),
    )


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a release comes from: its version, its parent's, and the cases it was trained on."""

    version: int
    parent: int | None
    cases: tuple[DecidedCase, ...]

    @classmethod
    def of(cls, cases: Sequence[DecidedCase], parent: Release | None = None) -> "Lineage":
        """The release after `parent`, or the first."""
        before = None if parent is None else parent.version
        return cls(1 if before is None else before + 1, before, tuple(cases))


def write_release(
    policy: Policy,
    path: Path,
    lineage: Lineage,
    *,
    settings: TrainSettings,
    now: datetime,
    beside: Mapping[str, str] | None = None,
) -> Release:
    """Write an immutable release folder at `path` (it must not exist) and return its manifest.

    `beside` are texts by file name that lie in the folder too, with a digest as every file has.
    """
    from serving.export import export_student

    with new_folder(path) as draft:
        export_student(policy.student, draft / STUDENT)
        write_casebook(policy.casebook, draft / CASEBOOK)
        write_precedents(policy.precedents, draft / PRECEDENTS)
        write_taught(lineage.cases, draft / TAUGHT)
        if policy.student.shape.fused:
            write_weights(policy.student, draft / WEIGHTS)
        for name, text in (beside or {}).items():
            (draft / name).write_text(text, encoding="utf-8")
        return write_manifest(
            draft,
            lambda digests: Release(
                version=lineage.version,
                parent=lineage.parent,
                created_at=now,
                inputs=settings.inputs,
                thresholds=policy.thresholds,
                casebook_version=lineage.version,
                n_cases=len(lineage.cases),
                digests=digests,
                metrics=policy.metrics,
                trained_on=digest_of_cases(lineage.cases),
            ),
        )


def run_student(
    student: Student, inputs: ModelInputs, *, batch: int = 64
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Calibrated probabilities [N, 16] and embeddings [N, D] of the torch student, in evaluation mode."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch):
            some = inputs.take(np.arange(start, min(start + batch, len(inputs))))
            tensors = {name: torch.from_numpy(tensor) for name, tensor in some.tensors().items()}
            parts.append([out.numpy() for out in student.eval()(**tensors)])
    probabilities, embeddings = (np.concatenate(column) for column in zip(*parts, strict=True))
    return probabilities, embeddings


def casebook_of(
    cases: Sequence[DecidedCase], embeddings: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]
) -> Casebook:
    """Casebook of the cases at `rows`."""
    chosen = [cases[row] for row in rows]
    return Casebook(
        embeddings=embeddings[rows],
        case_ids=tuple(case.case_id for case in chosen),
        categories=np.array([case.category.position for case in chosen], np.int32),
        weights=np.array([case.weight for case in chosen], np.float32),
    )


def _floor(
    casebook: Casebook, embeddings: npt.NDArray[np.float32], own: npt.NDArray[np.int64], as_like_as: float
) -> float:
    """The cosine that only `as_like_as` of all pairs of a judged case and another's precedent exceed."""
    some = np.linspace(0, len(own), min(len(own), 512), endpoint=False, dtype=np.int64)
    cosine = embeddings[some] @ casebook.embeddings.T
    others = cosine[np.arange(len(casebook)) != own[some, None]]
    return float(np.clip(np.quantile(others, 1.0 - as_like_as), 0.0, 0.95)) if others.size else 0.95


def _own_position(precedent_rows: npt.NDArray[np.int64], judged: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each judged case its own position among the precedents, -1 where it is none."""
    positions = {int(row): position for position, row in enumerate(precedent_rows)}
    return np.array([positions.get(int(row), -1) for row in judged], np.int64)


def _stratified(labels: npt.NDArray[np.int64], share: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows held out: about `share` of each label."""
    chosen = [
        rows[: round(share * len(rows))]
        for rows in (rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels))
    ]
    return np.sort(np.concatenate(chosen))


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
    stands_for_N: npt.NDArray[np.float32] | None,
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


def _metrics(
    blended: npt.NDArray[np.float32],
    classifier: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    thresholds: Thresholds,
) -> dict[str, float]:
    violative = labels != POSITIVE_INDEX
    toxicity = 1.0 - blended[:, POSITIVE_INDEX]
    return {
        "judged_cases": float(len(labels)),
        "binary_accuracy": float(((toxicity >= thresholds.toxicity) == violative).mean()),
        "cross_entropy": _cross_entropy(blended, labels),
        "cross_entropy_without_precedents": _cross_entropy(classifier, labels),
        "ece_15": expected_calibration_error(toxicity, violative),
    }


def _cross_entropy(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    assert probabilities.shape[1] == N_CATEGORIES
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-7, 1.0)).mean())
