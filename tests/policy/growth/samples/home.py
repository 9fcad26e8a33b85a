"""A small growth folder, made by hand, and an endpoint of plain functions that is asked in its steps."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from policy.growth.calls.ask import LLM, AwayError, Said
from policy.growth.match import KEPT as MATCHES
from policy.growth.parts import Schema, write_part
from policy.growth.pictures.collect import KEPT as PICTURES
from policy.growth.pictures.decoding import picture_of_frame
from policy.growth.taxonomy.hierarchy import Taxonomy, taxonomy_of
from policy.reasoning.question import Messages

TYPES: Taxonomy = taxonomy_of(
    [("Charts", "Bars"), ("Charts", "Pies"), ("Scenes", "Streets"), ("Text", "Menus"), ("Text", "Signs")]
)
ID = {node.name: node.node_id for node in TYPES.leaves}
NOTHING = pl.DataFrame(schema={"reason": pl.String})


def picture_id(number: int) -> str:
    return f"{number:032x}"


def jpeg(shade: int) -> bytes:
    return picture_of_frame(np.full((8, 8, 3), shade, np.uint8), quality=90).jpeg


def part(folder: Path, i: int, schema: Schema, rows: Sequence[Sequence[object]]) -> None:
    """Write a part of a stage as its step would."""
    table = pl.DataFrame([list(row) for row in rows], schema=dict(schema), orient="row")
    write_part(folder, i, table, NOTHING, input=f"{folder.name}-{i}", plan="by hand")


def write_pictures(home: Path, *parts: Mapping[int, Sequence[bytes]]) -> Path:
    """Pictures by number with their frames, a part for each mapping; the home."""
    for i, pictures in enumerate(parts):
        rows = [(picture_id(n), f"{n}.jpg", frames, 8, 8) for n, frames in pictures.items()]
        part(home / "pictures", i, PICTURES, rows)
    return home


def write_matches(home: Path, *parts: Mapping[int, Sequence[str]]) -> Path:
    """Pictures of one frame each and the names of the types that are near them; the home."""
    write_pictures(home, *({n: [jpeg(n)] for n in pictures} for pictures in parts))
    for i, pictures in enumerate(parts):
        rows = [(picture_id(n), [ID[name] for name in names], [0.5] * len(names)) for n, names in pictures.items()]
        part(home / "matches", i, MATCHES, rows)
    return home


class Told:
    """Asks nobody: what a seat says at each attempt, the last again and again; an exception is raised."""

    def __init__(self, *says: str | Said | Exception, **by_seat: Sequence[str | Said | Exception]) -> None:
        self._says = {LLM: says, **{seat.replace("_", "-"): said for seat, said in by_seat.items()}}
        self.asked = list[tuple[str, str, int]]()
        self.shown = list[Messages]()

    async def __call__(self, item_id: str, attempt: int, messages: Messages, *, seat: str = LLM) -> Said:
        self.asked.append((seat, item_id, attempt))
        self.shown.append(messages)
        said = self._says[seat]
        found = said[min(attempt, len(said)) - 1]
        if isinstance(found, Exception):
            raise found
        return Said(found) if isinstance(found, str) else found


AWAY = AwayError("http://127.0.0.1:1/v1: does not answer in 180 s")


def text_shown(messages: Messages) -> str:
    return str(messages[1]["content"][-1]["text"])


def frames_shown(messages: Messages) -> list[bytes]:
    urls = [part["image_url"]["url"] for part in messages[1]["content"][:-1]]
    assert all(url.startswith("data:image/jpeg;base64,") for url in urls)
    return [base64.b64decode(url.partition(",")[2]) for url in urls]
