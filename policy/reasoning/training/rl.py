"""A checkpoint and rows with solutions in, one whose sampled answers earn more out: a run of StableReinforce."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contracts.errors import BadInputError
from policy.reasoning.models.checkpoint import Checkpoint
from policy.reasoning.rows import Row
from policy.reasoning.training.curves import kept_in, only_kept
from policy.reasoning.training.folder import RunFolder
from policy.reasoning.training.guarded import Resumed
from policy.reasoning.training.heads import score_answers_only
from policy.reasoning.training.rewards import AnswerReward, ConsistencyJudge
from policy.reasoning.training.settings import ReinforceSettings
from policy.reasoning.training.tables import rl_table


def run_reinforce(
    start: Checkpoint,
    rows: Sequence[Row],
    folder: Path,
    settings: ReinforceSettings,
    *,
    steps: int,
    answer_tokens: int,
    judge: ConsistencyJudge | None = None,
    seed: int = 0,
    tick: Callable[[str], None],
) -> Any:
    """Train from `start` in a run's folder, going on where it stopped; returns the model.

    Raises `BadInputError` for settings that would silently do nothing, or steps that are not over 0.
    """
    from policy.reasoning.training.reinforce import StableReinforceTrainer, grpo_config
    from policy.reasoning.training.sft import where_it_runs

    if steps < 1:
        raise BadInputError(f"steps == {steps}, must be at least 1 (RL)")
    score_answers_only()
    run = RunFolder(folder, asdict(settings) | {"rows": len(rows), "steps": steps, "seed": seed})

    class Trainer(Resumed, StableReinforceTrainer):
        pass

    trainer = Trainer(
        start.model,
        settings=settings,
        reward=AnswerReward(judge),
        args=grpo_config(
            settings,
            run.steps,
            steps=steps,
            most_tokens=answer_tokens,
            seed=seed,
            save_steps=max(1, steps // 4),
            save_total_limit=2,
            disable_tqdm=True,
            **where_it_runs(),
        ),
        train_dataset=rl_table(rows),
        processing_class=start.processor,
        callbacks=[kept_in(run.path)],
    )
    tick(f"rl: {len(rows)} rows, {steps} steps, {settings.rollout_batch} answers a rollout")
    only_kept(trainer).train(resume_from_checkpoint=None if run.last_step is None else str(run.last_step))
    return trainer.model
