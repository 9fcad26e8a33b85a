"""A checkpoint and rows with right answers in, a checkpoint that answers in their form out: supervised fine-tuning."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError
from policy.reasoning.models.checkpoint import Checkpoint
from policy.reasoning.rows import Row
from policy.reasoning.training.curves import kept_in, only_kept
from policy.reasoning.training.folder import RunFolder
from policy.reasoning.training.guarded import Guarded
from policy.reasoning.training.heads import score_answers_only
from policy.reasoning.training.tables import sft_table


@dataclass(frozen=True, slots=True)
class SftSettings:
    """How long and how fast; lora_rank 0 trains every weight.

    The rate warms up over a tenth of the steps and falls as a cosine. save_every: steps between checkpoints.
    """

    steps: int = 1_000
    batch: int = 32
    learning_rate: float = 1e-5
    lora_rank: int = 0
    save_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.save_every) < 1 or not 0.0 < self.learning_rate < 1.0:
            raise BadInputError(f"{self}: steps, batch and save_every must be at least 1, learning_rate in (0, 1)")
        if self.lora_rank < 0:
            raise BadInputError(f"lora_rank == {self.lora_rank}, must be at least 0")


def run_sft(
    start: Checkpoint, rows: Sequence[Row], folder: Path, settings: SftSettings, *, tick: Callable[[str], None]
) -> Any:
    """Train from `start` in a run's folder, going on where it stopped; returns the model, adapters merged."""
    from trl import SFTConfig, SFTTrainer

    score_answers_only()
    run = RunFolder(folder, asdict(settings) | {"rows": len(rows)})

    class Trainer(Guarded, SFTTrainer):
        folder = run

    config = SFTConfig(**common_arguments(run, settings), learning_rate=settings.learning_rate, max_length=None)
    trainer = Trainer(
        start.model,
        config,
        train_dataset=sft_table(rows),
        processing_class=start.processor,
        peft_config=lora(settings.lora_rank),
        callbacks=[kept_in(run.path)],
    )
    tick(f"sft: {len(rows)} rows, {settings.steps} steps of {settings.batch}")
    only_kept(trainer).train(resume_from_checkpoint=None if run.last_step is None else str(run.last_step))
    return merged(trainer.model)


def common_arguments(run: RunFolder, settings: Any) -> dict[str, Any]:
    """The arguments that all stages give to their trainers."""
    return {
        "output_dir": str(run.steps),
        "max_steps": settings.steps,
        "per_device_train_batch_size": settings.batch,
        "lr_scheduler_type": "cosine",
        "warmup_steps": max(1, settings.steps // 10),
        "logging_steps": max(1, settings.steps // 50),
        "save_steps": settings.save_every,
        "save_total_limit": 2,
        "seed": settings.seed,
        "report_to": "none",
        "disable_tqdm": True,
        **where_it_runs(),
    }


def where_it_runs() -> dict[str, bool]:
    """A GPU, where there is one, in bfloat16 with checkpointed gradients; else the CPU in the weights' own type."""
    import torch

    there = torch.cuda.is_available()
    return {"use_cpu": not there, "bf16": there, "gradient_checkpointing": there}


def lora(rank: int) -> Any:
    """Adapters of this rank on every linear layer; None for rank 0."""
    if rank == 0:
        return None
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def merged(model: Any) -> Any:
    """The model with its adapters in its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
