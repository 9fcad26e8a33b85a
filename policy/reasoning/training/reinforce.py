"""A model, rows and a reward in, a model trained by StableReinforce or Reinforce++ out.

TRL's GRPO trainer samples the answers, keeps their log-probabilities and steps the optimizer; what is learned from them
is `objectives`: advantages over the whole rollout in place of those within a prompt, and the loss. A row has `prompt`
(messages whose contents are parts), `images` (as many pictures as the prompt has image parts), `solution` and `task`.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer

from contracts.errors import BadInputError, CheckFailedError
from policy.reasoning.training.objectives import advantages_of, loss_of, standardised
from policy.reasoning.training.rewards import AnswerReward
from policy.reasoning.training.settings import ReinforceSettings

ROW = "row"
"""The column that numbers the rows, so that an error can name those of its batch."""
COLUMNS = ("prompt", "solution", "task")
_SEEN = (
    "pixel_values",
    "image_grid_thw",
    "num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "token_type_ids",
    "mm_token_type_ids",
    "image_position_ids",
)
"""What a model is given besides tokens, by the names that TRL keeps it under."""
_NOT_OURS = {
    "delta": None,
    "epsilon_high": None,
    "top_entropy_quantile": 1.0,
    "entropy_coef": 0.0,
    "use_adaptive_entropy": False,
    "importance_sampling_level": "token",
    "off_policy_mask_threshold": None,
    "mask_truncated_completions": False,
}
"""Options of TRL that its own loss reads and ours does not: they must be left as they are."""


def grpo_config(
    settings: ReinforceSettings, folder: Path, *, steps: int, most_tokens: int, seed: int = 0, **machine: Any
) -> GRPOConfig:
    """TRL's configuration of `steps` steps with answers of at most `most_tokens`, checkpoints under `folder`.

    `machine`: what depends on where it runs, as `use_cpu`, `bf16`, `gradient_checkpointing`, `save_steps`.
    """
    given: dict[str, Any] = {"report_to": "none", "logging_steps": 1, "lr_scheduler_type": "constant", **machine}
    config = GRPOConfig(
        output_dir=str(folder),
        max_steps=steps,
        max_completion_length=most_tokens,
        seed=seed,
        per_device_train_batch_size=settings.micro_batch,
        **_wanted(settings),
        **given,
    )
    processes = config.world_size
    config.gradient_accumulation_steps = settings.accumulation(processes=processes)
    if config.generation_batch_size != settings.rollout_batch:
        raise BadInputError(f"rollout_batch == {settings.rollout_batch}, TRL makes {config.generation_batch_size}")
    return config


def _wanted(settings: ReinforceSettings) -> dict[str, Any]:
    """What of TRL's configuration the settings decide."""
    return {
        "learning_rate": settings.learning_rate,
        "beta": settings.kl,
        "epsilon": settings.clip,
        "temperature": settings.temperature,
        "num_generations": settings.answers,
        "num_iterations": settings.iterations,
        "generation_batch_size": settings.rollout_batch,
        "use_bias_correction_kl": False,
        "vllm_importance_sampling_correction": False,
    }


class StableReinforceTrainer(GRPOTrainer):
    """TRL's GRPO trainer with the advantages and the loss of `objectives`; everything else is TRL's.

    Raises `BadInputError` for rows or a configuration that it would not follow, `DependencyError` where the judge is
    away, and `CheckFailedError` at a loss or gradient that is not finite: before the step, so that weights and
    checkpoints stay as they are.
    """

    _tag_names = ("trl", "stable-reinforce")

    def __init__(
        self,
        model: Any,
        *,
        settings: ReinforceSettings,
        reward: AnswerReward,
        args: GRPOConfig,
        train_dataset: Any,
        processing_class: Any,
        **others: Any,
    ) -> None:
        _refuse_other(args, {**_wanted(settings), **_NOT_OURS})
        if settings.parts.consistency != (reward.judge is not None):
            given = "has no judge" if reward.judge is None else "has a judge"
            raise BadInputError(f"consistency is {'on' if settings.parts.consistency else 'off'}, the reward {given}")
        if missing := [column for column in COLUMNS if column not in train_dataset.column_names]:
            raise BadInputError(f"rows have no {', '.join(missing)}, must have {', '.join(COLUMNS)} and images")
        if len(train_dataset) < (asked := settings.rollout_batch // settings.answers):
            rule = f"must be at least {asked}: TRL would sample no whole rollout, and end without a step"
            raise BadInputError(f"{len(train_dataset)} rows, {rule}")
        self.settings = settings
        self._rewards_N: torch.Tensor | None = None
        self._rows_of_step: list[int] = []
        super().__init__(
            model=model,
            reward_funcs=[reward],
            args=args,
            train_dataset=train_dataset.add_column(ROW, list(range(len(train_dataset)))),
            processing_class=processing_class,
            **others,
        )
        for one in (self.model, self.ref_model):
            if one is not None:
                one.register_forward_pre_hook(_without_empty_pictures, with_kwargs=True)

    def _calculate_rewards(self, *given: Any) -> torch.Tensor:
        """Rewards [N, 1] of all processes, kept for the advantages."""
        rewards_N_1 = super()._calculate_rewards(*given)
        self._rewards_N = rewards_N_1[:, 0]
        return rewards_N_1

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        """Token ids, pictures and what else the processor makes; a prompt without pictures has an empty list."""
        ids, images, fields = super()._tokenize_prompts(prompts)
        return ids, images and [some or [] for some in images], fields

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Sample a rollout: TRL's advantages, within prompts, are replaced by ours, over the rollout."""
        if "images" in inputs[0]:  # a column in which some rows have none: TRL knows none by an empty list
            inputs = [{**row, "images": row["images"] or []} for row in inputs]
        output = super()._generate_and_score_completions(inputs)
        assert self._rewards_N is not None
        advantages_N = advantages_of(self._rewards_N, self.settings)
        start = self.accelerator.process_index * len(inputs)
        output["advantages"] = advantages_N[start : start + len(inputs)]
        output[ROW] = torch.tensor([row.get(ROW, -1) for row in inputs])
        logged = self._logs["advantages"]
        for _ in range(min(len(advantages_N), len(logged))):
            logged.pop()
        logged.extend(advantages_N.tolist())
        filtered_N = advantages_N != standardised(self._rewards_N)
        self._note("advantages/filtered", filtered_N.float().mean())
        return output

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """The loss of one micro-batch, a mean over its answer tokens, as its share of a step."""
        completion_ids, mask_B_T = inputs["completion_ids"], inputs["completion_mask"]
        logps_B_T, entropies_B_T, _ = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([inputs["prompt_ids"], completion_ids], dim=1),
            torch.cat([inputs["prompt_mask"], mask_B_T], dim=1),
            completion_ids.size(1),
            compute_entropy=True,
            **{name: inputs.get(name) for name in _SEEN},
        )
        old_B_T, reference_B_T = inputs.get("old_per_token_logps"), inputs.get("ref_per_token_logps")
        old_B_T = logps_B_T.detach() if old_B_T is None else old_B_T  # TRL keeps none where each rollout is one step
        loss = loss_of(logps_B_T, old_B_T, reference_B_T, inputs["advantages"], mask_B_T, self.settings)
        rows = inputs[ROW].tolist() if ROW in inputs else []
        self._rows_of_step += rows
        self._refuse_unless_finite("loss", loss.total.item(), rows)
        self._note("entropy", (entropies_B_T * mask_B_T).sum() / mask_B_T.sum().clamp(min=1))
        for name, value in (("kl", loss.kl), ("ratio/clipped", loss.clipped), ("ratio/pre_clipped", loss.pre_clipped)):
            self._note(name, value)
        return loss.total / (self.current_gradient_accumulation_steps if self.model.training else 1)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The gradient's norm, after it was clipped and before the optimizer steps: here a bad one is stopped."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        self._refuse_unless_finite("gradient norm", float(norm), self._rows_of_step)
        self._rows_of_step = []
        return norm

    def _refuse_unless_finite(self, what: str, value: float, rows: list[int]) -> None:
        if math.isfinite(value):
            return
        last = get_last_checkpoint(self.args.output_dir) if Path(self.args.output_dir).is_dir() else None
        named = ", ".join(map(str, sorted(set(rows))))
        raise CheckFailedError(
            f"{what} == {value}, must be finite (step {self.state.global_step + 1}, rows {named}): stopped before the "
            f"step, nothing was written; last good checkpoint: {last or 'none yet'}"
        )

    def _note(self, name: str, value: torch.Tensor) -> None:
        mode = "train" if self.model.training else "eval"
        self._metrics[mode][name].append(self.accelerator.gather(value.detach()).float().mean().item())


def _without_empty_pictures(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A micro-batch none of whose rows has a picture, of a rollout in which others have: the model is shown none."""
    pixels = named.get("pixel_values")
    if pixels is None or len(pixels):
        return given, named
    return given, {name: value for name, value in named.items() if name not in {"pixel_values", "image_grid_thw"}}


def _refuse_other(args: GRPOConfig, wanted: Mapping[str, Any]) -> None:
    """A configuration that says something else than the settings, or asks for what our loss does not do."""
    for name, value in wanted.items():
        if (given := getattr(args, name)) != value:
            raise BadInputError(f"{name} == {given!r}, must be {value!r} by the settings of the run (GRPOConfig)")
