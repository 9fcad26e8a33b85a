"""A growth folder and its taxonomy in, a tree out: the samples of each type and of all below it, and some shown."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from contracts.growth import TypeNode
from policy.growth.parts import Totals, parts_of, read_part, totals
from policy.growth.samples.referee import KEPT as JUDGED
from policy.growth.samples.strike import frames_beside
from policy.growth.taxonomy.hierarchy import Taxonomy

STAGES = ("pictures", "embeddings", "matches", "struck", "questions", "judged")


@dataclass(slots=True)
class Branch:
    """A type, what is below it, and the samples of all of that."""

    node: TypeNode
    samples: int = 0
    leaves: int = 0
    below: "list[Branch]" = field(default_factory=list)


class Shown(NamedTuple):
    """A sample that is shown: its type, one frame as a JPEG, the question and the answer."""

    label: str
    jpeg: bytes
    question: str
    answer: str


def tree_of(taxonomy: Taxonomy, samples: dict[str, int]) -> list[Branch]:
    """The roots, each with what is below it; `samples` by the id of a type."""
    by_path = {node.path: Branch(node, samples.get(node.node_id, 0)) for node in taxonomy.nodes}
    roots = list[Branch]()
    for path in sorted(by_path, key=len, reverse=True):  # children are whole before their parents
        branch = by_path[path]
        branch.leaves = branch.leaves or 1
        if len(path) == 1:
            roots.append(branch)
            continue
        above = by_path[path[:-1]]
        above.below.append(branch)
        above.samples += branch.samples
        above.leaves += branch.leaves
    for branch in by_path.values():
        branch.below.sort(key=lambda one: one.node.path)
    return sorted(roots, key=lambda one: one.node.path)


def samples_by_type(home: Path) -> dict[str, int]:
    """How many samples of each type the referees passed; empty where none was judged."""
    parts = parts_of(home / "judged")
    if not parts:
        return {}
    counted = pl.scan_parquet(parts).group_by("node_id").len().collect()
    return dict(counted.iter_rows())


def stage_totals(home: Path) -> dict[str, Totals]:
    """What each stage kept and dropped, of those that have run."""
    return {name: totals(home / name) for name in STAGES if parts_of(home / name)}


def some_shown(home: Path, taxonomy: Taxonomy, at_most: int) -> list[Shown]:
    """Samples of different types, of the first part: every so many, so that all roots have their turn."""
    return [one for _, one in zip(range(at_most), _shown(home, taxonomy, at_most), strict=False)]


def _shown(home: Path, taxonomy: Taxonomy, at_most: int) -> Iterator[Shown]:
    for part in parts_of(home / "judged")[:1]:
        rows = read_part(part, JUDGED).unique("node_id", keep="first", maintain_order=True)
        frames = frames_beside(home, part)
        step = max(1, rows.height // at_most)
        for picture_id, node_id, question, answer in rows.gather_every(step)[
            ["picture_id", "node_id", "question", "answer"]
        ].iter_rows():
            yield Shown(taxonomy.by_id(node_id).label, frames[picture_id][0], question, answer)
