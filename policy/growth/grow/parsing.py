"""An answer in, its lines out: each the name of a child, or refused by a rule that has a name.

Forgiven is what changes nothing: what was thought before the answer, blank lines, bullets and numbers before a name,
and the parent's whole path before it.
"""

import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from contracts.errors import printable
from contracts.growth import MOST_CHARS, SEPARATOR, spelling_of
from policy.growth.grow.prompts import NONE
from policy.growth.taxonomy.hierarchy import Spelled, spelled_path


class Refusal(StrEnum):
    """Why a proposal is not a new type; the first rule that it breaks."""

    CONTROL = "has control or hidden characters"
    EMPTY = "has no letter or digit"
    INVENTED_LEVELS = "its path is not the parent's and one level more"
    OTHER_SEPARATOR = "joins levels by another separator"
    NOT_A_NAME = "is a sentence or markup, not a name"
    TOO_LONG = "is longer than a name may be"
    CYCLE = "is spelled as an ancestor"
    REPEATED = "is in the same answer already"
    TOO_MANY = "is a line after the last that is read"
    EXISTS = "is spelled as a type that is there"
    NEAR = "means the same as a type that is there"


class Line(NamedTuple):
    """What a line says: the name of a child, or why it is none. `text` is printable; `lines` it stands for."""

    text: str
    name: str | None
    refused: Refusal | None = None
    lines: int = 1


class Parsed(NamedTuple):
    """The lines of an answer; `none` where it says that nothing is missing, and then there are no lines."""

    lines: tuple[Line, ...]
    none: bool = False

    @property
    def usable(self) -> bool:
        """Whether it says something that was asked for."""
        return self.none or any(line.name is not None for line in self.lines)


_THOUGHT = "</think>"
_SHOWN = 200
_MOST_RAW = 4_000
"""Characters of a line before any of it is looked at."""
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_BULLET = re.compile(r"^(?:[-*+•·]\s+|\(?\d{1,4}(?:[.)]\s+|、\s*))")
_LEVELS = re.compile(r"[-=]+>|[>→⇒›»＞|｜\\～∼⁓〜]|::|\s/\s")
_MAYBE_LEVELS = re.compile(r"\s*[/:：]\s*|\s+[-–—]+\s+")
"""Also inside names: levels where what stands before it is an ancestor."""
_ENDS_A_SENTENCE = (".", ":", ";", "?", "!", "。", "：", "；", "？", "！", "…", ",")
_MARKUP = ("[", "{", "`", '"', "#", "*", "_", "<")


def parse(text: str, path: tuple[str, ...], *, most_lines: int) -> Parsed:
    """Read an answer that was asked for children of `path`; the lines after `most_lines` are one refused in all."""
    said = text.rpartition(_THOUGHT)[2]
    raw = [line for line in said.split("\n") if line.strip()]
    if len(raw) == 1 and spelling_of(raw[0][:_MOST_RAW]) == spelling_of(NONE):
        return Parsed((), none=True)
    lines = list(_read(raw[:most_lines], path))
    if rest := raw[most_lines:]:
        lines.append(Line(_shown(rest[0]), None, Refusal.TOO_MANY, len(rest)))
    return Parsed(tuple(lines))


def _read(raw: list[str], path: tuple[str, ...]) -> Iterator[Line]:
    ancestors = spelled_path(path)
    before = set[str]()
    for line in raw:
        name = _name_of(line, ancestors) if len(line) <= _MOST_RAW else Refusal.TOO_LONG
        if not isinstance(name, Refusal):
            spelled = spelling_of(name)
            if spelled in ancestors:
                name = Refusal.CYCLE
            elif spelled in before:
                name = Refusal.REPEATED
            before.add(spelled)
        refused = name if isinstance(name, Refusal) else None
        yield Line(_shown(line), None if refused else name, refused)


def _name_of(line: str, ancestors: Spelled) -> str | Refusal:
    stripped = line.strip()
    if not stripped.isprintable() and any(unicodedata.category(c) in _HIDDEN for c in stripped):
        return Refusal.CONTROL
    name = _BULLET.sub("", " ".join(stripped.split()))
    if SEPARATOR in name:
        *above, name = (level.strip() for level in name.split(SEPARATOR))
        if spelled_path(above) != ancestors:
            return Refusal.INVENTED_LEVELS
    if not (spelled := spelling_of(name)):
        return Refusal.EMPTY
    if name.endswith(_ENDS_A_SENTENCE) or name.startswith(_MARKUP) or spelled == spelling_of(NONE):
        return Refusal.NOT_A_NAME
    first, *more = _MAYBE_LEVELS.split(name)
    if _LEVELS.search(name) or (more and spelling_of(first) in ancestors):
        return Refusal.OTHER_SEPARATOR
    return name if len(name) <= MOST_CHARS else Refusal.TOO_LONG


def _shown(line: str) -> str:
    return printable(line.strip(), at_most=_SHOWN)
