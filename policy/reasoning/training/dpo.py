"""A checkpoint and its own wrong answers in, a checkpoint that gives fewer of them out: DPO with an SFT term.

Pairs: the right reasoning against what the model itself says wrongly, as in KuaiMod (arXiv 2504.14904). The loss is
that of Rafailov et al. (arXiv 2305.18290), eq. 7, plus `sft_weight` times the cross-entropy of the chosen text,
without which the form of the answers is lost.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError
from contracts.reasoning import Unparsed, parse
from policy.reasoning.models.checkpoint import Checkpoint
from policy.reasoning.rows import Row
from policy.reasoning.training.curves import kept_in, only_kept
from policy.reasoning.training.folder import RunFolder
from policy.reasoning.training.guarded import Guarded
from policy.reasoning.training.heads import score_answers_only
from policy.reasoning.training.sft import common_arguments, lora, merged
from policy.reasoning.training.tables import Preferred, dpo_table
from policy.reasoning.voting import plurality


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """How long, how fast, how far from where it began: `beta` is the strength of the KL constraint."""

    steps: int = 200
    batch: int = 16
    learning_rate: float = 1e-6
    beta: float = 0.1
    sft_weight: float = 0.5
    lora_rank: int = 0
    save_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.save_every) < 1 or not 0.0 < self.learning_rate < 1.0:
            raise BadInputError(f"{self}: steps, batch and save_every must be at least 1, learning_rate in (0, 1)")
        if self.beta <= 0.0 or self.sft_weight < 0.0 or self.lora_rank < 0:
            raise BadInputError(f"{self}: beta must be over 0, sft_weight and lora_rank at least 0")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pairs, and what became of the rows: how many of each kind of rejected answer, how many gave none."""

    pairs: list[Preferred]
    counts: Mapping[str, int]


def choose_pairs(rows: Sequence[Row], answers: Sequence[Sequence[str]]) -> Chosen:
    """A pair for each row that a model's K answers get wrong at least once, the wrongest of them rejected.

    Rejected is an answer with the wrong tag that most of the K name, or else one that is not of the form; rows whose
    answers are all right teach nothing here.
    """
    pairs, counts = list[Preferred](), Counter[str]()
    for row, said in zip(rows, answers, strict=True):
        parsed = [parse(text) for text in said]
        wrong = [
            one.category.value for one in parsed if not isinstance(one, Unparsed) and one.category.value != row.solution
        ]
        if (most := plurality(wrong).label) is not None:
            rejected = next(
                text
                for text, one in zip(said, parsed, strict=True)
                if not isinstance(one, Unparsed) and one.category.value == most
            )
            counts["wrong tag"] += 1
        elif (
            broken := next((t for t, one in zip(said, parsed, strict=True) if isinstance(one, Unparsed)), None)
        ) is None:
            counts["all right"] += 1
            continue
        else:
            rejected = broken
            counts["unparsed"] += 1
        pairs.append(Preferred(row, row.completion, rejected))
    return Chosen(pairs, counts)


def run_dpo(
    start: Checkpoint, pairs: Sequence[Preferred], folder: Path, settings: DpoSettings, *, tick: Callable[[str], None]
) -> Any:
    """Train from `start` in a run's folder, going on where it stopped; returns the model, adapters merged."""
    from trl import DPOConfig, DPOTrainer

    score_answers_only()
    run = RunFolder(folder, asdict(settings) | {"pairs": len(pairs)})

    class Trainer(Guarded, DPOTrainer):
        folder = run

    config = DPOConfig(
        **common_arguments(run, settings),
        learning_rate=settings.learning_rate,
        beta=settings.beta,
        loss_type=["sigmoid", "sft"] if settings.sft_weight else ["sigmoid"],
        loss_weights=[1.0, settings.sft_weight] if settings.sft_weight else [1.0],
        max_length=None,
    )
    trainer = Trainer(
        model=start.model,
        args=config,
        train_dataset=dpo_table(pairs),
        processing_class=start.processor,
        peft_config=lora(settings.lora_rank),
        callbacks=[kept_in(run.path)],
    )
    tick(f"dpo: {len(pairs)} pairs, {settings.steps} steps of {settings.batch}")
    only_kept(trainer).train(resume_from_checkpoint=None if run.last_step is None else str(run.last_step))
    return merged(trainer.model)
