"""Exported conversations in, the rows that supervised fine-tuning learns from out.

EXPORT/conversations.json, images   in the LLaVA format (arXiv 2304.08485): id, image, turns of a human and of gpt
EXPORT/datasets                     the same as a `datasets` folder, its pictures inside

A row asks what the turns before the last one say, a picture where its `<image>` stands, and holds the last as right.
"""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, ValidationError, model_validator

from contracts.errors import BadInputError, first_reason, printable
from contracts.records import Record
from policy.growth.pictures.decoding import frame_of_picture
from policy.growth.samples.export import CONVERSATIONS, IMAGES, MARK
from policy.reasoning.question import Messages, data_url
from policy.reasoning.rows import Picture, Row

_ROLES = {"human": "user", "gpt": "assistant"}


def _trimmed(text: str) -> str:
    return text.strip()


class Turn(Record):
    """What one side says; `<image>` stands where a picture does."""

    says: Annotated[Literal["human", "gpt"], Field(alias="from")]
    value: Annotated[str, AfterValidator(_trimmed), Field(max_length=100_000)]


class Conversation(Record):
    """A sample of the LLaVA format: turns that begin with the human's, end with gpt's and alternate."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    image: str | tuple[str, ...] | None = None
    conversations: Annotated[tuple[Turn, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _sides_alternate(self) -> Self:
        said = [turn.says for turn in self.conversations]
        if said != ["human", "gpt"] * (len(said) // 2):
            raise ValueError(f"turns are of {', '.join(said)}, must be human and gpt in turn, gpt the last")
        if any(not turn.value for turn in self.conversations):
            raise ValueError("a turn says nothing, must have a value")
        if any(MARK in turn.value for turn in self.conversations if turn.says == "gpt"):
            raise ValueError(f"an answer holds {MARK}, must be text")
        return self

    @property
    def images(self) -> tuple[str, ...]:
        if self.image is None:
            return ()
        return (self.image,) if isinstance(self.image, str) else self.image


def rows_of_export(out: Path) -> Iterator[Row]:
    """Rows of what `precedent taxonomy export` writes."""
    return rows_of_llava(out / CONVERSATIONS, out / IMAGES)


def rows_of_llava(file: Path, images: Path) -> Iterator[Row]:
    """Rows of a JSON file of conversations, their pictures (JPEG) below `images`, read one after the other.

    The file holds a list, or a sample a line. Raises `BadInputError` naming the file and the sample.
    """
    for place, given in _samples(file):
        conversation = _conversation(given, place)
        yield row_of(conversation, [_jpeg_below(images, name, place) for name in conversation.images], place=place)


def rows_of_dataset(folder: Path) -> Iterator[Row]:
    """Rows of a `datasets` folder with columns id, image and conversations; image is a picture, several or none.

    Raises `BadInputError` naming the folder and the sample.
    """
    from datasets import load_from_disk

    try:
        table = load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise BadInputError(f"{folder}: {printable(str(error), at_most=300)}, must be a datasets folder") from error
    if missing := sorted({"id", "image", "conversations"} - set(getattr(table, "column_names", ()))):
        raise BadInputError(f"{folder}: has no column {missing[0]!r}, must have id, image and conversations")
    for i, given in enumerate(table):
        place = f"{folder}, sample {i}"
        shown = given["image"]
        pictures = [] if shown is None else shown if isinstance(shown, list) else [shown]
        conversation = _conversation({"id": given["id"], "conversations": given["conversations"]}, place)
        yield row_of(conversation, [np.asarray(picture.convert("RGB")) for picture in pictures], place=place)


def row_of(conversation: Conversation, pictures: Sequence[Picture | bytes], *, place: str) -> Row:
    """One conversation as a row, its pictures uint8 [H, W, 3] or the bytes of JPEGs, in the order of their marks.

    Raises `BadInputError` where there are not as many marks as pictures.
    """
    *before, last = conversation.conversations
    marks = sum(turn.value.count(MARK) for turn in before)
    if marks != len(pictures):
        raise BadInputError(f"{len(pictures)} pictures, must be one for each of {marks} {MARK} ({place})")
    urls = iter([_url(picture) for picture in pictures])
    messages: Messages = [{"role": _ROLES[turn.says], "content": _content(turn, urls)} for turn in before]
    return Row(conversation.id, "instruction", messages, [_pixels(one) for one in pictures], last.value, last.value)


def _content(turn: Turn, urls: Iterator[str]) -> list[dict[str, Any]] | str:
    if turn.says == "gpt":
        return turn.value
    parts = list[dict[str, Any]]()
    for i, text in enumerate(turn.value.split(MARK)):
        if i:
            parts.append({"type": "image_url", "image_url": {"url": next(urls)}})
        if text.strip():
            parts.append({"type": "text", "text": text.strip()})
    return parts


def _samples(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{file}: {error}, must be conversations in JSON") from error
    if text.lstrip().startswith("["):
        for i, given in enumerate(_parsed(text, str(file))):
            yield f"{file}, sample {i}", given
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{file}, line {number}", _parsed(line, f"{file}, line {number}")


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{place}: {printable(str(error), at_most=300)}, must be JSON") from error


def _conversation(given: Any, place: str) -> Conversation:
    try:
        return Conversation.model_validate(given)
    except ValidationError as error:
        raise BadInputError(f"{first_reason(error)} ({place})") from error


def _jpeg_below(images: Path, name: str, place: str) -> bytes:
    path = (images / name).resolve()
    if not path.is_relative_to(images.resolve()):
        raise BadInputError(f"image == {printable(name, at_most=200)}, must lie below {images} ({place})")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}, must be a picture ({place})") from error


def _pixels(picture: Picture | bytes) -> Picture:
    return frame_of_picture(picture) if isinstance(picture, bytes) else picture


def _url(picture: Picture | bytes) -> str:
    if not isinstance(picture, bytes):
        return data_url(picture)
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
