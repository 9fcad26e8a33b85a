"""Pictures with the types that are near them in, the types that fit out: an LLM strikes the others.

Step 3 of TaskGalaxy (arXiv 2502.09925, section 3.3): nearness finds candidates, looking at the picture decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import polars as pl

from contracts.errors import BadInputError, printable
from contracts.reasoning import Unparsed
from policy.growth.calls.ask import Ask, Said
from policy.growth.calls.stage import Outcome, Stage
from policy.growth.parts import Schema, part_at, plan_digest, read_part
from policy.growth.samples.replies import is_count, object_in
from policy.growth.samples.showing import Typed, numbered, picture_messages, system_of
from policy.growth.taxonomy.folder import version_of
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.reasoning.endpoint import Endpoint

MATCHES: Schema = {"picture_id": pl.String, "node_ids": pl.List(pl.String), "scores": pl.List(pl.Float32)}
KEPT: Schema = {"picture_id": pl.String, "node_ids": pl.List(pl.String), "struck": pl.List(pl.String)}
DROPPED: Schema = {"picture_id": pl.String, "node_ids": pl.List(pl.String), "reason": pl.String, "detail": pl.String}
UNUSABLE, NOTHING_FITS, NOTHING_NEAR = "no usable answer", "no type fits", "no type is near"

TASK = """You are shown a picture and a list of types of questions that it might serve for. Strike those that do not
fit: where no question of the type could be asked about what is to be seen, or its subject is not there. Answer with
exactly one JSON object and nothing else, the numbers of the types to strike, or none:
{"strike": [2, 5]}"""


@dataclass(frozen=True, slots=True)
class ShowingSettings:
    """frames: the most of a picture that are shown. tries: of each request, where its answer cannot be used."""

    frames: int = 4
    tries: int = 3

    def __post_init__(self) -> None:
        for name, value, high in (("frames", self.frames, 16), ("tries", self.tries, 10)):
            if not 1 <= value <= high:
                raise BadInputError(f"{name} == {value}, must be in [1, {high}]")


class Candidates(NamedTuple):
    """A picture and the types that are near it, best first."""

    picture_id: str
    frames: Sequence[bytes]
    types: Sequence[Typed]


def strike_stage(home: Path, taxonomy: Taxonomy, llm: Endpoint, settings: ShowingSettings) -> Stage[Candidates]:
    """HOME/matches -> HOME/struck."""

    async def follow(item: Candidates, ask: Ask) -> Outcome:
        return await strike(item, ask, settings)

    return Stage(
        "strike",
        home / "matches",
        home / "struck",
        KEPT,
        DROPPED,
        plan_digest(
            "strike",
            {
                "task": system_of(TASK),
                "taxonomy": version_of(taxonomy),
                "llm": llm.model,
                "most_tokens": llm.most_tokens,
                **asdict(settings),
            },
        ),
        lambda part: _candidates(home, part, taxonomy),
        follow,
    )


async def strike(item: Candidates, ask: Ask, settings: ShowingSettings) -> Outcome:
    """Ask which types do not fit, until an answer can be read."""
    if not item.types:
        return _dropped(item, NOTHING_NEAR, "")
    messages = picture_messages(TASK, item.frames, numbered([one.label for one in item.types]), at_most=settings.frames)
    found: frozenset[int] | Unparsed = Unparsed("")
    for attempt in range(1, settings.tries + 1):
        found = read_strike(await ask(item.picture_id, attempt, messages), len(item.types))
        if not isinstance(found, Unparsed):
            break
    if isinstance(found, Unparsed):
        return _dropped(item, UNUSABLE, found.reason)
    kept = [one.node_id for number, one in enumerate(item.types, start=1) if number not in found]
    if not kept:
        return _dropped(item, NOTHING_FITS, "")
    return Outcome([(item.picture_id, kept, [item.types[number - 1].node_id for number in sorted(found)])], [])


def read_strike(said: Said, n: int) -> frozenset[int] | Unparsed:
    """The numbers of the types to strike, of n."""
    found = object_in(said, "strike")
    if isinstance(found, Unparsed):
        return found
    numbers = found["strike"]
    if not isinstance(numbers, list) or not all(is_count(number, 1, n) for number in numbers):
        return Unparsed("strike must be a list of numbers of the types")
    return frozenset(numbers)


def _dropped(item: Candidates, reason: str, detail: str) -> Outcome:
    return Outcome([], [(item.picture_id, [one.node_id for one in item.types], reason, detail)])


def _candidates(home: Path, part: Path, taxonomy: Taxonomy) -> list[Candidates]:
    frames = frames_beside(home, part)
    return [
        Candidates(picture_id, frames[picture_id], typed(node_ids, taxonomy))
        for picture_id, node_ids in read_part(part, MATCHES, ["picture_id", "node_ids"]).iter_rows()
    ]


class Frames(dict[str, Sequence[bytes]]):
    """The frames of a part's pictures, by id; raises `BadInputError` for a picture that is not in it."""

    def __init__(self, part: Path, frames: Iterable[tuple[str, Sequence[bytes]]]) -> None:
        super().__init__(frames)
        self._part = part

    def __missing__(self, picture_id: str) -> NoReturn:
        shown = printable(picture_id, at_most=80)
        raise BadInputError(f"{self._part}: holds no picture {shown!r}, but a later step's part of it does")


def frames_beside(home: Path, part: Path) -> Frames:
    """The frames of the pictures that a part is about: part i of every stage is of part i of the pictures."""
    from policy.growth.pictures.collect import KEPT as PICTURES

    pictures = part_at(home / "pictures", int(part.stem.removeprefix("part-")))
    return Frames(pictures, read_part(pictures, PICTURES, ["picture_id", "frames"]).iter_rows())


def typed(node_ids: Sequence[str], taxonomy: Taxonomy) -> list[Typed]:
    """Types as they are shown; raises `BadInputError` for one that the taxonomy does not have."""
    return [Typed(node_id, taxonomy.by_id(node_id).label) for node_id in node_ids]
