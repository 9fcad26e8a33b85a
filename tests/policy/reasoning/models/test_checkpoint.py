"""Checkpoints are written whole, read as what their record says, and refused as anything else."""

import json
import shutil
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from policy.reasoning.models.checkpoint import (
    RECORD,
    Checkpoint,
    CheckpointRecord,
    read_checkpoint,
    read_record,
    weights_digest,
    write_checkpoint,
)


@pytest.fixture
def written(checkpoint: Checkpoint, built: Path, tmp_path: Path) -> Path:
    record = CheckpointRecord(stage="sft", model_type="", parent=weights_digest(built), figures={"form": 1.0}, frames=2)
    write_checkpoint(tmp_path / "sft", checkpoint.model, checkpoint.processor, record)
    return tmp_path / "sft"


def test_a_checkpoint_is_read_back_with_its_record(written: Path, built: Path) -> None:
    read = read_checkpoint(written)
    assert read.record is not None
    assert (read.record.model_type, read.record.stage, read.record.frames) == ("qwen2_5_vl", "sft", 2)
    assert read.record.parent == weights_digest(built) == weights_digest(written)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= read.record.files.keys()
    assert read_record(built) is None
    assert not list(written.parent.glob(".*")), "no draft is left"


def test_nothing_is_written_over_and_a_failed_write_leaves_nothing(
    written: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    record = CheckpointRecord(stage="sft", model_type="")
    with pytest.raises(BadInputError, match="is never overwritten"):
        write_checkpoint(written, checkpoint.model, checkpoint.processor, record)

    class FullDisk:
        def save_pretrained(self, folder: Path) -> None:
            (folder / "half").write_text("")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path / "other", checkpoint.model, FullDisk(), record)
    assert [path.name for path in tmp_path.iterdir()] == ["sft"]


def test_a_file_that_is_not_what_the_record_says_is_refused(written: Path) -> None:
    with (written / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\xff")
    with pytest.raises(BadInputError, match=r"model\.safetensors: digest == sha256:.*checkpoint\.json says"):
        read_checkpoint(written)
    (written / "model.safetensors").unlink()
    with pytest.raises(BadInputError, match=r"model\.safetensors: is missing, checkpoint\.json names it"):
        read_checkpoint(written)


def test_what_is_no_checkpoint_of_the_class_is_refused_with_what_it_is(built: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"holds no config\.json"):
        read_checkpoint(tmp_path)
    other = tmp_path / "text"
    shutil.copytree(built, other)
    (other / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    with pytest.raises(BadInputError, match="model_type == 'bert', must be of the class image-text-to-text"):
        read_checkpoint(other)
    (other / "config.json").write_text("{")
    with pytest.raises(BadInputError, match=r"config\.json"):
        read_checkpoint(other)
    (other / RECORD).write_text('{"stage": "sft"}')
    with pytest.raises(BadInputError, match=r"checkpoint\.json: is not a checkpoint's record"):
        read_checkpoint(other)
    with pytest.raises(BadInputError, match=r"holds no \*\.safetensors"):
        weights_digest(tmp_path)


def test_weights_that_are_a_pickle_are_not_read(built: Path, tmp_path: Path) -> None:
    copy, ran = tmp_path / "pickled", tmp_path / "ran"
    shutil.copytree(built, copy)
    (copy / "model.safetensors").unlink()
    # protocol 0 by hand: os.mkdir(ran), which any unpickling of it runs
    (copy / "pytorch_model.bin").write_bytes(b"cos\nmkdir\n(S'%s'\ntR." % str(ran).encode())
    with pytest.raises(BadInputError, match="pickled: cannot be loaded: "):
        read_checkpoint(copy)
    assert not ran.exists()
