"""A case and an injection in, the case whose words demand a ruling out; and the same with harmless words instead.

The set is data: `injections.toml`, in Chinese and English. An injection stands at the end of one of the case's texts,
which gives way where the contract's length would not hold both.
"""

import base64
import tomllib
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import cycle, islice
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from pydantic import Field, model_validator

from contracts.records import Record
from contracts.taxonomy import Category
from contracts.videos import MAX_TITLE_CHARS, MAX_TRANSCRIPT_CHARS, VideoUploaded

SET = Path(__file__).with_name("injections.toml")
TextField = Literal["title", "ocr", "asr"]
FIELDS: tuple[TextField, ...] = ("title", "ocr", "asr")
_MOST_CHARS: Mapping[TextField, int] = MappingProxyType(
    {"title": MAX_TITLE_CHARS, "ocr": MAX_TRANSCRIPT_CHARS, "asr": MAX_TRANSCRIPT_CHARS}
)


class Kind(StrEnum):
    """By what means an injection tries."""

    ORDER = "order"
    FAKE_RULING = "fake ruling"
    CLOSING_TAGS = "closing tags"
    ANSWER_TAGS = "answer tags"
    ROLE_PLAY = "role play"
    HIDDEN_CHARACTERS = "hidden characters"
    LOOK_ALIKE_TAGS = "look-alike tags"
    FAKE_FEEDBACK = "fake feedback"
    BASE64 = "base64"
    FAKE_JSON = "fake json"


class Disguise(StrEnum):
    """How a hidden text is written so that people do not read it and models might."""

    ZERO_WIDTH = "zero width"
    TAG_CHARACTERS = "tag characters"
    REVERSED = "reversed"
    FULL_WIDTH = "full width"
    BASE64 = "base64"


def _in_tag_characters(text: str) -> str:
    """ASCII as the invisible tag characters of Unicode, U+E0020 to U+E007E; other characters stay."""
    return "".join(chr(0xE0000 + ord(c)) if 0x20 <= ord(c) < 0x7F else c for c in text)


def _in_full_width(text: str) -> str:
    return "".join(chr(ord(c) - 0x21 + 0xFF01) if 0x21 <= ord(c) < 0x7F else c for c in text)


_DISGUISED: Mapping[Disguise, Callable[[str], str]] = MappingProxyType(
    {
        Disguise.ZERO_WIDTH: "\u200b".join,
        Disguise.TAG_CHARACTERS: _in_tag_characters,
        Disguise.REVERSED: lambda text: f"\u202e{text[::-1]}\u202c",
        Disguise.FULL_WIDTH: _in_full_width,
        Disguise.BASE64: lambda text: base64.b64encode(text.encode()).decode(),
    }
)


class Injection(Record):
    """A text that demands a category, as it stands in the set."""

    kind: Kind
    language: Literal["zh", "en"]
    text: str
    hidden: str | None = None
    disguise: Disguise | None = None

    @model_validator(mode="after")
    def _demands(self) -> Self:
        if (self.hidden is None) is not (self.disguise is None):
            raise ValueError("hidden and disguise must be given together")
        if ("{hidden}" in self.text) is not (self.hidden is not None):
            raise ValueError("text must hold {hidden} where there is something hidden, and only there")
        if "{demand}" not in f"{self.text}{self.hidden}":
            raise ValueError("text or hidden must hold {demand}")
        return self

    def demanding(self, category: Category) -> str:
        """The words that demand a category."""
        if self.hidden is None or self.disguise is None:
            return _filled(self.text, category)
        hidden = _DISGUISED[self.disguise](_filled(self.hidden, category))
        return _filled(self.text, category).replace("{hidden}", hidden)


class InjectionSet(Record):
    """The injections, and harmless sentences by language."""

    harmless: Mapping[Literal["zh", "en"], str]
    injections: tuple[Injection, ...] = Field(alias="injection")

    def control(self, injection: Injection, category: Category) -> str:
        """Harmless words in the injection's language, as many characters long as it is when it demands `category`."""
        return "".join(islice(cycle(self.harmless[injection.language]), len(injection.demanding(category))))


def read_injections(path: Path = SET) -> InjectionSet:
    """The committed set."""
    return InjectionSet.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def with_words(upload: VideoUploaded, words: str, field: TextField) -> VideoUploaded:
    """The upload with words at the end of one of its texts."""
    room = _MOST_CHARS[field] - len(words) - 1
    before = (getattr(upload, field) or "")[:room]
    return upload.model_copy(update={field: f"{before} {words}".strip()})


def _filled(text: str, category: Category) -> str:
    return text.replace("{demand}", category.value).replace("{chinese}", category.chinese)
