"""Latents -> title, OCR and ASR: phrases drawn from a phrasebook, laid out as people write, with their slips.

What a video's words lean to decides which phrases are drawn; what it truly is does not enter here, but for one
thing: words that look violative in a *good* video mostly come with a sign that they are news, a lesson or a joke.
"""

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from contracts.taxonomy import Category
from simulation.latents import Latents, Leaning

SHARE_FRAMED_IF_POSITIVE = 0.6
SHARE_FRAMED_IF_VIOLATIVE = 0.08
SHARE_WITH_OCR = 0.8
SHARE_WITH_ASR = 0.75
SHARE_ENTITLED = 0.2
SHARE_SUBTITLED = 0.8
SHARE_WITH_SLIPS = 0.3
EMOJI = ("😂", "🔥", "👍", "❤️", "😭", "🎉", "💪", "👀", "🙏", "✨")
SOUNDS_ALIKE = {
    "微信": ("薇信", "V信", "徽芯"),
    "加我": ("➕我", "佳我"),
    "现货": ("现huo", "现貨"),
    "福利": ("福li", "辐利"),
    "钱": ("💰", "米"),
    "免费": ("免肥", "免f"),
    "药": ("藥", "yao"),
    "money": ("m0ney", "moolah"),
    "free": ("fr33", "frее"),
    "add": ("@dd", "ad d"),
    "cash": ("c4sh", "ca$h"),
    "group": ("gr0up", "grp"),
}
T = TypeVar("T")
_SLOT = re.compile(r"\{(\w+)\}")
_LISTS = {"name": "names", "place": "places", "item": "items"}


@dataclass(frozen=True, slots=True)
class Words:
    """What a video says; None where it says nothing."""

    title: str | None
    ocr: str | None
    asr: str | None


@cache
def phrasebook(language: str) -> Mapping[str, Any]:
    """The phrases of `zh` or `en`: common, frames, benign by topic, shared and violative by category."""
    return tomllib.loads(resources.files("simulation.words").joinpath(f"{language}.toml").read_text("utf-8"))


def say(latents: Latents, seed: int, *, book: Mapping[str, Any] | None = None, framed: float | None = None) -> Words:
    """The words of one video; the same video and seed give the same words.

    `book`: other phrases than the usual ones; `framed`: another share with a sign of what its violative words are for.
    """
    chance = random.Random(f"{seed}:words:{latents.number}")
    book = book or phrasebook("zh" if latents.chinese else "en")
    topic = _topic(latents, book, chance)
    telling = _some(topic["phrases"], 3 + int(chance.random() * 3), chance)
    if latents.words is Leaning.VIOLATIVE:
        telling = _mixed(telling, latents, book, chance, framed)
    common = book["common"]
    chatter = _some(common["chatter"], 7 + int(chance.random() * 8), chance)
    strays = [
        _pick(_pick(about, chance)["phrases"], chance)
        for about in [list(book["shared"].values())] * int(chance.random() * 3)
    ]
    lines = [_filled(line, common, chance) for line in _shuffled([*telling, *chatter, *strays], chance)]
    title, ocr, asr = _laid_out(lines, chance)
    tags = [
        *_some(topic["tags"], int(chance.random() * 3), chance),
        *_some(common["tags"], int(chance.random() * 4), chance),
    ]
    heading = " ".join([_joined(title, latents.chinese), *tags]).strip()
    if chance.random() < 0.12:
        heading += f" @{_pick(common['names'], chance).replace(' ', '')}{int(chance.random() * 900) + 100}"
    subtitles = [
        *ocr,
        *(_filled(line, common, chance) for line in _some(common["subtitles"], int(chance.random() * 3), chance)),
    ]
    speech = [_pick(common["openers"], chance), *asr, _pick(common["closers"], chance)]
    return Words(
        title=_slipped(heading, chance) or None,
        ocr=_slipped("|".join(_stuttered(subtitles, chance)), chance) if ocr else None,
        asr=_slipped(_joined([_filled(line, common, chance) for line in speech], latents.chinese), chance)
        if asr
        else None,
    )


def _topic(latents: Latents, book: Mapping[str, Any], chance: random.Random) -> Mapping[str, Any]:
    if latents.words is Leaning.BENIGN:
        topics = book["benign"]
        topic: Mapping[str, Any] = topics[_pick(sorted(topics), chance)]
        return topic
    found: Mapping[str, Any] = book[latents.words.value][latents.about.value]
    return found


def _mixed(
    telling: list[str], latents: Latents, book: Mapping[str, Any], chance: random.Random, framed: float | None
) -> list[str]:
    """Violative words come among the shared words of their topic, and perhaps with a sign of what they are for."""
    lines = [*telling, *_some(book["shared"][latents.about.value]["phrases"], 1 + int(chance.random() * 2), chance)]
    usual = SHARE_FRAMED_IF_POSITIVE if latents.category is Category.POSITIVE else SHARE_FRAMED_IF_VIOLATIVE
    if chance.random() < (usual if framed is None else framed):
        frames = book["frames"][_pick(sorted(book["frames"]), chance)]
        lines += _some(frames, 1 + int(chance.random() * 2), chance)
    return lines


def _laid_out(lines: Sequence[str], chance: random.Random) -> tuple[list[str], list[str], list[str]]:
    """Each line to the title, to the subtitles, to the speech, or to both of these, as far as they exist."""
    places: tuple[list[str], list[str], list[str]] = ([], [], [])
    has_ocr, has_asr = chance.random() < SHARE_WITH_OCR, chance.random() < SHARE_WITH_ASR
    there = [0, *([1] if has_ocr else []), *([2] if has_asr else [])]
    for line in lines:
        place = there[int(chance.random() * len(there))]
        places[place].append(line)
        if place and chance.random() < SHARE_ENTITLED:
            places[0].append(line)
        if place == 2 and has_ocr and chance.random() < SHARE_SUBTITLED:
            places[1].append(line)
    return places


def _stuttered(lines: Sequence[str], chance: random.Random) -> list[str]:
    """Subtitles stand over several frames, so that OCR reads some of them again."""
    return [line for line in lines for _ in range(1 + (chance.random() < 0.3))]


def _joined(lines: Sequence[str], chinese: bool) -> str:
    return ("，" if chinese else ", ").join(lines)


def _filled(line: str, common: Mapping[str, Any], chance: random.Random) -> str:
    def fill(slot: "re.Match[str]") -> str:
        name = slot.group(1)
        if name == "n":
            return str(2 + int(chance.random() * 58))
        if name == "price":
            return str((9, 19, 49, 99, 199, 399, 999)[int(chance.random() * 7)])
        return _pick(common[_LISTS[name]], chance)

    return _SLOT.sub(fill, line) if "{" in line else line


def _slipped(text: str, chance: random.Random) -> str:
    """Typing errors, look-alikes that dodge a filter, emoji: in good videos as in bad ones."""
    if chance.random() >= SHARE_WITH_SLIPS or len(text) < 4:
        return text
    kind = chance.random()
    if kind < 0.4:
        for word, others in SOUNDS_ALIKE.items():
            if word in text:
                text = text.replace(word, _pick(others, chance))
    elif kind < 0.7:
        at = int(chance.random() * (len(text) - 2))
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    else:
        at = int(chance.random() * len(text))
        text = text[:at] + _pick(EMOJI, chance) * (1 + int(chance.random() * 3)) + text[at:]
    return text


def _pick(of: Sequence[T], chance: random.Random) -> T:
    return of[int(chance.random() * len(of))]


def _shuffled(of: Sequence[str], chance: random.Random) -> list[str]:
    return sorted(of, key=lambda _: chance.random())


def _some(of: Sequence[str], n: int, chance: random.Random) -> list[str]:
    """Up to n different ones."""
    return _shuffled(of, chance)[:n]
