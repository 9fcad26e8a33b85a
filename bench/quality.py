"""Simulated uploads of one seed train a policy, those of another judge it: accuracy, calibration, ablations.

Predicted: words alone cannot pass about 0.9 and pictures alone about 0.88, since the simulator's look and words
overlap across categories by design; both together should pass 0.95.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.taxonomy import POSITIVE_INDEX, VIOLATIVE_GROUPS, Category
from policy.calibration import expected_calibration_error
from policy.casebook import Evidence
from policy.decide import toxicity_of
from policy.evidence import gather, read_cases
from policy.lineage import Lineage, write_release
from policy.train import Policy, TrainSettings, run_student, train
from serving.casebook import search
from serving.in_process import InProcessScorer
from serving.preprocess.batch import preprocess
from serving.preprocess.media import DecodePool, PoolSettings
from serving.releases import open_release
from serving.scorer import Scores

CACHE = Path(".state/bench")
BATCH = 64


@dataclass(frozen=True, slots=True)
class Judged:
    """How a policy did on N unseen videos."""

    binary_accuracy: float
    interval: tuple[float, float]
    ece_15: float
    category_accuracy: float
    recall_by_group: dict[str, float]

    @classmethod
    def of(cls, probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], line: float) -> "Judged":
        toxicity, violative = toxicity_of(probabilities), labels != POSITIVE_INDEX
        found = toxicity >= line
        right = found == violative
        half = 1.96 * right.std() / np.sqrt(len(right))
        groups = np.array([tuple(Category)[label].group.value for label in labels])
        return cls(
            binary_accuracy=float(right.mean()),
            interval=(float(right.mean() - half), float(right.mean() + half)),
            ece_15=expected_calibration_error(toxicity, violative),
            category_accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
            recall_by_group={g.value: float(found[groups == g.value].mean()) for g in VIOLATIVE_GROUPS},
        )


def measure(
    *, n_train: int = 5_000, n_test: int = 5_000, seed_train: int = 101, seed_test: int = 202
) -> dict[str, Any]:
    """Train on `n_train` videos of one seed, judge `n_test` of another, whole and by its ablations."""
    settings = TrainSettings()
    taught = _evidence(n_train, seed_train, settings)
    unseen = _evidence(n_test, seed_test, settings)
    labels = np.array([item.case.category.position for item in unseen], np.int64)
    rows: dict[str, Judged] = {}
    policy = train(taught, settings=settings, seed=0, tick=_say)
    scores, gap = _by_onnx(policy, unseen, settings)
    rows["text + picture"] = Judged.of(scores.probabilities, labels, policy.thresholds.toxicity)
    rows["same, no precedents"] = Judged.of(scores.classifier, labels, policy.thresholds.toxicity)
    for name, keep in (("text only", "text"), ("picture only", "picture")):
        ablated = train([_only(item, keep) for item in taught], settings=settings, seed=0, tick=_say)
        found = _by_torch(ablated, [_only(item, keep) for item in unseen], settings)
        rows[name] = Judged.of(found.probabilities, labels, ablated.thresholds.toxicity)
    _print(rows, n_train=n_train, n_test=n_test, gap=gap)
    return {
        "n_train": n_train,
        "n_test": n_test,
        "largest_gap_onnx_torch": gap,
        "rows": {
            name: {
                "binary_accuracy": row.binary_accuracy,
                "interval": row.interval,
                "ece_15": row.ece_15,
                "category_accuracy": row.category_accuracy,
                "recall_by_group": row.recall_by_group,
            }
            for name, row in rows.items()
        },
    }


def _evidence(n: int, seed: int, settings: TrainSettings) -> list[Evidence]:
    folder = CACHE / f"simulated-{seed}-{n}"
    if not (folder / "cases.jsonl").exists():
        command = ["simulate", "uploads", "--out", str(folder), "--n", str(n), "--seed", str(seed), "--as-cases"]
        subprocess.run([sys.executable, "-m", "cli", *command], check=True)
    cases = read_cases(folder / "cases.jsonl")
    pool = PoolSettings((folder.resolve(),), 2, settings.inputs.n_frames, settings.inputs.frame_px)

    async def decode() -> list[Evidence]:
        async with DecodePool(pool) as decoder:
            return await gather(cases, decoder)

    return asyncio.run(decode())


def _only(item: Evidence, keep: str) -> Evidence:
    """The case with its words alone, or its picture alone; a video without media keeps an empty title."""
    hidden: dict[str, str | None]
    if keep == "text":
        hidden, frames = {"media_url": None, "feedback": None}, None
        if item.case.upload.title is None and item.case.upload.ocr is None and item.case.upload.asr is None:
            hidden["title"] = ""
    else:
        hidden, frames = {"title": None, "ocr": None, "asr": None, "feedback": None}, item.frames
        if item.frames is None:
            hidden["title"] = ""
    upload = item.case.upload.model_copy(update=hidden)
    return Evidence(item.case.model_copy(update={"upload": upload}), frames)


def _batches(evidence: list[Evidence]) -> Iterator[list[Evidence]]:
    for start in range(0, len(evidence), BATCH):
        yield evidence[start : start + BATCH]


def _by_torch(policy: Policy, evidence: list[Evidence], settings: TrainSettings) -> Scores:
    parts = []
    for some in _batches(evidence):
        inputs = preprocess([i.case.upload for i in some], [i.frames for i in some], settings.inputs)
        classifier, embedding = run_student(policy.student, inputs)
        parts.append(search(policy.casebook, embedding, classifier))
    return _joined(parts)


def _by_onnx(policy: Policy, evidence: list[Evidence], settings: TrainSettings) -> tuple[Scores, float]:
    """Scores through the exported release, and the largest gap to torch on any probability."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "release"
        lineage = Lineage.of([item.case for item in evidence])
        write_release(policy, path, lineage, settings=settings, now=datetime.now(UTC))
        folder = open_release(path)
        scorer = InProcessScorer({folder.pin: (folder.student, folder.casebook)})

        async def score() -> list[Scores]:
            return [
                await scorer.score(
                    preprocess([i.case.upload for i in some], [i.frames for i in some], settings.inputs), folder.pin
                )
                for some in _batches(evidence)
            ]

        found = _joined(asyncio.run(score()))
    torch_too = _by_torch(policy, evidence[: 8 * BATCH], settings)
    n = len(torch_too)
    gap = max(
        float(np.abs(found.probabilities[:n] - torch_too.probabilities).max()),
        float(np.abs(found.classifier[:n] - torch_too.classifier).max()),
    )
    return found, gap


def _joined(parts: list[Scores]) -> Scores:
    names = Scores.__dataclass_fields__
    return Scores(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _print(rows: dict[str, Judged], *, n_train: int, n_test: int, gap: float) -> None:
    lines = [
        f"\nSimulated uploads: trained on {n_train:,}, judged on {n_test:,} of another seed",
        f"{'':22} {'binary accuracy':>24} {'ECE':>7} {'of 16':>7}   recall by group",
    ]
    for name, row in rows.items():
        low, high = row.interval
        recalls = " / ".join(f"{value:.3f}" for value in row.recall_by_group.values())
        lines.append(
            f"{name:22} {row.binary_accuracy:>8.4f} [{low:.4f}, {high:.4f}] {row.ece_15:>7.4f} "
            f"{row.category_accuracy:>7.4f}   {recalls}"
        )
    lines.append(f"largest gap of ONNX to torch on any probability: {gap:.1e}")
    sys.stdout.write("\n".join(lines) + "\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
