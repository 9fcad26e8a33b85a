"""A VLM, rulings on what it never saw, and its votes: what a night teaches it, and what they teach the student.

A tiny VLM is fine-tuned on four categories. The day brings rulings on a fifth, which it was never taught, and on usual
videos; `refine` post-trains it on what it got wrong, and the gate compares both on golden cases. Then its votes rule
1,500 videos of every kind, not plain ones alone: three students learn the same videos, by the truth, by the tag that
most votes gave, and by the votes' shares, and are judged by the truth of 2,000 unseen videos.

Predicted before the first run: the fifth category is found in under 0.05 before and over 0.9 after, and no golden tag
is lost beyond 0.02; the students by votes are as accurate as each other, and the one by shares has the lower
cross-entropy.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from contracts.cases import DecidedCase
from contracts.reasoning import Unparsed, parse
from contracts.taxonomy import CATEGORIES, Category
from policy.calibration import expected_calibration_error
from policy.casebook import Evidence
from policy.reasoning.evaluation import Share, evaluate
from policy.reasoning.measured import sampled
from policy.reasoning.models.checkpoint import (
    Checkpoint,
    CheckpointRecord,
    read_checkpoint,
    weights_digest,
    write_checkpoint,
)
from policy.reasoning.models.sampling import sample
from policy.reasoning.models.tiny import build_tiny
from policy.reasoning.recipe_settings import REFINE_TINY, TINY
from policy.reasoning.refinement.gate import Answers, compare
from policy.reasoning.refinement.refine import refine
from policy.reasoning.rows import Row, ruling_row, ruling_rows, texts_of
from policy.reasoning.training.consistency import WordsJudge
from policy.reasoning.training.sft import run_sft
from policy.reasoning.voting import plurality
from policy.train import TrainSettings, run_student, train
from serving.casebook import search
from serving.preprocess.batch import preprocess
from streams.painted import usual_videos

KNOWN = (Category.ABUSE_AND_HATE, Category.SEXUAL_CONTENT, Category.EXAGGERATED_CLAIMS, Category.PLAGIARISM)
NEW = Category.FALSE_BENEFITS
TAUGHT, OF_THE_DAY, GOLDEN = int(os.environ.get("REFINEMENT_TAUGHT", "3000")), 120, 400
VOTED, UNSEEN, K = int(os.environ.get("REFINEMENT_VOTED", "1500")), 2_000, 5
SHAPE = TrainSettings().inputs


def measure() -> dict[str, Any]:
    """Fine-tune, refine, gate, vote, distil; prints what each is worth."""
    taught = _rows(_plain(TAUGHT, 21, KNOWN))
    golden = _rows(_plain(GOLDEN, 22, KNOWN))
    day, unseen = _of_new(23, OF_THE_DAY), _of_new(24, 300)
    usual = _rows(_plain(OF_THE_DAY, 25, KNOWN))
    with tempfile.TemporaryDirectory(prefix="precedent-refinement-") as folder:
        home = Path(folder)
        started = time.perf_counter()
        deployed = _fine_tuned(taught, home)
        click.echo(
            f"fine-tuned on {len(taught)} cases of {len(KNOWN)} categories: {time.perf_counter() - started:.0f} s"
        )
        started = time.perf_counter()
        refined = refine(
            deployed, [*day, *usual], taught, home / "night", REFINE_TINY, judge=WordsJudge(), tick=click.echo
        )
        assert refined.candidate is not None, "a category that was never seen is got wrong"
        took = time.perf_counter() - started
        asked = {row.row_id: row for row in (*day, *usual)}
        wrong = [asked[row_id] for row_id in refined.wrong]
        folders = {"before": deployed, "after": Path(refined.candidate)}
        vlms = {name: read_checkpoint(path) for name, path in folders.items()}
        answers = {
            name: Answers(_likeliest(vlm, golden), sampled(vlm, wrong, REFINE_TINY, seed=0))
            for name, vlm in vlms.items()
        }
        refusals, figures = compare(golden, wrong, answers["before"], answers["after"])
        of_new = {name: evaluate(unseen, [[text] for text in _likeliest(vlm, unseen)]) for name, vlm in vlms.items()}
        of_golden = {name: evaluate(golden, [[text] for text in said.golden]) for name, said in answers.items()}
        click.echo(
            f"a night: {refined.asked} rulings asked, {len(wrong)} wrong, {took:.0f} s; gate: {refusals or 'passed'}"
        )
        for name in folders:
            click.echo(f"{name:7} unseen of {NEW.value} {of_new[name].tag}, golden {of_golden[name].tag}")
        students = _distilled(vlms["after"])
    return {
        "gate": figures | {"refusals": len(refusals)},
        "new": {name: found.tag.value for name, found in of_new.items()},
        "golden": {name: found.tag.value for name, found in of_golden.items()},
        "seconds": took,
        "students": students,
    }


def _plain(n: int, seed: int, only: tuple[Category, ...]) -> list[Evidence]:
    return [one.evidence for one in usual_videos(n, seed, SHAPE, plain=True, only=only)]


def _rows(evidence: list[Evidence]) -> list[Row]:
    return ruling_rows(evidence, TINY.budget).rows


def _of_new(seed: int, n: int) -> list[Row]:
    """N cases of the category that the VLM was never taught."""
    return [row for row in _rows(_plain(4 * n, seed, (NEW,))) if row.solution == NEW.value][:n]


def _fine_tuned(rows: list[Row], home: Path) -> Path:
    """The VLM that is deployed, taught as in the recipe's first stage."""
    build_tiny(home / "built", texts_of(rows), seed=0)
    start = read_checkpoint(home / "built")
    model = run_sft(start, rows, home / "sft", TINY.sft, tick=click.echo)
    record = CheckpointRecord(
        stage="sft",
        model_type=model.config.model_type,
        parent=weights_digest(home / "built"),
        frames=TINY.budget.frames,
        chars=TINY.budget.chars,
    )
    write_checkpoint(home / "deployed", model, start.processor, record)
    return home / "deployed"


def _likeliest(vlm: Checkpoint, rows: list[Row]) -> list[str]:
    return [said for [said] in sample(vlm.model, vlm.processor, rows, most_tokens=TINY.answer_tokens)]


def _distilled(vlm: Checkpoint) -> dict[str, Any]:
    """Students taught by the truth, by the tag of most votes and by the votes' shares, on the same videos."""
    videos = [one.evidence for one in usual_videos(VOTED, 26, SHAPE, only=(*KNOWN, NEW))]
    rows = [ruling_row(item, TINY.budget) for item in videos]
    answers = sample(vlm.model, vlm.processor, rows, k=K, temperature=1.0, most_tokens=TINY.answer_tokens, seed=0)
    voted = [(item, _votes(said)) for item, said in zip(videos, answers, strict=True)]
    ruled = [(item, votes) for item, votes in voted if sum(votes)]
    right = sum(CATEGORIES[int(np.argmax(votes))] is item.case.category for item, votes in ruled)
    click.echo(
        f"the VLM's votes on {len(ruled)} videos of every kind: most name the right tag of {Share(right, len(ruled))}"
    )
    lessons = {
        "by the truth": [item for item, _ in ruled],
        "by the tag of most votes": [_taught(item, votes, shares=False) for item, votes in ruled],
        "by the votes' shares": [_taught(item, votes, shares=True) for item, votes in ruled],
    }
    unseen = [one.evidence for one in usual_videos(UNSEEN, 27, SHAPE, only=(*KNOWN, NEW))]
    inputs = preprocess([item.case.upload for item in unseen], [item.frames for item in unseen], SHAPE)
    labels = np.array([item.case.category.position for item in unseen])
    found: dict[str, Any] = {}
    for name, lesson in lessons.items():
        scores = []
        for seed in range(3):
            policy = train(lesson, settings=TrainSettings(), seed=seed)
            classifier, embedding = run_student(policy.student, inputs)
            scores.append(search(policy.casebook, embedding, classifier).probabilities)
        figures = [_judged(np.asarray(one, np.float32), labels) for one in scores]
        found[name] = {key: float(np.mean([one[key] for one in figures])) for key in figures[0]}
        found[name]["spread of cross-entropy"] = float(np.ptp([one["cross-entropy"] for one in figures]))
        told = ", ".join(f"{key} {value:.4f}" for key, value in found[name].items())
        click.echo(f"a student taught {name:26} {told}")
    return found


def _votes(said: list[str]) -> tuple[int, ...]:
    """The votes of K answers by category, those out of form left aside."""
    vote = plurality([one if isinstance(one, Unparsed) else one.category for one in map(parse, said)])
    return tuple(vote.votes.get(category, 0) for category in CATEGORIES)


def _taught(item: Evidence, votes: tuple[int, ...], *, shares: bool) -> Evidence:
    category = CATEGORIES[int(np.argmax(votes))]
    case: DecidedCase = item.case.model_copy(update={"category": category, "votes": votes if shares else ()})
    return Evidence(case, item.frames)


def _judged(probabilities_N_16: Any, labels_N: Any) -> dict[str, float]:
    p = np.clip(probabilities_N_16[np.arange(len(labels_N)), labels_N], 1e-7, 1.0)
    violative, toxicity = (
        labels_N != Category.POSITIVE.position,
        1.0 - probabilities_N_16[:, Category.POSITIVE.position],
    )
    return {
        "tag accuracy": float((probabilities_N_16.argmax(axis=1) == labels_N).mean()),
        "binary accuracy": float(((toxicity >= 0.5) == violative).mean()),
        "cross-entropy": float(-np.log(p).mean()),
        "ece": expected_calibration_error(toxicity, violative),
    }
