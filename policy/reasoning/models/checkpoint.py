"""A checkpoint folder <-> a model and its processor, with a record of what it was made from.

FOLDER/                  as transformers writes it: config, weights (safetensors), processor, tokenizer
FOLDER/checkpoint.json   `CheckpointRecord`: stage, parent, data, settings, figures, and the digest of every other file

A folder is written beside its place and renamed, so that a half-written one is never read.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from contracts.errors import BadInputError
from contracts.records import Digest, Record

RECORD = "checkpoint.json"
Stage = Literal["built", "sft", "dpo", "rl"]
CLASS = "image-text-to-text"


class CheckpointRecord(Record):
    """What a checkpoint was made from and what it reached; `parent` is the digest of the parent's weights.

    frames, chars: the budget of the questions that it was taught, which it must be asked with.
    """

    stage: Stage
    model_type: str
    parent: Digest | None = None
    data: Digest | None = None
    settings: Mapping[str, str] = Field(default_factory=dict)
    figures: Mapping[str, float] = Field(default_factory=dict)
    frames: Annotated[int, Field(ge=1)] = 8
    chars: Annotated[int, Field(ge=2)] = 4_000
    files: Mapping[str, Digest] = Field(default_factory=dict)


class Checkpoint(NamedTuple):
    """A model of the image-text-to-text class, its processor, and its record; None for one of another make."""

    model: Any
    processor: Any
    record: CheckpointRecord | None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Load a checkpoint; weights in the type that they are saved in.

    Raises `BadInputError` where the folder is not one, a file is not what its record says, or the model is of another
    class than image-text-to-text.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    record = read_record(folder)
    check_folder(folder, record)
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForImageTextToText.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype="auto"
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInputError(f"{folder}: cannot be loaded: {_first_line(error)}") from error
    return Checkpoint(model, processor, record)


def check_folder(folder: Path, record: CheckpointRecord | None) -> None:
    """Raise `BadInputError` unless the folder holds a model of the class, and the files that its record names."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as CLASSES

    if not (folder / "config.json").is_file():
        raise BadInputError(f"{folder}: holds no config.json, must be a checkpoint folder")
    if record is not None:
        _verify(folder, record)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise BadInputError(f"{folder}/config.json: {_first_line(error)}") from error
    if config.model_type not in CLASSES:
        raise BadInputError(f"{folder}: model_type == {config.model_type!r}, must be of the class {CLASS}")
    if record is not None and record.model_type != config.model_type:
        raise BadInputError(f"{folder}: model_type == {config.model_type!r}, its record says {record.model_type!r}")


def read_record(folder: Path) -> CheckpointRecord | None:
    """The record of a checkpoint; None where it has none, as one that was downloaded."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return CheckpointRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadInputError(f"{path}: is not a checkpoint's record: {_first_line(error)}") from error


def write_checkpoint(folder: Path, model: Any, processor: Any, record: CheckpointRecord) -> None:
    """Write a checkpoint whole or not at all; raises `BadInputError` where the folder is there already."""
    if folder.exists():
        raise BadInputError(f"{folder}: is there already, a checkpoint is never overwritten")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        model.save_pretrained(draft)
        processor.save_pretrained(draft)
        files = {
            path.relative_to(draft).as_posix(): digest_of(path) for path in sorted(draft.rglob("*")) if path.is_file()
        }
        whole = record.model_copy(update={"model_type": model.config.model_type, "files": files})
        (draft / RECORD).write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def weights_digest(folder: Path) -> Digest:
    """`sha256:` over the weight files of a checkpoint, by name: what a child names as its parent."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BadInputError(f"{folder}: holds no *.safetensors, must be a checkpoint folder")
    return f"sha256:{hashlib.sha256(''.join(digest_of(path) for path in files).encode()).hexdigest()}"


def digest_of(path: Path) -> Digest:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _verify(folder: Path, record: CheckpointRecord) -> None:
    for name, digest in record.files.items():
        path = folder / name
        if not path.is_file():
            raise BadInputError(f"{path}: is missing, {RECORD} names it")
        if (found := digest_of(path)) != digest:
            raise BadInputError(f"{path}: digest == {found}, {RECORD} says {digest}")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
