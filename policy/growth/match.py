"""Embeddings of pictures and of types -> the k types nearest to each picture, by cosine, exactly.

HOME/types.parquet      node_id, text, embedding of the types that are matched; which they are is in its metadata
HOME/embeddings/part-i  ->  HOME/matches/part-i
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.errors import BadInputError
from policy.growth.encoders.dual import Floats
from policy.growth.encoders.embed import read_embeddings
from policy.growth.encoders.typed import TypeEmbeddings
from policy.growth.parts import (
    Schema,
    Totals,
    check_ends_at,
    digest_of_part,
    is_done,
    n_rows,
    parts_of,
    plan_digest,
    totals,
    write_part,
)

KEPT: Schema = {"picture_id": pl.String, "node_ids": pl.List(pl.String), "scores": pl.List(pl.Float32)}
DROPPED: Schema = {"picture_id": pl.String, "reason": pl.String, "detail": pl.String}
FAR = "far_from_all"
_BLOCK = 128
_GROUP = 32
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MatchSettings:
    """k: types a picture, at most (TaskGalaxy: 5 to 10). least: the cosine from which on a type counts."""

    k: int = 10
    least: float = -1.0


class Nearest(NamedTuple):
    """Of N pictures the k nearest types: rows of the types and cosines, both [N, k], the best first."""

    types: Indices
    cosines: Floats


def match(
    embeddings: Path, types: TypeEmbeddings, folder: Path, settings: MatchSettings, *, advance: Callable[[int], None]
) -> Totals:
    """Match the parts of `embeddings` that are not matched yet; raises `BadInputError` as `is_done` and `nearest`."""
    plan = plan_digest("matches", {**asdict(settings), "types": types.digest})
    parts = parts_of(embeddings)
    check_ends_at(folder, len(parts))
    search = Search(types.embeddings, settings.k)
    node_ids = np.array(types.node_ids, dtype=object)
    for i, part in enumerate(parts):
        made_of = digest_of_part(part)
        if is_done(folder, i, input=made_of, plan=plan):
            advance(n_rows(part))
            continue
        ids, pictures = read_embeddings(part)
        found = search.nearest(pictures)
        kept, dropped = _told(ids, found, node_ids, settings.least)
        write_part(folder, i, kept, dropped, input=made_of, plan=plan)
        advance(len(ids))
    return totals(folder)


class Search:
    """Finds the k nearest of T types to each picture: a matrix product in blocks, and little beside it.

    The T cosines of a picture are dealt into groups, and one pass over a block takes the best of each group. The k
    groups whose best are greatest hold k types: what lies in another group is at most its group's best, so at most
    the least of these k, and the k nearest are among the members of the k groups. Only where something outside them
    ties with the k-th could it come before it by its place, and such a picture is looked through in whole. A block
    is 128 pictures, so memory is that of 128 x T cosines, of the groups' members, and of the types themselves.
    """

    def __init__(self, types_T_D: Floats, k: int) -> None:
        _check_finite(types_T_D, "types")
        n, dim = types_T_D.shape
        if n == 0 or k < 1:
            raise BadInputError(f"k == {k} of {n} types, both must be 1 or more")
        self._n, self._k = n, min(k, n)
        self._groups = -(-n // _GROUP)
        self._types = np.zeros((dim, self._groups * _GROUP), np.float32)
        self._types[:, :n] = types_T_D.T
        self._cosines = np.empty((_BLOCK, self._types.shape[1]), np.float32)

    def nearest(self, pictures_N_D: Floats) -> Nearest:
        """The nearest by cosine, of those as near the one that comes first; N vectors of length 1, as the types'.

        Raises `BadInputError` where a number is not finite or the dimensions differ.
        """
        _check_finite(pictures_N_D, "pictures")
        if pictures_N_D.shape[1] != len(self._types):
            raise BadInputError(
                f"pictures have {pictures_N_D.shape[1]} dimensions, must have the {len(self._types)} of the types"
            )
        n = len(pictures_N_D)
        found = Nearest(np.empty((n, self._k), np.int64), np.empty((n, self._k), np.float32))
        for block in self.blocks(n):
            cosines_B_T = self.cosines(pictures_N_D[block])
            found.types[block], found.cosines[block] = _greatest(cosines_B_T, self._k, self._groups)
        return found

    def blocks(self, n: int) -> Iterator[slice]:
        """The spans of N pictures that go through one product each."""
        yield from (slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK))

    def cosines(self, pictures_B_D: Floats) -> Floats:
        """Of at most 128 pictures, in a table that the next call writes over; -inf beyond the types."""
        out = self._cosines[: len(pictures_B_D)]
        np.matmul(pictures_B_D, self._types, out=out)
        out[:, self._n :] = -np.inf
        return out


def _greatest(values_B_T: Floats, k: int, n_groups: int) -> tuple[Indices, Floats]:
    """The columns and values of each row's k greatest, the greatest first, of equal ones the first."""
    if n_groups <= k:
        order = np.argsort(-values_B_T, axis=1, kind="stable")[:, :k]
        return order, np.take_along_axis(values_B_T, order, axis=1)
    rows = np.arange(len(values_B_T))[:, None]
    # group g has columns g, g + G, g + 2 G, ...: so the best of all groups are one pass along memory
    best_B_G = values_B_T.reshape(len(values_B_T), -1, n_groups).max(axis=1)
    order_B_G = np.argpartition(best_B_G, n_groups - k - 1, axis=1)
    chosen, best_outside = order_B_G[:, n_groups - k :], best_B_G[rows, order_B_G[:, n_groups - k - 1, None]]
    members = np.arange(values_B_T.shape[1] // n_groups) * n_groups
    columns = (chosen[:, :, None] + members).reshape(len(values_B_T), -1)
    inside = values_B_T[rows, columns]
    top = np.argpartition(inside, inside.shape[1] - k, axis=1)[:, -k:]
    found, values = columns[rows, top], inside[rows, top]
    least = values.min(axis=1, keepdims=True)
    tied = (best_outside >= least)[:, 0] | ((inside >= least).sum(axis=1) > k)
    for row in np.flatnonzero(tied):
        all_as_great = np.flatnonzero(values_B_T[row] >= least[row])
        found[row] = all_as_great[np.argsort(-values_B_T[row, all_as_great], kind="stable")[:k]]
        values[row] = values_B_T[row, found[row]]
    order = np.lexsort((found, -values), axis=1)
    return found[rows, order], values[rows, order]


def _told(
    ids: Sequence[str], found: Nearest, node_ids: npt.NDArray[np.object_], least: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    counted = (found.cosines >= least).sum(axis=1).tolist()
    kept = [row for row, n in enumerate(counted) if n]
    far = [row for row, n in enumerate(counted) if not n]
    near = pl.DataFrame(
        {
            "picture_id": [ids[row] for row in kept],
            "node_ids": [node_ids[found.types[row, : counted[row]]].tolist() for row in kept],
            "scores": [found.cosines[row, : counted[row]].tolist() for row in kept],
        },
        schema=dict(KEPT),
    )
    dropped = pl.DataFrame(
        {
            "picture_id": [ids[row] for row in far],
            "reason": [FAR] * len(far),
            "detail": [f"cosine == {found.cosines[row, 0]:.4f}, must be at least {least:g}" for row in far],
        },
        schema=dict(DROPPED),
    )
    return near, dropped


def _check_finite(vectors: Floats, what: str) -> None:
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise BadInputError(f"{what}: embeddings of shape {vectors.shape}, must be finite [N, D]")
