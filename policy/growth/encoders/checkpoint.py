"""A checkpoint folder of CLIP, SigLIP, SigLIP 2 or Chinese-CLIP in, a `DualEncoder` out, on a GPU where there is one.

As transformers writes such a folder: config, weights, tokenizer, image processor. Pictures are prepared by Pillow, so
that torchvision is not needed.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from contracts.errors import BadInputError, printable
from policy.growth.encoders.dual import Floats
from policy.growth.pictures.decoding import Frame

T = TypeVar("T")
CLASSES = ("clip", "siglip", "siglip2", "chinese_clip")
_PADDED_TO_THE_END = ("siglip", "siglip2")
"""Trained on texts padded to the full length and without a mask: read so, or read wrongly."""
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")
_MOST_TOKENS = 512
_BATCH_ON_CPU, _BATCH_ON_GPU = 32, 256
_THINNEST = 8


@dataclass(frozen=True, slots=True)
class CheckpointEncoder:
    """The `DualEncoder` of a checkpoint; so many pictures or texts as `batch` go through the model at once."""

    name: str
    dim: int
    model: Any
    tokenizer: Any
    processor: Any
    device: str
    batch: int
    most_tokens: int

    def pictures(self, frames: Sequence[Frame]) -> Floats:
        return self._in_batches(frames, self._of_frames)

    def texts(self, texts: Sequence[str]) -> Floats:
        return self._in_batches(texts, self._of_texts)

    def _of_frames(self, frames: Sequence[Frame]) -> Any:
        from PIL import Image

        images = [Image.fromarray(_not_too_thin(frame)) for frame in frames]
        inputs = self.processor(images=images, return_tensors="pt").to(self.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        return self.model.get_image_features(**inputs)

    def _of_texts(self, texts: Sequence[str]) -> Any:
        whole = self.model.config.model_type in _PADDED_TO_THE_END
        inputs = self.tokenizer(
            list(texts),
            padding="max_length" if whole else True,
            truncation=True,
            max_length=self.most_tokens,
            return_tensors="pt",
        ).to(self.device)
        if whole:
            return self.model.get_text_features(input_ids=inputs["input_ids"])
        return self.model.get_text_features(**inputs)

    def _in_batches(self, items: Sequence[T], features: Callable[[Sequence[T]], Any]) -> Floats:
        import torch

        found = list[Any]()
        with torch.inference_mode():
            for start in range(0, len(items), self.batch):
                told = features(items[start : start + self.batch])
                found.append(torch.nn.functional.normalize(told.pooler_output.float(), dim=-1).cpu().numpy())
        return np.concatenate(found) if found else np.zeros((0, self.dim), np.float32)


def open_encoder(folder: Path, *, device: str | None = None) -> CheckpointEncoder:
    """Load a checkpoint: in bfloat16 on a GPU, in float32 on a CPU; `device` is chosen where it is None.

    Its name is of its class, of the digest of its files and of the type of its floats. Raises `BadInputError` where
    the folder is no dual encoder, lacks a part or does not hold every weight.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    kind = _class_of(folder)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.startswith("cuda")
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        processor = _picture_processor(kind).from_pretrained(folder, local_files_only=True)
        model, told = AutoModel.from_pretrained(
            folder,
            dtype=torch.bfloat16 if on_gpu else torch.float32,
            output_loading_info=True,
            use_safetensors=True,
            **local,
        )
        if lacking := sorted(told["missing_keys"]):
            raise BadInputError(f"{folder}: lacks {len(lacking)} weights of its model, {lacking[0]} first")
        model = model.to(device).eval()
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise BadInputError(f"{folder}: cannot be loaded: {printable(_first_line(error), at_most=300)}") from error
    encoder = CheckpointEncoder(
        name=f"{kind}-{_digest_of(folder)[:16]}-{'bf16' if on_gpu else 'fp32'}",
        dim=0,
        model=model,
        tokenizer=tokenizer,
        processor=processor,
        device=device,
        batch=_BATCH_ON_GPU if on_gpu else _BATCH_ON_CPU,
        most_tokens=min(_MOST_TOKENS, tokenizer.model_max_length, model.config.text_config.max_position_embeddings),
    )
    return replace(encoder, dim=encoder.texts(["a"]).shape[1])  # no class says it by the same name


def _class_of(folder: Path) -> str:
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        raise BadInputError(f"{folder}: holds no config.json, must be a checkpoint folder")
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        # transformers would read every text with an empty vocabulary, and say nothing
        raise BadInputError(f"{folder}: holds no vocabulary, must hold one of {', '.join(_VOCABULARIES)}")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise BadInputError(f"{folder}/config.json: {printable(_first_line(error), at_most=300)}") from error
    kind: str = config.model_type
    if kind not in CLASSES:
        raise BadInputError(f"{folder}: model_type == {kind!r}, must be a dual encoder: {', '.join(CLASSES)}")
    return kind


def _picture_processor(kind: str) -> Any:
    """The class that prepares pictures by Pillow; the one that the auto class takes needs torchvision to be there."""
    from importlib import import_module

    name = {"clip": "CLIP", "siglip": "Siglip", "siglip2": "Siglip2", "chinese_clip": "ChineseCLIP"}[kind]
    return getattr(import_module(f"transformers.models.{kind}.image_processing_pil_{kind}"), f"{name}ImageProcessorPil")


def _digest_of(folder: Path) -> str:
    """The sha256 over the files beside each other in a checkpoint, by name."""
    told = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            with path.open("rb") as stream:
                told.update(f"{path.name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\0".encode())
    return told.hexdigest()


def _not_too_thin(frame: Frame) -> Frame:
    """A frame of a few pixels' width or height with each pixel repeated: so thin, it may be read as channels."""
    rows, columns = (-(-_THINNEST // side) if side < _THINNEST else 1 for side in frame.shape[:2])
    return frame if rows == columns == 1 else frame.repeat(rows, axis=0).repeat(columns, axis=1)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
