"""SFT and DPO on a tiny VLM: they learn, go on after a stop, and end at a loss that is no number, losing nothing."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from contracts.errors import BadInputError, CheckFailedError
from contracts.reasoning import enveloped
from policy.reasoning.models.checkpoint import Checkpoint, read_checkpoint
from policy.reasoning.rows import Row
from policy.reasoning.training.curves import read_curve, write_page
from policy.reasoning.training.dpo import DpoSettings, choose_pairs, run_dpo
from policy.reasoning.training.folder import BROKEN, RunFolder
from policy.reasoning.training.heads import score_answers_only
from policy.reasoning.training.sft import SftSettings, run_sft
from policy.reasoning.training.tables import Preferred, sft_table
from tests.policy.reasoning.models.conftest import built, checkpoint, rows

__all__ = ["built", "checkpoint", "rows"]
SFT = SftSettings(steps=6, batch=8, learning_rate=5e-3, save_every=3)


def quiet(_: str) -> None:
    pass


@pytest.fixture
def whole_head() -> Iterator[None]:
    """TRL as it comes: every position is scored."""
    from trl.trainer import utils

    before = utils._use_triton
    yield
    utils._use_triton = before


def test_sft_lowers_the_loss_and_writes_its_curve(checkpoint: Checkpoint, rows: list[Row], tmp_path: Path) -> None:
    ticks: list[str] = []
    run_sft(checkpoint, rows, tmp_path / "run", SFT, tick=ticks.append)
    losses = [value for _, value in read_curve(tmp_path / "run")["loss"]]
    assert len(losses) == 6
    assert losses[-1] < losses[0] - 0.3
    assert ticks == [f"sft: {len(rows)} rows, 6 steps of 8"]
    write_page(tmp_path / "page.html", {"sft": tmp_path / "run"}, [("stage", "n"), ("sft", "<6>")], title="A run")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<polyline") == len(read_curve(tmp_path / "run"))
    assert "&lt;6&gt;" in page
    assert "http" not in page.replace("http-equiv", "")


def test_lora_trains_adapters_and_gives_a_whole_model_back(
    checkpoint: Checkpoint, built: Path, rows: list[Row], tmp_path: Path
) -> None:
    model = run_sft(checkpoint, rows, tmp_path / "run", replace(SFT, lora_rank=4, steps=2), tick=quiet)
    before = read_checkpoint(built).model.state_dict()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert any("q_proj" in name for name in changed)
    assert not any("embed" in name or "norm" in name for name in changed)
    assert not any("lora" in name for name in model.state_dict())


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(built: Path, rows: list[Row], tmp_path: Path) -> None:
    whole = run_sft(read_checkpoint(built), rows, tmp_path / "whole", SFT, tick=quiet).state_dict()
    run_sft(read_checkpoint(built), rows, tmp_path / "stopped", SFT, tick=quiet)
    steps = RunFolder(tmp_path / "stopped", json.loads((tmp_path / "stopped" / "settings.json").read_text())).steps
    for path in sorted((steps / "checkpoint-6").iterdir()):
        path.unlink()
    (steps / "checkpoint-6").rmdir()
    again = run_sft(read_checkpoint(built), rows, tmp_path / "stopped", SFT, tick=quiet).state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    with pytest.raises(BadInputError, match=r"was begun with other settings: learning_rate '0\.005' -> '0\.1'"):
        run_sft(read_checkpoint(built), rows, tmp_path / "stopped", replace(SFT, learning_rate=0.1), tick=quiet)


def test_a_loss_that_is_no_number_ends_the_run_with_step_batch_and_last_good_checkpoint(
    built: Path, rows: list[Row], tmp_path: Path
) -> None:
    run_sft(read_checkpoint(built), rows, tmp_path / "run", replace(SFT, steps=3), tick=quiet)
    good = sorted((tmp_path / "run" / "steps").rglob("*.safetensors"))
    poisoned = read_checkpoint(built)
    with torch.no_grad():
        poisoned.model.get_output_embeddings().weight[7] = math.nan
    with pytest.raises(CheckFailedError, match=r"loss == nan at step 0, must be finite: its batch of 8 is in .*where"):
        run_sft(poisoned, rows, tmp_path / "bad", replace(SFT, steps=3), tick=quiet)
    broken = json.loads((tmp_path / "bad" / BROKEN).read_text())
    assert broken["step"] == 0
    assert len(broken["batch"]) == 8
    assert "uploader_data" in broken["batch"][0]
    assert sorted((tmp_path / "run" / "steps").rglob("*.safetensors")) == good


def test_dpo_prefers_what_is_right_over_the_models_own_wrong_answer(
    checkpoint: Checkpoint, rows: list[Row], tmp_path: Path
) -> None:
    pairs = [Preferred(row, row.completion, enveloped("nothing", row.solution)) for row in rows]
    settings = DpoSettings(steps=6, batch=8, learning_rate=2e-3)
    run_dpo(checkpoint, pairs, tmp_path / "run", settings, tick=quiet)
    margins = [value for _, value in read_curve(tmp_path / "run")["rewards/margins"]]
    assert margins[0] == 0.0, "it begins as its own reference"
    assert margins[-1] > 0.05


def test_pairs_are_the_wrong_tag_that_most_name_or_what_has_no_form_and_nothing_of_what_is_right(
    rows: list[Row],
) -> None:
    right, *_ = rows
    other = [row for row in rows if row.solution not in {right.solution, "positive"}]
    often, seldom = other[0], next(row for row in other if row.solution != other[0].solution)
    chosen = choose_pairs(
        [right] * 3,
        [
            [seldom.completion, often.completion, right.completion, often.completion],
            [right.completion, "so it is", right.completion, right.completion],
            [right.completion] * 4,
        ],
    )
    assert [(pair.chosen, pair.rejected) for pair in chosen.pairs] == [
        (right.completion, often.completion),
        (right.completion, "so it is"),
    ]
    assert chosen.counts == {"wrong tag": 1, "unparsed": 1, "all right": 1}


def test_scoring_the_answers_alone_gives_the_same_loss_and_gradient(
    built: Path, rows: list[Row], tmp_path: Path, whole_head: None
) -> None:
    def step() -> tuple[float, torch.Tensor]:
        from trl import SFTConfig, SFTTrainer

        start = read_checkpoint(built)
        config = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_length=None)
        trainer = SFTTrainer(start.model, config, train_dataset=sft_table(rows[:4]), processing_class=start.processor)
        batch = next(iter(trainer.get_train_dataloader()))
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        return float(loss.detach()), trainer.model.get_input_embeddings().weight.grad.clone()

    from trl.trainer import utils

    utils._use_triton = lambda _device: False
    loss, gradient = step()
    score_answers_only()
    again, alone = step()
    assert again == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(alone, gradient, atol=1e-6, rtol=1e-4)


def test_rows_without_an_answer_are_not_learned_from(rows: list[Row]) -> None:
    with pytest.raises(BadInputError, match="has no completion, must have one to be learned from"):
        sft_table([replace(rows[0], completion="")])
    with pytest.raises(BadInputError, match="0 rows, training needs at least one"):
        sft_table([])


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"learning_rate": 0.0}, {"lora_rank": -1}, {"learning_rate": math.nan}]
)
def test_settings_that_train_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInputError):
        SftSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInputError):
        DpoSettings(**wrong)  # type: ignore[arg-type]
