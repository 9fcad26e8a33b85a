"""Decided cases with their frames in, a data snapshot out: an immutable folder of Parquet shards, by its digest.

ROOT/datasets/<16 hex>/snapshot.json       digest, number of cases, the shards' digests
ROOT/datasets/<16 hex>/part-0000.parquet   cases with their frames, `SHARD` a file, as a casebook keeps them

A case with 9 frames of 64 x 64 x 3 is 108 KiB before compression: 20,000 cases are 2.1 GiB in memory.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.records import Count, Digest, Record
from policy.casebook import Evidence, read_precedents, write_precedents
from policy.releases import new_folder
from serving.releases import digest_of

SHARD = 1_000
MANIFEST = "snapshot.json"
REFERENCE = "dataset.json"
"""In a release folder: which snapshot it was trained on."""


class Snapshot(Record):
    """What lies in a snapshot's folder; `digest` is that of the cases and their frames, in order."""

    digest: Digest
    n_cases: Count
    shards: dict[str, Digest]


def digest_of_evidence(evidence: Sequence[Evidence]) -> str:
    """`sha256:` of the cases' canonical JSON and the frames they were decided on, in order."""
    digest = hashlib.sha256()
    for case, frames in ((item.case, item.frames) for item in evidence):
        digest.update(case.model_dump_json().encode() + b"\n")
        digest.update(b"none" if frames is None else f"{frames.shape}".encode() + frames.tobytes())
    return f"sha256:{digest.hexdigest()}"


def write_snapshot(evidence: Sequence[Evidence], datasets: Path) -> tuple[Path, Snapshot]:
    """Write the snapshot of these cases under `datasets`, or find it there: the same cases are the same folder."""
    digest = digest_of_evidence(evidence)
    home = datasets / digest.removeprefix("sha256:")[:16]
    if home.exists():
        found = open_snapshot(home)
        os.utime(home)  # asked for anew: pruning leaves it as long as a new one
        return home, found
    with new_folder(home) as draft:
        for start in range(0, len(evidence), SHARD):
            write_precedents(evidence[start : start + SHARD], draft / f"part-{start // SHARD:04d}.parquet")
        shards = {file.name: digest_of(file) for file in sorted(draft.iterdir())}
        snapshot = Snapshot(digest=digest, n_cases=len(evidence), shards=shards)
        (draft / MANIFEST).write_text(snapshot.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return home, snapshot


def reference_to(snapshot: Snapshot) -> dict[str, str]:
    """What lies beside a release to name the snapshot that taught it: texts by file name."""
    return {REFERENCE: snapshot.model_dump_json(indent=2) + "\n"}


def open_snapshot(home: Path) -> Snapshot:
    """Read a snapshot's manifest, every shard verified; raises `BadInputError` naming file and rule."""
    path = home / MANIFEST
    try:
        snapshot = Snapshot.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInputError(f"{home}: is not a data snapshot, it has no {MANIFEST}") from None
    except (OSError, ValidationError) as error:
        reason = first_reason(error) if isinstance(error, ValidationError) else error
        raise BadInputError(f"{path}: {reason}") from error
    for name, digest in snapshot.shards.items():
        shard = home / Path(name).name
        if not shard.is_file():
            raise BadInputError(f"{shard}: is missing, {MANIFEST} names it")
        if (found := digest_of(shard)) != digest:
            raise BadInputError(f"{shard}: digest is {found}, must be {digest}")
    return snapshot


def read_snapshot(home: Path) -> list[Evidence]:
    """The cases of a snapshot, in order; raises `BadInputError` where it is damaged."""
    return [item for name in sorted(open_snapshot(home).shards) for item in read_precedents(home / name)]
