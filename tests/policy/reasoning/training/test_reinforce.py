"""The trainer on a tiny VLM: it samples, learns, filters, and stops before a step that is not finite."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration, TrainerCallback
from trl import GRPOTrainer
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from contracts.errors import BadInputError, CheckFailedError
from policy.reasoning.endpoint import ChatClient, Endpoint
from policy.reasoning.training.consistency import EndpointJudge
from policy.reasoning.training.objectives import loss_of
from policy.reasoning.training.reinforce import StableReinforceTrainer, grpo_config
from policy.reasoning.training.rewards import AnswerReward
from policy.reasoning.training.settings import PARTS, Parts, ReinforceSettings
from tests.policy.reasoning.gullible import judge_on_loopback
from tests.policy.reasoning.training.test_rewards import reads_the_end
from tests.policy.reasoning.training.tiny_answers import rows_of, teach

ALONE = Parts(True, True, False)
SETTINGS = ReinforceSettings(
    learning_rate=1e-3, kl=1e-2, rollout_batch=32, train_batch=16, micro_batch=4, answers=2, parts=ALONE
)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "taught"
    teach(folder)
    return folder


def trainer_of(
    taught: Path,
    out: Path,
    *,
    settings: ReinforceSettings = SETTINGS,
    reward: AnswerReward | None = None,
    steps: int = 4,
    rows: Dataset | None = None,
    **machine: Any,
) -> StableReinforceTrainer:
    at = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True, "save_steps": 2}
    return StableReinforceTrainer(
        Qwen2_5_VLForConditionalGeneration.from_pretrained(taught),
        settings=settings,
        reward=reward or AnswerReward(),
        args=grpo_config(settings, out, steps=steps, most_tokens=24, **{**at, **machine}),
        train_dataset=rows or Dataset.from_list(rows_of(16)),
        processing_class=AutoProcessor.from_pretrained(taught),
    )


def rollout(trainer: StableReinforceTrainer) -> dict[str, Any]:
    rows = [row for row in trainer.train_dataset for _ in range(2)]
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return trainer._generate_and_score_completions(rows)


class Scripted(AnswerReward):
    """Rewards that a test wants."""

    def __call__(self, completions: Any, *_: Any, **__: Any) -> list[float]:
        return [1.0] + [0.0] * (len(completions) - 1)


class AtStep(TrainerCallback):
    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self.step, self.act = step, act

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            self.act()


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in model.named_parameters()}


def test_it_learns_from_pictures_and_texts_and_a_judge_and_logs_what_was_sampled(taught: Path, tmp_path: Path) -> None:
    settings = ReinforceSettings(
        learning_rate=1e-3, kl=1e-2, rollout_batch=32, train_batch=16, micro_batch=4, parts=PARTS["stable_reinforce"]
    )
    with judge_on_loopback(reads_the_end) as server:
        judge = EndpointJudge(ChatClient(Endpoint(server.url)))
        trainer = trainer_of(taught, tmp_path / "run", settings=settings, reward=AnswerReward(judge))
        before = weights(trainer.model)
        trainer.train()
    after = weights(trainer.model)
    assert any((before[name] != after[name]).any() for name in before)
    assert all(one.isfinite().all() for one in after.values())
    logged = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(logged) == 2, "two rollouts of two steps"
    for entry in logged:
        assert 0.0 < entry["reward/format"] <= 1.0, "or the start was badly taught"
        assert entry["reward"] == pytest.approx(
            entry["reward/result"] + 0.5 * entry["reward/consistency"] + 0.5 * entry["reward/format"], abs=1e-6
        )
    steps = [entry for entry in trainer.state.log_history if "ratio/pre_clipped" in entry]
    assert [entry["step"] for entry in steps] == [1, 2, 3, 4]
    assert all(math.isfinite(entry["grad_norm"]) and entry["kl"] >= 0 for entry in steps)
    assert judge.asked > 0
    assert (tmp_path / "run" / "checkpoint-4" / "model.safetensors").exists()


def test_its_loss_and_gradient_are_the_objectives_on_log_probabilities_of_each_row_alone(
    taught: Path, tmp_path: Path
) -> None:
    trainer = trainer_of(taught, tmp_path)
    inputs = rollout(trainer)
    torch.manual_seed(1)
    inputs["old_per_token_logps"] = inputs["old_per_token_logps"] + torch.randn(inputs["completion_ids"].shape)
    inputs["advantages"] = torch.randn(32)
    trainer._compute_loss(trainer.model, inputs).backward()
    found = {name: one.grad.clone() for name, one in trainer.model.named_parameters() if one.grad is not None}
    loss = trainer._compute_loss(trainer.model, inputs).item()

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(taught)
    processor, logps = AutoProcessor.from_pretrained(taught), torch.zeros(inputs["completion_ids"].shape)
    rows = [row for row in trainer.train_dataset for _ in range(2)]
    for place, row in enumerate(rows):
        text = processor.apply_chat_template(row["prompt"], add_generation_prompt=True)
        asked = processor(text=[text], images=row["images"] or None, return_tensors="pt")
        answer = inputs["completion_ids"][place][inputs["completion_mask"][place] == 1][None]
        ids = torch.cat([asked["input_ids"], answer], dim=1)
        kinds = torch.cat([asked["mm_token_type_ids"], torch.zeros_like(answer)], dim=1)
        pictures = {name: asked[name] for name in ("pixel_values", "image_grid_thw") if name in asked}
        logits = model(input_ids=ids, mm_token_type_ids=kinds, **pictures).logits[
            0, asked["input_ids"].shape[1] - 1 : -1
        ]
        logps = logps.index_put(
            (torch.tensor(place), torch.arange(answer.shape[1])),
            logits.log_softmax(-1).gather(-1, answer[0][:, None])[:, 0],
        )
    expected = loss_of(
        logps,
        inputs["old_per_token_logps"],
        inputs["ref_per_token_logps"],
        inputs["advantages"],
        inputs["completion_mask"],
        SETTINGS,
    ).total
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    assert set(found) == {name for name, one in model.named_parameters() if one.grad is not None}
    for name, one in model.named_parameters():
        if one.grad is not None:
            torch.testing.assert_close(found[name], one.grad, rtol=1e-3, atol=1e-5)
    mean_ratio = (logps - inputs["old_per_token_logps"]).exp()[inputs["completion_mask"] == 1].mean()
    assert mean_ratio > 1.2, "or nothing was clipped"


def test_a_micro_batch_none_of_whose_rows_has_a_picture_is_its_share_of_the_loss(taught: Path, tmp_path: Path) -> None:
    trainer = trainer_of(taught, tmp_path)
    inputs = rollout(trainer)
    inputs["advantages"] = torch.arange(32.0) - 10.0
    pictured = [place for place, count in enumerate(inputs["num_images"]) if count]
    bare = [place for place in range(32) if place not in pictured]
    assert len(bare) == len(pictured) == 16
    tokens, losses = [], []
    for places in (bare, pictured, list(range(32))):
        split = split_pixel_values_by_grid(inputs).items()
        some = {
            name: [value[place] for place in places] if isinstance(value, list | tuple) else value[places]
            for name, value in split
            if not isinstance(value, torch.Tensor) or value.dim() > 0
        }
        tokens.append(some["completion_mask"].sum().item())
        losses.append(trainer._compute_loss(trainer.model, unsplit_pixel_values_by_grid(some)).item())
    assert losses[2] * tokens[2] == pytest.approx(losses[0] * tokens[0] + losses[1] * tokens[1], rel=1e-4)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("column", ["of none", "not there"])
def test_rows_none_of_which_has_a_picture_are_learned_from_too(taught: Path, tmp_path: Path, column: str) -> None:
    bare = Dataset.from_list([row for row in rows_of(32) if not row["images"]])
    rows = bare.remove_columns("images") if column == "not there" else bare
    trainer = trainer_of(taught, tmp_path, steps=2, rows=rows)
    trainer.train()
    assert trainer.state.log_history[0]["reward/format"] > 0
    assert trainer.state.log_history[0]["kl"] == pytest.approx(0.0, abs=1e-6)


def test_the_reference_and_the_old_log_probabilities_are_those_of_the_start(taught: Path, tmp_path: Path) -> None:
    trainer = trainer_of(taught, tmp_path)
    inputs = rollout(trainer)
    mask = inputs["completion_mask"].bool()
    torch.testing.assert_close(inputs["old_per_token_logps"][mask], inputs["ref_per_token_logps"][mask])
    assert trainer._compute_loss(trainer.model, inputs).item() == pytest.approx(
        -(inputs["advantages"][:, None] * mask).sum().item() / mask.sum().item(), abs=1e-5
    )


def test_the_filter_zeroes_the_one_outlier_and_the_other_advantages_are_over_the_rollout(
    taught: Path, tmp_path: Path
) -> None:
    """One right of 32: 31 / sqrt(32) = 5.48 for it, -1 / sqrt(32) for the others."""
    trainer = trainer_of(taught, tmp_path, reward=Scripted())
    inputs = rollout(trainer)
    assert inputs["advantages"][0] == 0.0
    assert inputs["advantages"][1:].tolist() == pytest.approx([-1 / math.sqrt(32)] * 31)
    assert trainer._metrics["train"]["advantages/filtered"] == [pytest.approx(1 / 32)]
    assert list(trainer._logs["advantages"]) == inputs["advantages"].tolist()
    off = ReinforceSettings(
        rollout_batch=32, train_batch=16, micro_batch=4, parts=PARTS["reinforce_plus_plus"], learning_rate=1e-3
    )
    plain = rollout(trainer_of(taught, tmp_path, settings=off, reward=Scripted()))
    assert plain["advantages"][0] == pytest.approx(31 / math.sqrt(32))


def test_at_a_log_ratio_of_200_trl_s_own_loss_is_not_finite_and_ours_is(taught: Path, tmp_path: Path) -> None:
    trainer = trainer_of(taught, tmp_path)
    inputs = rollout(trainer)
    inputs["old_per_token_logps"] = inputs["old_per_token_logps"] - 200.0
    inputs["advantages"] = torch.ones(32)
    finite = {}
    for name, loss_function in (
        ("ours", trainer._compute_loss),
        ("TRL's", lambda *given: GRPOTrainer._compute_loss(trainer, *given)),
    ):
        for sign in (1.0, -1.0):
            trainer.model.zero_grad()
            loss = loss_function(trainer.model, {**inputs, "advantages": sign * inputs["advantages"]})
            loss.backward()
            gradients = [one.grad for one in trainer.model.parameters() if one.grad is not None]
            finite[name, sign] = bool(loss.isfinite()) and all(bool(one.isfinite().all()) for one in gradients)
    assert finite == {("ours", 1.0): True, ("ours", -1.0): True, ("TRL's", 1.0): False, ("TRL's", -1.0): False}


@pytest.mark.parametrize("broken", ["loss", "gradient norm"])
def test_a_number_that_is_not_finite_stops_the_run_before_the_step_and_spares_what_was_saved(
    taught: Path, tmp_path: Path, broken: str
) -> None:
    trainer = trainer_of(taught, tmp_path, steps=6)
    name, first = next(iter(trainer.model.named_parameters()))
    saved: dict[str, bytes] = {}
    kept: dict[str, torch.Tensor] = {}

    def break_it() -> None:
        saved.update(read(tmp_path))
        kept.update(weights(trainer.model))
        if broken == "loss":
            first.data.fill_(math.nan)
        else:
            first.register_hook(lambda gradient: gradient * math.nan)

    trainer.add_callback(AtStep(3, break_it))
    with pytest.raises(CheckFailedError, match=rf"{broken} == nan, must be finite \(step 4, rows [\d, ]+\)") as error:
        trainer.train()
    assert str(error.value).endswith(f"last good checkpoint: {tmp_path / 'checkpoint-2'}")
    assert read(tmp_path) == saved
    assert any("checkpoint-2" in path for path in saved)
    after = weights(trainer.model)
    assert all(torch.equal(after[other], kept[other]) for other in after if other != name)
    assert torch.equal(after[name], kept[name]) or broken == "loss"


def read(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_it_would_not_follow_is_refused(taught: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="consistency is on, the reward has no judge"):
        trainer_of(taught, tmp_path, settings=ReinforceSettings())
    for given, said in (
        ({"delta": 4.0}, "delta == 4.0, must be None"),
        ({"top_entropy_quantile": 0.2}, "top_entropy_quantile == 0.2, must be 1.0"),
        ({"mask_truncated_completions": True}, "mask_truncated_completions == True, must be False"),
    ):
        with pytest.raises(BadInputError, match=said):
            trainer_of(taught, tmp_path, **given)
    other = ReinforceSettings(parts=ALONE, kl=0.5, rollout_batch=32, train_batch=16, micro_batch=4)
    args = grpo_config(SETTINGS, tmp_path, steps=1, most_tokens=8, use_cpu=True, bf16=False)
    rows = Dataset.from_list(rows_of(15))
    with pytest.raises(BadInputError, match="15 rows, must be at least 16: TRL would sample no whole rollout"):
        StableReinforceTrainer(
            None, settings=SETTINGS, reward=AnswerReward(), args=args, train_dataset=rows, processing_class=None
        )
    with pytest.raises(BadInputError, match=r"learning_rate == 0\.001, must be 3e-07 by the settings of the run"):
        StableReinforceTrainer(
            None, settings=other, reward=AnswerReward(), args=args, train_dataset=rows, processing_class=None
        )
    with pytest.raises(BadInputError, match="rows have no solution, must have prompt, solution, task and images"):
        StableReinforceTrainer(
            None,
            settings=SETTINGS,
            reward=AnswerReward(),
            args=args,
            train_dataset=rows.remove_columns("solution"),
            processing_class=None,
        )
