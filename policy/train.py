"""Decided cases in, a release folder out: text tower, fusion, calibration, casebook, thresholds, manifest.

    cases + frames -> inputs -> text tower (wide, out of sample) -> fusion -> calibration
                             -> precedents (own case masked) -> thresholds -> release

What judges the model never taught it: a case's wide logits, its precedents and its place among the thresholds
come from fits that did not see it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, CheckFailedError
from contracts.releases import InputShape, Thresholds
from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from policy.calibration import expected_calibration_error, toxicity_line
from policy.casebook import Evidence, choose_precedents
from policy.costs import Costs, thresholds_by_cost
from policy.fusion import FusionSettings, Weights, begin_from, fit_fusion, mean_of, weights_of
from policy.lesson import Lesson, lesson_of
from policy.out_of_sample import calibrated
from policy.sampling import HELD_OUT, held_out
from policy.text_fit import TextFit, TextSettings, fit_text, turned
from serving.casebook import Blend, Casebook, search
from serving.preprocess.inputs import ModelInputs
from serving.student import FRAMES, Student, StudentShape

Tick = Callable[[str], None]
ALIGNED_BY = 2_000
"""Cases by which the axes of a new text space are turned to those of the parent's."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What `train` may be told; `fused` None fuses where there are enough cases with frames to learn from.

    violative_share: of the videos that the probabilities are to hold for; None: as among the cases. costs: what errors
    cost, by which the lines of demotion, review and removal are drawn.
    averaged: of so many trainings from a parent's weights the mean is taken (`policy.fusion.mean_of`), up to
    `averaged_up_to` cases: of more, chance decides less, and three trainings take the night's time.
    emphasis: how often what the parent was not taught is shown where another case is shown once, and what its words
    weigh; of the audited a fifth is held out and not shown.
    as_like_as: where precedents are too few for a floor of each, one is heard by videos more like it than all but this
    share of random pairs of cases are.
    """

    inputs: InputShape = InputShape(n_frames=9, frame_px=64, text_buckets=65_536, max_ngrams=4_096)
    text: TextSettings = field(default_factory=TextSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    fused: bool | None = None
    fewest_cases_to_fuse: int = 300
    held_out_share: float = HELD_OUT
    precedents_at_most: int = 2_000
    as_like_as: float = 0.01
    emphasis: int = 3
    averaged: int = 3
    averaged_up_to: int = 8_000
    violative_share: float | None = None
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        for name in ("averaged", "emphasis"):
            if (value := getattr(self, name)) < 1:
                raise BadInputError(f"{name} == {value}, must be at least 1 (TrainSettings)")


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a policy takes over from its parent.

    weights: of the fused part, None where words alone speak. embed: what the parent embeds inputs as, [N, D].
    new, precedents: case ids of what it was not taught, and of its own precedents; they become precedents, in this
    order, before others do.
    """

    weights: Weights | None
    embed: Callable[[ModelInputs], npt.NDArray[np.float32]]
    new: Collection[str] = ()
    precedents: Collection[str] = ()


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
    inherited: Inheritance | None = None,
    tick: Tick = lambda _: None,
    progress: Tick = lambda _: None,
) -> Policy:
    """Train a policy from N decided cases, from what a parent leaves it where it has one.

    Raises `BadInputError` when the cases hold fewer than two categories or no positive one, `CheckFailedError` when
    training diverges.
    """
    lesson = lesson_of(evidence, settings.inputs, () if inherited is None else inherited.new)
    rng = np.random.default_rng(seed)
    tick(f"text tower on {len(evidence)} cases")
    text = _words(lesson, settings, inherited, rng, seed)
    with_frames = int(lesson.inputs.present[:, FRAMES].sum())
    fused = settings.fused if settings.fused is not None else with_frames >= settings.fewest_cases_to_fuse
    student = _student(text, settings, fused=fused)
    judged = np.flatnonzero(lesson.stands_for > 0)
    taught = np.arange(len(evidence))
    if fused:
        judged = held_out(lesson.cases, judged, settings.held_out_share)
        taught = np.setdiff1d(taught, judged)
        tick(f"fusion on {len(taught)} cases, {with_frames} of all with frames")
        shown = np.concatenate([taught, np.tile(np.intersect1d(taught, lesson.new), settings.emphasis - 1)])
        start = None if inherited is None else inherited.weights
        averaged = []
        alone = start is None or len(shown) > settings.averaged_up_to
        for attempt in range(1 if alone else settings.averaged):
            fit_fusion(
                student,
                lesson.inputs,
                text.out_of_sample,
                text.embedding,
                lesson.targets,
                shown,
                settings=settings.fusion,
                seed=seed + 1_000 * attempt,
                start=start,
                tick=progress,
            )
            averaged.append(weights_of(student))
        begin_from(student, mean_of(averaged))
    tick("calibration and casebook")
    classifier = calibrated(student, lesson, text, taught, judged, settings.violative_share)
    _, embeddings = run_student(student, lesson.inputs)
    known = _precedents(lesson, embeddings, settings, inherited, rng)
    others = np.setdiff1d(known, judged) if fused else known
    casebook, masked = casebook_of(lesson.cases, embeddings, known), _own_position(others, judged)
    some = np.flatnonzero(np.isin(known, others))
    blend = Blend(floor=_floor(casebook.only(some), embeddings[judged], masked, settings.as_like_as))
    casebook = replace(casebook, blend=blend).with_floors()
    seen_by_judged = casebook.only(some)
    blended = search(seen_by_judged, embeddings[judged], classifier, exclude=masked).probabilities
    if not np.isfinite(blended).all() or np.ptp(blended[:, POSITIVE_INDEX]) < 1e-4:
        raise CheckFailedError(f"training collapsed: {len(judged)} unseen cases get one and the same probability")
    labels = lesson.labels[judged]
    thresholds = Thresholds(toxicity=toxicity_line(blended, labels), by_category=thresholds_by_cost(settings.costs))
    return Policy(
        student.eval(),
        casebook,
        [evidence[row] for row in known],
        thresholds,
        metrics=_metrics(blended, classifier, labels, thresholds),
    )


def _words(
    lesson: Lesson, settings: TrainSettings, inherited: Inheritance | None, rng: np.random.Generator, seed: int
) -> TextFit:
    """The text tower's fit, its axes those of the parent's."""
    text = fit_text(
        lesson.inputs,
        lesson.targets,
        buckets=settings.inputs.text_buckets,
        settings=settings.text,
        seed=seed,
        stands_for=lesson.stands_for,
        new=lesson.new,
        emphasis=settings.emphasis,
    )
    if inherited is None:
        return text
    some = np.sort(rng.permutation(len(lesson.cases))[:ALIGNED_BY])
    return turned(text, some, inherited.embed(lesson.inputs.take(some)))


def _student(text: TextFit, settings: TrainSettings, *, fused: bool) -> Student:
    """A student whose text tower is fitted, and nothing else."""
    shape = StudentShape(
        settings.inputs.text_buckets, text_dim=text.embedding.shape[1], n_taught=len(text.taught), fused=fused
    )
    student = Student(shape)
    for name in ("table", "bias", "shift", "taught", "taught_violative", "stack", "unseen_idf"):
        getattr(student.text, name).copy_(torch.from_numpy(getattr(text, name)))
    return student


def _precedents(
    lesson: Lesson,
    embeddings: npt.NDArray[np.float32],
    settings: TrainSettings,
    inherited: Inheritance | None,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Rows that become precedents: what is new, then what was one, then others."""
    citable = np.flatnonzero(np.linalg.norm(embeddings, axis=1) > 0.5)
    new, before = ((), ()) if inherited is None else (inherited.new, inherited.precedents)
    cases = [lesson.cases[row] for row in citable]
    return citable[choose_precedents(cases, at_most=settings.precedents_at_most, rng=rng, new=new, before=before)]


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
