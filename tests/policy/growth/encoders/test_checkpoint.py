"""A checkpoint folder of each class, loaded as a real one is: what it embeds is its model's own answer."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from contracts.errors import BadInputError
from policy.growth.encoders.checkpoint import CheckpointEncoder, open_encoder
from policy.growth.pictures.decoding import Frame
from tests.policy.growth.encoders.checkpoints import DIM, MADE, write_checkpoint

TEXTS = ["cat", "dog dog cat", "a much longer text than the tokenizer of any of these models would ever let through"]
CHINESE = ["猫", "街头斗殴的一张照片", "狗" * 60]


@pytest.fixture(scope="module", params=sorted(MADE))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(kind, tmp_path_factory.mktemp("checkpoints") / kind)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> CheckpointEncoder:
    return open_encoder(folder, device="cpu")


def frames(*sizes: tuple[int, int]) -> list[Frame]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def texts_for(kind: str) -> list[str]:
    return CHINESE if kind == "chinese_clip" else TEXTS


def test_pictures_and_texts_are_directions_in_one_space(kind: str, encoder: CheckpointEncoder) -> None:
    assert encoder.dim == DIM[kind]
    assert encoder.name.startswith(f"{kind}-")
    assert encoder.name.endswith("-fp32")
    for found in (encoder.pictures(frames((20, 30), (40, 10))), encoder.texts(texts_for(kind)[:2])):
        assert found.shape == (2, DIM[kind])
        assert found.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-5)
    assert encoder.pictures([]).shape == encoder.texts([]).shape == (0, DIM[kind])


def test_a_text_is_the_same_alone_and_padded_beside_longer_ones(kind: str, encoder: CheckpointEncoder) -> None:
    texts = texts_for(kind)
    alone = np.concatenate([encoder.texts([text]) for text in texts])
    np.testing.assert_allclose(encoder.texts(texts), alone, atol=1e-5)
    assert len(np.unique(alone.round(4), axis=0)) == 3, "texts that differ lie apart"


def test_frames_of_odd_sizes_are_the_same_alone_and_in_a_batch(encoder: CheckpointEncoder) -> None:
    odd = frames((1, 1), (3, 5), (5, 3), (1, 336), (336, 1), (3, 3), (16, 16), (37, 91))
    alone = np.concatenate([encoder.pictures([frame]) for frame in odd])
    np.testing.assert_allclose(encoder.pictures(odd), alone, atol=1e-5)
    assert np.isfinite(alone).all()


def test_more_than_a_batch_goes_through_in_batches(encoder: CheckpointEncoder) -> None:
    many = frames(*[(16, 16)] * (encoder.batch + 3))
    found = encoder.pictures(many)
    np.testing.assert_allclose(found[-3:], encoder.pictures(many[-3:]), atol=1e-5)
    assert len(found) == encoder.batch + 3


def test_what_is_embedded_is_what_the_model_answers_to_its_own_processor(
    kind: str, folder: Path, encoder: CheckpointEncoder
) -> None:
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    (frame,) = frames((24, 24))
    texts = texts_for(kind)[:2]
    whole = {"padding": "max_length", "max_length": 12} if kind.startswith("siglip") else {"padding": True}
    tokens = tokenizer(texts, return_tensors="pt", **whole)
    if kind.startswith("siglip"):
        tokens = {"input_ids": tokens["input_ids"]}
    pixels = encoder.processor(images=[Image.fromarray(frame)], return_tensors="pt")
    with torch.no_grad():
        answered = model(**tokens, **pixels)
    np.testing.assert_allclose(encoder.texts(texts), answered.text_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(encoder.pictures([frame]), answered.image_embeds.numpy(), atol=1e-5)


def test_the_name_is_of_the_files_and_not_of_the_place(kind: str, folder: Path, tmp_path: Path) -> None:
    first = open_encoder(folder, device="cpu").name
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    assert open_encoder(moved, device="cpu").name == first
    weights = load_file(moved / "model.safetensors")
    weights["logit_scale"] = weights["logit_scale"] + 1
    save_file(weights, moved / "model.safetensors", metadata={"format": "pt"})
    assert open_encoder(moved, device="cpu").name != first


def test_every_class_is_read_where_torchvision_is_not_there(tmp_path: Path) -> None:
    folders = [write_checkpoint(kind, tmp_path / kind) for kind in sorted(MADE)]
    program = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from pathlib import Path\nimport numpy as np\n"
        "from policy.growth.encoders.checkpoint import open_encoder\n"
        "for one in sys.argv[1:]:\n"
        "    print(open_encoder(Path(one), device='cpu').pictures([np.zeros((9, 9, 3), np.uint8)]).shape[1])"
    )
    command = [sys.executable, "-c", program, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(DIM[kind]) for kind in sorted(MADE)], done.stderr


def broken(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "broken")
    return tmp_path / "broken"


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_folder_that_is_no_dual_encoder_is_refused_with_its_reason(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"holds no config\.json, must be a checkpoint folder"):
        open_encoder(tmp_path, device="cpu")
    copy = broken(folder, tmp_path)
    change_config(copy, model_type="bert")
    with pytest.raises(BadInputError, match="model_type == 'bert', must be a dual encoder: clip, siglip"):
        open_encoder(copy, device="cpu")
    (copy / "config.json").write_text("{")
    with pytest.raises(BadInputError, match=r"broken/config\.json: "):
        open_encoder(copy, device="cpu")


@pytest.mark.parametrize("lost", ["model.safetensors", "tokenizer.json", "preprocessor_config.json"])
def test_a_checkpoint_that_lacks_a_part_is_refused(folder: Path, tmp_path: Path, lost: str) -> None:
    copy = broken(folder, tmp_path)
    (copy / lost).unlink()
    why = "holds no vocabulary" if lost == "tokenizer.json" else "cannot be loaded: "
    with pytest.raises(BadInputError, match=f"broken: {why}"):
        open_encoder(copy, device="cpu")


def test_a_checkpoint_that_lacks_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = broken(folder, tmp_path)
    weights = load_file(copy / "model.safetensors")
    del weights["logit_scale"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInputError, match="lacks 1 weights of its model, logit_scale first"):
        open_encoder(copy, device="cpu")
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[:1_000])
    with pytest.raises(BadInputError, match="broken: cannot be loaded: "):
        open_encoder(copy, device="cpu")


def test_weights_that_are_a_pickle_are_not_read(folder: Path, tmp_path: Path) -> None:
    copy, ran = broken(folder, tmp_path), tmp_path / "ran"
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(BadInputError, match="broken: cannot be loaded: "):
        open_encoder(copy, device="cpu")
    # protocol 0 by hand: os.mkdir(ran), which any unpickling of it runs
    (copy / "pytorch_model.bin").write_bytes(b"cos\nmkdir\n(S'%s'\ntR." % str(ran).encode())
    with pytest.raises(BadInputError, match="broken: cannot be loaded: "):
        open_encoder(copy, device="cpu")
    assert not ran.exists()
