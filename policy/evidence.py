"""A file of decided cases in, evidence out: the cases with the decoded frames that they were decided on."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.kuaimod import read_kuaimod
from contracts.lines import read_lines
from contracts.taxonomy import CATEGORIES, Category
from policy.casebook import Evidence, Frames
from serving.preprocess.media import MediaError

_NAMED = {category.value: category for category in CATEGORIES}


class Decoder(Protocol):
    """Decodes media addresses; an address that cannot be decoded gives its error in its place."""

    async def decode(self, addresses: Sequence[str]) -> Sequence[npt.NDArray[np.uint8] | MediaError]: ...


def read_cases(path: Path) -> list[DecidedCase]:
    """Read decided cases from JSONL, of our contract or of the KuaiMod benchmark (it has a `tag`).

    Raises `BadInputError` naming file, line and rule; case ids must be unique.
    """
    if not path.is_file():
        raise BadInputError(f"{path}: is not a file, must be JSONL of decided cases or of the KuaiMod benchmark")
    with path.open("rb") as lines:
        first = next((line for line in lines if line.strip()), b"")
    if not first:
        raise BadInputError(f"{path}: is empty, must hold at least one case")
    cases = [r.to_case() for r in read_kuaimod(path)] if _is_kuaimod(first) else list(read_lines(path, DecidedCase))
    seen: set[str] = set()
    for case in cases:
        if case.case_id in seen:
            raise BadInputError(f"{path}: case_id == {case.case_id!r} stands twice, must be unique")
        seen.add(case.case_id)
    return cases


def digest_of_cases(cases: Sequence[DecidedCase]) -> str:
    """`sha256:` of the cases' canonical JSON: the data snapshot that a release was trained on."""
    digest = hashlib.sha256()
    for case in cases:
        digest.update(case.model_dump_json().encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


def write_taught(cases: Sequence[DecidedCase], path: Path) -> None:
    """Write which cases a release was trained on, its precedents and all others: ids of case and video, category."""
    columns = {
        "case_id": [c.case_id for c in cases],
        "video_id": [c.upload.video_id for c in cases],
        "category": [c.category.value for c in cases],
    }
    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_parquet(path, compression="zstd")


def read_taught(path: Path) -> frozenset[str]:
    """Ids of the cases that a release was trained on, and of their videos; raises `BadInputError` without them."""
    try:
        table = pl.read_parquet(path, columns=["case_id", "video_id"])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInputError(
            f"{path}: does not say what the release was trained on: {str(error).splitlines()[0]}"
        ) from error
    return frozenset(table["case_id"]) | frozenset(table["video_id"])


def read_taught_categories(path: Path) -> dict[str, Category]:
    """What the video of each case that a release was trained on was taught to be, by video id.

    Raises `BadInputError` where the file does not say so.
    """
    try:
        table = pl.read_parquet(path, columns=["video_id", "category"])
        return {video_id: _NAMED[category] for video_id, category in table.iter_rows()}
    except (OSError, KeyError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise BadInputError(f"{path}: does not say what its videos were taught to be: {reason}") from error


async def gather(
    cases: Sequence[DecidedCase],
    decoder: Decoder,
    *,
    chunk: int = 64,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Evidence]:
    """Decode the media of each case; raises `BadInputError` naming the first case whose media is broken."""
    evidence: list[Evidence] = []
    for start in range(0, len(cases), chunk):
        some = cases[start : start + chunk]
        addressed = [(i, case.upload.media_url) for i, case in enumerate(some) if case.upload.media_url]
        frames: list[Frames] = [None] * len(some)
        for (i, url), result in zip(addressed, await decoder.decode([u for _, u in addressed]), strict=True):
            if isinstance(result, MediaError):
                raise BadInputError(f"case {some[i].case_id}: media {url}: {result}")
            frames[i] = result
        evidence.extend(Evidence(case, clip) for case, clip in zip(some, frames, strict=True))
        advance(len(some))
    return evidence


def _is_kuaimod(line: bytes) -> bool:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(record, dict) and "tag" in record
