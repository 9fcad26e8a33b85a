"""Preference pairs of simulated videos in, what votes and the reward of consistency are worth out, on a tiny judge.

A tiny VLM learns to judge pairs from their reasonings (the cold start of R1-Reward, arXiv 2505.02835), then by
StableReinforce, once with the reward of consistency and once without. A quarter of the cold start's reasonings conclude
the other response than their answer names, as a careless teacher's do. (Where none did, the first runs began at 0.999
and there was nothing to raise.) Of held-out pairs, each in one order, half of them with the right response first, the
model samples 15 answers: K votes are the first K of them, so that all K are compared on the same samples.

Predicted before the first run with such a teacher: reasonings that conclude what their answer says go from 0.75 to over
0.9 with the reward, and stay within 0.05 without; 15 votes gain 2 to 5 points over one.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from contracts.reasoning import Unparsed
from contracts.releases import InputShape
from contracts.taxonomy import Category
from policy.casebook import Evidence
from policy.reasoning.evaluation import Share
from policy.reasoning.models.checkpoint import Checkpoint, read_checkpoint
from policy.reasoning.models.sampling import sample
from policy.reasoning.models.tiny import build_tiny
from policy.reasoning.pairs import moderation_pairs, preference_rows
from policy.reasoning.question import Budget
from policy.reasoning.rows import Row, texts_of
from policy.reasoning.training.consistency import WordsJudge
from policy.reasoning.training.rewards import read_answer
from policy.reasoning.training.rl import run_reinforce
from policy.reasoning.training.settings import PARTS, ReinforceSettings
from policy.reasoning.training.sft import SftSettings, run_sft
from policy.reasoning.voting import plurality
from streams.painted import usual_videos

VOTES = (1, 5, 15)
N_TAUGHT, N_HELD = int(os.environ.get("VOTING_TAUGHT", "2500")), int(os.environ.get("VOTING_PAIRS", "2000"))
ONLY = (Category.ABUSE_AND_HATE, Category.SEXUAL_CONTENT, Category.EXAGGERATED_CLAIMS, Category.PLAGIARISM)
"""One category of each group."""
BUDGET = Budget(frames=1, chars=120)
SHAPE = InputShape(n_frames=1, frame_px=64, text_buckets=1_024, max_ngrams=512)
SFT = SftSettings(steps=int(os.environ.get("VOTING_STEPS", "240")), batch=16, learning_rate=3e-3, save_every=1_000)
RL = ReinforceSettings(learning_rate=1e-4, rollout_batch=64, train_batch=32, micro_batch=32, answers=4)
RL_STEPS = int(os.environ.get("VOTING_RL_STEPS", "60"))
CONTRADICTS = 0.25
TOKENS = 48


def measure() -> dict[str, Any]:
    """Teach, reinforce, vote; prints accuracy by votes with paired intervals, and consistency with and without."""
    rng = np.random.default_rng(0)
    taught = _careless(preference_rows(moderation_pairs(_plain(N_TAUGHT, 11), BUDGET, seed=1)), rng)
    held = preference_rows(moderation_pairs(_plain(N_HELD, 12), BUDGET, seed=2))
    held = [held[2 * pair + side] for pair, side in enumerate(rng.integers(0, 2, len(held) // 2).tolist())]
    with tempfile.TemporaryDirectory(prefix="precedent-voting-") as folder:
        home = Path(folder)
        build_tiny(home / "built", texts_of(taught), seed=0)
        start = read_checkpoint(home / "built")
        shuffled = [taught[at] for at in rng.permutation(len(taught)).tolist()]
        run_sft(start, shuffled, home / "sft", SFT, tick=click.echo)
        start.model.save_pretrained(home / "cold")
        start.processor.save_pretrained(home / "cold")
        figures: dict[str, Any] = {"cold start": _consistency(read_checkpoint(home / "cold"), held[:400])}
        for name, parts in {
            "with consistency": PARTS["stable_reinforce"],
            "without": replace_consistency(False),
        }.items():
            parent = read_checkpoint(home / "cold")
            settings = replace(RL, parts=parts)
            judge = WordsJudge() if parts.consistency else None
            model = run_reinforce(
                parent,
                shuffled,
                home / name,
                settings,
                steps=RL_STEPS,
                answer_tokens=TOKENS,
                judge=judge,
                tick=click.echo,
            )
            figures[name] = _consistency(Checkpoint(model, parent.processor, None), held[:400])
            if parts.consistency:
                model.save_pretrained(home / "reinforced")
                parent.processor.save_pretrained(home / "reinforced")
        for name, (share, right) in figures.items():
            click.echo(f"{name:18} concludes what it answers {share}, right {right}")
        votes = _votes(read_checkpoint(home / "reinforced"), held)
    return {"consistency": {name: str(share) for name, (share, _) in figures.items()}, "votes": votes}


def _careless(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """The rows, a share of whose reasonings conclude the other response."""
    found = []
    for row, contradicts in zip(rows, (rng.random(len(rows)) < CONTRADICTS).tolist(), strict=True):
        other = "2" if row.solution == "1" else "1"
        wrong = row.completion.replace(f"response {row.solution} is right", f"response {other} is right")
        found.append(replace(row, completion=wrong) if contradicts else row)
    return found


def replace_consistency(on: bool) -> Any:
    """StableReinforce's parts with or without the reward of consistency."""
    return PARTS["stable_reinforce"]._replace(consistency=on)


def _plain(n: int, seed: int) -> list[Evidence]:
    return [one.evidence for one in usual_videos(n, seed, SHAPE, plain=True, only=ONLY)]


def _consistency(checkpoint: Checkpoint, rows: list[Row]) -> tuple[Share, Share]:
    """Of sampled answers of the form, those whose reasoning concludes them, and those that are right."""
    answers = sample(checkpoint.model, checkpoint.processor, rows, k=2, temperature=1.0, most_tokens=TOKENS, batch=128)
    read = [
        (row, found)
        for row, said in zip(rows, answers, strict=True)
        for text in said
        if not isinstance(found := read_answer(text, row.task, row.solution), Unparsed)
    ]
    concludes = sum(WordsJudge().consistency(found.think, found.answer) == 1 for _, found in read)
    return Share(concludes, len(read)), Share(sum(found.answer == row.solution for row, found in read), len(read))


def _votes(checkpoint: Checkpoint, rows: list[Row]) -> dict[str, Any]:
    answers = sample(
        checkpoint.model, checkpoint.processor, rows, k=max(VOTES), temperature=1.0, most_tokens=TOKENS, batch=240
    )
    right = {k: np.array([_right(row, said[:k]) for row, said in zip(rows, answers, strict=True)]) for k in VOTES}
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(rows), (2_000, len(rows)))
    found = {}
    for k in VOTES:
        gains = (right[k][drawn].mean(1) - right[1][drawn].mean(1)) * 100
        low, high = np.quantile(gains, [0.025, 0.975])
        found[str(k)] = {"accuracy": float(right[k].mean()), "gain": [float(low), float(high)]}
        paired = (
            ""
            if k == 1
            else f", over one vote {100 * (right[k].mean() - right[1].mean()):+.1f} [{low:+.1f}, {high:+.1f}]"
        )
        click.echo(f"{k:2} votes: accuracy {Share(int(right[k].sum()), len(rows))}{paired}")
    return found


def _right(row: Row, said: list[str]) -> bool:
    read = [read_answer(text, row.task, row.solution) for text in said]
    return plurality([one if isinstance(one, Unparsed) else one.answer for one in read]).label == row.solution
