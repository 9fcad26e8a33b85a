"""Decided cases in, a casebook out: precedents with the model inputs they were decided on.

A precedent keeps its upload and its frames, not only its embedding, so that the next student embeds it anew.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.taxonomy import CATEGORIES
from policy.sampling import sample_with_rare

Frames = npt.NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A decided case and its decoded frames, uint8 [f, S, S, 3], or None where it has no media."""

    case: DecidedCase
    frames: Frames


def choose_precedents(
    cases: Sequence[DecidedCase],
    *,
    at_most: int,
    rng: np.random.Generator,
    new: Collection[str] = (),
    before: Collection[str] = (),
) -> npt.NDArray[np.int64]:
    """Rows of the cases that become precedents: all, or a sample (`sample_with_rare`).

    `new` and then `before`, case ids, come before others; of the new at most half of the room does, so that a busy day
    puts nothing else out of it.
    """
    categories = [case.category for case in cases]
    turn = np.array([(0 if case.case_id in new else 1 if case.case_id in before else 2) for case in cases], np.int64)
    anew = np.flatnonzero(turn == 0)
    ahead = anew[sample_with_rare([categories[row] for row in anew], at_most=at_most // 2, rng=rng)]
    turn[np.setdiff1d(anew, ahead)] = 2
    return sample_with_rare(categories, at_most=at_most, rng=rng, turn_N=turn)


def write_precedents(precedents: Sequence[Evidence], path: Path) -> None:
    """Write the casebook as Parquet: case id, category, leaf, weight, the case's JSON, its frames and their shape."""
    frames = [precedent.frames for precedent in precedents]
    pl.DataFrame(
        {
            "case_id": [p.case.case_id for p in precedents],
            "category": [p.case.category.value for p in precedents],
            "leaf": [p.case.leaf for p in precedents],
            "weight": [p.case.weight for p in precedents],
            "case": [p.case.model_dump_json() for p in precedents],
            "frames": [None if f is None else f.tobytes() for f in frames],
            "frames_shape": [None if f is None else list(f.shape) for f in frames],
        },
        schema={
            "case_id": pl.String,
            "category": pl.Enum([c.value for c in CATEGORIES]),
            "leaf": pl.String,
            "weight": pl.Float32,
            "case": pl.String,
            "frames": pl.Binary,
            "frames_shape": pl.List(pl.Int32),
        },
    ).write_parquet(path, compression="zstd", compression_level=3)


def leaves_of(cases: Iterable[DecidedCase]) -> dict[str, str]:
    """The leaf of each case that has one, by case id."""
    return {case.case_id: case.leaf for case in cases if case.leaf}


def write_leaves(leaves: Mapping[str, str], path: Path) -> None:
    """Write the leaves of precedents by case id, sorted; no file where there are none."""
    if leaves:
        path.write_bytes(orjson.dumps(dict(leaves), option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))


def precedent_ids(path: Path) -> frozenset[str]:
    """Case ids of a casebook's precedents, without their inputs; raises `BadInputError` where the file is not one."""
    try:
        return frozenset(pl.read_parquet(path, columns=["case_id"])["case_id"])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInputError(f"{path}: is not a casebook: {str(error).splitlines()[0]}") from error


def read_precedents(path: Path) -> list[Evidence]:
    """Read a casebook's precedents; raises `BadInputError` where the file is not one."""
    try:
        table = pl.read_parquet(path)
        return [
            Evidence(
                DecidedCase.model_validate_json(case),
                None if raw is None else np.frombuffer(raw, np.uint8).reshape(shape),
            )
            for case, raw, shape in table.select("case", "frames", "frames_shape").iter_rows()
        ]
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise BadInputError(f"{path}: is not a casebook: {str(error).splitlines()[0]}") from error
