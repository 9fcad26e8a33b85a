"""A taxonomy -> HOME/types.parquet: what each leaf is called before an encoder, and the direction of that."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from contracts.errors import BadInputError
from contracts.growth import TypeNode
from policy.growth.encoders.dual import DualEncoder, Floats
from policy.growth.parts import Schema, made_of_what, parts_of, read_part, write_table
from policy.growth.taxonomy.hierarchy import Taxonomy

TYPES = "types.parquet"
MARK = "{}"
_MADE_OF = ("version", "encoder", "shown", "template")
_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class TypeTexts:
    """What the encoder is shown of a leaf: its name or its whole path, where {} stands in `template`."""

    shown: Literal["name", "path"] = "name"
    template: str = "a photo of {}"

    def __post_init__(self) -> None:
        if self.template.count(MARK) != 1:
            raise BadInputError(f"template == {self.template!r}, must hold {MARK} once")

    def of(self, leaf: TypeNode) -> str:
        return self.template.replace(MARK, leaf.name if self.shown == "name" else ", ".join(leaf.path))


class TypeEmbeddings(NamedTuple):
    """T types and their embeddings [T, D], each of length 1; `digest` is of both."""

    node_ids: list[str]
    embeddings: Floats
    digest: str


def embed_types(
    home: Path,
    taxonomy: Taxonomy,
    version: str,
    encoder: DualEncoder,
    texts: TypeTexts,
    *,
    advance: Callable[[int], None],
) -> TypeEmbeddings:
    """The leaves of a taxonomy and their embeddings, read where they are kept and made where they are not.

    They are kept in HOME/types.parquet. Raises `BadInputError` where pictures of HOME are matched with other types.
    """
    path = home / TYPES
    made_of = {"version": version, "encoder": encoder.name, "shown": texts.shown, "template": texts.template}
    if path.exists() and made_of_what(path, _MADE_OF) != made_of and parts_of(home / "matches"):
        was = made_of_what(path, _MADE_OF)
        name = next(name for name in _MADE_OF if was[name] != made_of[name])
        raise BadInputError(
            f"{path}: {name} == {was[name]!r}, must be {made_of[name]!r}: pictures are matched by it, "
            "take another folder"
        )
    if not path.exists() or made_of_what(path, _MADE_OF) != made_of:
        _write(path, taxonomy.leaves, encoder, texts, made_of, advance)
    else:
        advance(len(taxonomy.leaves))
    return read_types(path, encoder.dim)


def read_types(path: Path, dim: int) -> TypeEmbeddings:
    """Read the types of a growth folder; raises `BadInputError` where they are missing, damaged or of another width."""
    table = read_part(path, _schema(dim))
    node_ids, embeddings = table["node_id"].to_list(), table["embedding"].to_numpy()
    told = hashlib.sha256("\0".join(node_ids).encode())
    told.update(np.ascontiguousarray(embeddings).tobytes())
    return TypeEmbeddings(node_ids, embeddings, told.hexdigest())


def _schema(dim: int) -> Schema:
    return {"node_id": pl.String, "text": pl.String, "embedding": pl.Array(pl.Float32, dim)}


def _write(
    path: Path,
    leaves: tuple[TypeNode, ...],
    encoder: DualEncoder,
    texts: TypeTexts,
    made_of: dict[str, str],
    advance: Callable[[int], None],
) -> None:
    shown = [texts.of(leaf) for leaf in leaves]
    embeddings = np.zeros((len(shown), encoder.dim), np.float32)
    for start in range(0, len(shown), _AT_ONCE):
        some = shown[start : start + _AT_ONCE]
        embeddings[start : start + len(some)] = encoder.texts(some)
        advance(len(some))
    table = pl.DataFrame(
        {"node_id": [leaf.node_id for leaf in leaves], "text": shown, "embedding": embeddings},
        schema=dict(_schema(encoder.dim)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, table, made_of)
