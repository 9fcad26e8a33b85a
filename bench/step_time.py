"""How long a step of StableReinforce takes beside TRL's GRPO: the same tiny VLM, rows, answers' lengths and batch.

Both train in one process, step by step in turn: one waits where its step would begin until the other's has ended, so
that what slows the machine slows both alike. Timed is everything from one step's beginning to the next one's: rollout,
rewards, loss, gradient, optimizer. The ratio is the median over pairs of rollouts, each with all its steps.
"""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from threading import Condition
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from contracts.reasoning import enveloped
from policy.reasoning.models.tiny import TinySizes, build_tiny
from policy.reasoning.training.settings import Parts, ReinforceSettings

MOST = 1.10
SETTINGS = ReinforceSettings(rollout_batch=32, train_batch=16, micro_batch=8, parts=Parts(True, True, False))
QUESTION = "Which of the two is better?"
OURS, THEIRS = "StableReinforce", "TRL's GRPO"


class Turns:
    """Lets one of two go on at a time, and keeps how many seconds each of its turns took."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {THEIRS: [], OURS: []}
        self._changed = Condition()
        self._present: set[str] = set()
        self._over: set[str] = set()
        self._goes = THEIRS
        self._began: dict[str, float] = {}

    def take(self, name: str) -> None:
        """End this one's turn where it has one, and wait for its next; the first waits for both to be here."""
        other = OURS if name == THEIRS else THEIRS
        with self._changed:
            if name in self._began:
                self.seconds[name].append(time.perf_counter() - self._began[name])
                self._goes = other
            self._present.add(name)
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: other in self._over or (self._goes == name and self._present == {OURS, THEIRS})
            )
            self._began[name] = time.perf_counter()

    def leave(self, name: str) -> None:
        """Take no more turns: the other need not wait."""
        with self._changed:
            self._over.add(name)
            self._changed.notify_all()


def measure(*, rollouts: int = 24, most_tokens: int = 48, settings: ReinforceSettings = SETTINGS) -> dict[str, Any]:
    """Median seconds of a rollout with its steps, of both, and their ratio; about two minutes at the defaults."""
    import torch
    from trl import GRPOTrainer

    from policy.reasoning.training.reinforce import StableReinforceTrainer

    makers: dict[str, Callable[..., Any]] = {
        THEIRS: lambda *, reward, settings, **given: GRPOTrainer(reward_funcs=[reward], **given),
        OURS: StableReinforceTrainer,
    }
    turns, threads = Turns(), torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "tiny"
        answers = [enveloped("the first", "1"), enveloped("the second", "2")]
        build_tiny(start, [*answers, QUESTION] * 10, sizes=TinySizes(vocabulary=400))
        made = {
            name: _trainer(make, start, Path(folder) / "out", settings, rollouts, most_tokens, turns, name)
            for name, make in makers.items()
        }

        def train(name: str) -> None:
            torch.set_num_threads(1)
            try:
                made[name].train()
            finally:
                turns.leave(name)

        try:
            with ThreadPoolExecutor(2) as both:
                list(both.map(train, makers))
        finally:
            torch.set_num_threads(threads)
    steps = settings.rollout_batch * settings.iterations // settings.train_batch
    a_rollout = {
        name: np.array(took[steps : steps * (1 + rollouts)]).reshape(rollouts, steps).sum(axis=1)
        for name, took in turns.seconds.items()
    }
    ratios = (a_rollout[OURS] / a_rollout[THEIRS]).tolist()
    figures = {name: {"median_s": median(took.tolist()), "rollouts": rollouts} for name, took in a_rollout.items()}
    _print(figures, ratios, settings)
    return {**figures, "ratios": ratios, "ratio": median(ratios)}


def _trainer(
    make: Callable[..., Any],
    start: Path,
    out: Path,
    settings: ReinforceSettings,
    rollouts: int,
    most_tokens: int,
    turns: Turns,
    name: str,
) -> Any:
    """A trainer that takes turns; it makes a rollout more than is timed at the beginning, and a step at the end."""
    from datasets import Dataset
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration, TrainerCallback

    from policy.reasoning.training.reinforce import grpo_config
    from policy.reasoning.training.rewards import AnswerReward

    class TakesTurns(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            turns.take(name)

    steps = settings.rollout_batch * settings.iterations // settings.train_batch * (1 + rollouts) + 1
    machine: dict[str, Any] = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True}
    quiet: dict[str, Any] = {"save_strategy": "no", "logging_strategy": "no"}
    return make(
        model=Qwen2_5_VLForConditionalGeneration.from_pretrained(start),
        reward=AnswerReward(),
        settings=settings,
        args=grpo_config(settings, out, steps=steps, most_tokens=most_tokens, **machine, **quiet),
        train_dataset=Dataset.from_list(_rows(settings.rollout_batch // settings.answers)),
        processing_class=AutoProcessor.from_pretrained(start),
        callbacks=[TakesTurns()],
    )


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


def _print(figures: dict[str, Any], ratios: list[float], settings: ReinforceSettings) -> None:
    steps = settings.rollout_batch * settings.iterations // settings.train_batch
    title = f"{settings.rollout_batch} answers and their {steps} steps, one thread, {len(ratios)} pairs in turn"
    table = Table(title=title, title_justify="left", min_width=80)
    for number, column in enumerate(("", "median s")):
        table.add_column(column, justify="left" if number == 0 else "right")
    for name, found in figures.items():
        table.add_row(name, f"{found['median_s']:.3f}")
    console = Console(width=120)
    console.print(table, highlight=False)
    ratio = median(ratios)
    low, high = np.quantile(ratios, [0.25, 0.75])
    reached = "reached" if ratio <= MOST else f"MISSED by {ratio - MOST:.1%}"
    console.print(
        f"StableReinforce takes {ratio:.3f} of GRPO's time (quartiles of pairs {low:.3f} to {high:.3f}), asked for "
        f"{MOST:.2f}: {reached}",
        highlight=False,
    )
