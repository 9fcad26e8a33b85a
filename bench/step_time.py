"""How long a step of StableReinforce takes beside TRL's GRPO: the same tiny VLM, rows, answers' lengths and batch.

The two take turns, each time from the same weights and seed; in every second pair of turns the other one begins. Timed
is a rollout with all its steps, sampling and rewards too, the first of each turn left out: in processor seconds of the
one thread, which are those of the clock where nothing else runs, and by the clock. The ratio is the median over pairs.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from contracts.reasoning import enveloped
from policy.reasoning.models.tiny import TinySizes, build_tiny
from policy.reasoning.training.settings import Parts, ReinforceSettings

MOST = 1.10
SETTINGS = ReinforceSettings(rollout_batch=32, train_batch=16, micro_batch=8, parts=Parts(True, True, False))
QUESTION = "Which of the two is better?"


def measure(
    *, turns: int = 12, rollouts: int = 3, most_tokens: int = 48, settings: ReinforceSettings = SETTINGS
) -> dict[str, Any]:
    """Median seconds of a rollout with its steps, of both, and their ratio; about five minutes at the defaults."""
    import torch
    from trl import GRPOTrainer

    from policy.reasoning.training.reinforce import StableReinforceTrainer

    makers: dict[str, Callable[..., Any]] = {
        "TRL's GRPO": lambda *, reward, settings, **given: GRPOTrainer(reward_funcs=[reward], **given),
        "StableReinforce": StableReinforceTrainer,
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    took: dict[str, list[Took]] = {name: [] for name in makers}
    try:
        with tempfile.TemporaryDirectory() as folder:
            start = Path(folder) / "tiny"
            answers = [enveloped("the first", "1"), enveloped("the second", "2")]
            build_tiny(start, [*answers, QUESTION] * 10, sizes=TinySizes(vocabulary=400))
            for turn in range(turns):
                for name in list(makers) if turn % 2 == 0 else list(makers)[::-1]:
                    took[name].append(
                        _timed(makers[name], start, Path(folder) / "out", settings, rollouts, most_tokens)
                    )
    finally:
        torch.set_num_threads(threads)
    figures: dict[str, Any] = {
        name: {"processor_s": median(one.processor_s for one in turn), "clock_s": median(one.clock_s for one in turn)}
        for name, turn in took.items()
    }
    for kind in Took._fields:
        pairs = zip(took["StableReinforce"], took["TRL's GRPO"], strict=True)
        ratios = [getattr(ours, kind) / getattr(theirs, kind) for ours, theirs in pairs]
        figures[f"{kind}_ratios"] = ratios
    figures["ratio"] = median(figures["processor_s_ratios"])
    _print(figures, settings, rollouts)
    return figures


class Took(NamedTuple):
    """Seconds a rollout with its steps took, the mean of a turn."""

    processor_s: float
    clock_s: float


def _timed(
    make: Callable[..., Any], start: Path, out: Path, settings: ReinforceSettings, rollouts: int, most_tokens: int
) -> Took:
    """Seconds of a rollout with its steps, but of the first."""
    from datasets import Dataset
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration, TrainerCallback
    from transformers.utils import logging

    from policy.reasoning.training.reinforce import grpo_config
    from policy.reasoning.training.rewards import AnswerReward

    logging.disable_progress_bar()
    steps_a_rollout = settings.rollout_batch * settings.iterations // settings.train_batch
    ends: list[tuple[float, float]] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % steps_a_rollout == 0:
                ends.append((time.process_time(), time.perf_counter()))

    machine: dict[str, Any] = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True}
    quiet: dict[str, Any] = {"save_strategy": "no", "logging_strategy": "no"}
    trainer = make(
        model=Qwen2_5_VLForConditionalGeneration.from_pretrained(start),
        reward=AnswerReward(),
        settings=settings,
        args=grpo_config(
            settings, out, steps=(rollouts + 1) * steps_a_rollout, most_tokens=most_tokens, **machine, **quiet
        ),
        train_dataset=Dataset.from_list(_rows(settings.rollout_batch // settings.answers)),
        processing_class=AutoProcessor.from_pretrained(start),
        callbacks=[Clock()],
    )
    trainer.train()
    return Took(*((np.array(ends[-1]) - np.array(ends[0])) / rollouts).tolist())


def _rows(many: int) -> list[dict[str, Any]]:
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)) for _ in range(many)]
    asked = [{"type": "image", "text": None}, {"type": "text", "text": QUESTION}]
    return [
        {
            "prompt": [{"role": "user", "content": asked}],
            "images": [picture],
            "solution": str(1 + place % 2),
            "task": "preference",
        }
        for place, picture in enumerate(pictures)
    ]


def _print(figures: dict[str, Any], settings: ReinforceSettings, rollouts: int) -> None:
    steps, ratios = settings.rollout_batch // settings.train_batch, figures["processor_s_ratios"]
    title = f"{settings.rollout_batch} answers and their {steps} steps, one thread: medians of {len(ratios)} turns"
    table = Table(title=f"{title} of {rollouts} rollouts", title_justify="left", min_width=90)
    for number, column in enumerate(("", "processor s", "s by the clock")):
        table.add_column(column, justify="left" if number == 0 else "right")
    for name in ("TRL's GRPO", "StableReinforce"):
        table.add_row(name, f"{figures[name]['processor_s']:.3f}", f"{figures[name]['clock_s']:.3f}")
    console = Console(width=120)
    console.print(table, highlight=False)
    ratio, by_clock = figures["ratio"], median(figures["clock_s_ratios"])
    low, high = np.quantile(ratios, [0.25, 0.75])
    reached = "reached" if ratio <= MOST else f"MISSED by {ratio - MOST:.1%}"
    console.print(
        f"StableReinforce takes {ratio:.3f} of GRPO's time (quartiles of pairs {low:.3f} to {high:.3f}; by the clock "
        f"{by_clock:.3f}), asked for {MOST:.2f}: {reached}",
        highlight=False,
    )
