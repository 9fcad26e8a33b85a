"""The answers of a round in, what became of each of their lines out: a new type, or a refusal with its reason.

Lines are decided in the order of their types and of their answers, so that of two that mean the same the first stays.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import polars as pl

from contracts.errors import printable
from contracts.growth import SEPARATOR, Origin, TypeNode, spelling_of
from policy.growth.grow.asking import Answered
from policy.growth.grow.meaning import BLOCK, Floats, Known, Vectors
from policy.growth.grow.parsing import Refusal
from policy.growth.grow.settings import GrowthSettings, Scope
from policy.growth.taxonomy.hierarchy import Taxonomy

KEPT = pl.Schema(
    {
        "round": pl.Int32,
        "parent_id": pl.String,
        "attempt": pl.Int16,
        "node_id": pl.String,
        "name": pl.String,
        "path": pl.String,
        "near_id": pl.String,
        "similarity": pl.Float32,
    }
)
"""Of types that a round added, with the nearest of the types before them."""
DROPPED = pl.Schema(
    {
        "round": pl.Int32,
        "parent_id": pl.String,
        "attempt": pl.Int16,
        "proposal": pl.String,
        "reason": pl.String,
        "detail": pl.String,
        "near_id": pl.String,
        "similarity": pl.Float32,
        "lines": pl.Int64,
    }
)
"""Of lines that were refused, and of answers without a line (`lines` 0). `proposal`: the name, where a line is one,
else what of the line can be printed. Of several that break one rule alike, `lines` says how many they are."""

UNUSABLE = "the answer cannot be used"
NOTHING_MISSING = "the answer is that nothing is missing"
_DIGITS = 4
"""Of a similarity: what the product of other shapes rounds otherwise is cut off before it is compared."""


class Decided(NamedTuple):
    """Rows of a round; `KEPT` and `DROPPED` are their columns."""

    kept: pl.DataFrame
    dropped: pl.DataFrame


class _Candidate(NamedTuple):
    """A line that is a name, still to be compared with what is there."""

    parent: TypeNode
    attempt: int
    name: str


class _Drop(NamedTuple):
    parent_id: str
    attempt: int
    proposal: str
    reason: str
    detail: str = ""
    near_id: str | None = None
    similarity: float | None = None
    lines: int = 1


class _Keep(NamedTuple):
    parent_id: str
    attempt: int
    node_id: str
    name: str
    path: str
    near_id: str | None
    similarity: float | None


def decide(
    answered: Sequence[Answered], taxonomy: Taxonomy, number: int, vectors: Vectors, settings: GrowthSettings
) -> Decided:
    """Decide on a round's answers, sorted by their types' paths."""
    drops = list[_Drop]()
    candidates = list[_Candidate]()
    for node, tries in answered:
        for attempt, parsed, unusable in tries:
            if unusable is not None or parsed.none:
                reason, detail = (NOTHING_MISSING, "") if unusable is None else (UNUSABLE, unusable)
                drops.append(_Drop(node.node_id, attempt, "", reason, printable(detail, at_most=200), lines=0))
            for text, name, refused, lines in parsed.lines:
                if name is None:
                    drops.append(_Drop(node.node_id, attempt, text, str(refused), lines=lines))
                else:
                    candidates.append(_Candidate(node, attempt, name))
    vectors.learn([one.name for one in candidates])
    round_ = _Round(taxonomy, vectors, settings)
    for root, below in groupby(candidates, key=lambda one: one.parent.path[0]):
        round_.decide(root, list(below))
    drops += round_.drops
    return Decided(_table(round_.keeps, KEPT, number), _table(drops, DROPPED, number))


def names_in(decided: Decided) -> list[str]:
    """The names of a round that were compared with what is there."""
    compared = decided.dropped.filter(pl.col("reason").is_in([str(Refusal.EXISTS), str(Refusal.NEAR)]))
    return [*decided.kept["name"], *compared["proposal"]]


def nodes_of(kept: pl.DataFrame, taxonomy: Taxonomy, *, proposed_by: str) -> Iterator[TypeNode]:
    """The types that a round added to a taxonomy."""
    for number, parent_id, node_id, name in kept.select("round", "parent_id", "node_id", "name").iter_rows():
        path = (*taxonomy.by_id(parent_id).path, name)
        yield TypeNode(node_id=node_id, path=path, origin=Origin.GROWN, round=number, proposed_by=proposed_by)


def _table(rows: Sequence[_Keep] | Sequence[_Drop], schema: pl.Schema, number: int) -> pl.DataFrame:
    return pl.DataFrame([(number, *row) for row in rows], schema=schema, orient="row")


class _Round:
    """What is there while a round is decided: taken spellings and ids, and what each decision was."""

    def __init__(self, taxonomy: Taxonomy, vectors: Vectors, settings: GrowthSettings) -> None:
        self._taxonomy = taxonomy
        self._vectors = vectors
        self._near = settings.near
        self._anywhere = settings.spelled is Scope.ANYWHERE
        self._taken = dict[tuple[str, str], str]()
        for node in taxonomy.nodes:
            parent = taxonomy.parent_of(node)
            above = "" if parent is None else parent.node_id
            self._taken.setdefault(self._place(above, taxonomy.spelled(node)[-1]), node.node_id)
        by_root = groupby(taxonomy.nodes, key=lambda node: node.path[0])
        self._of_root = {root: list(nodes) for root, nodes in by_root}
        self.keeps = list[_Keep]()
        self.drops = list[_Drop]()

    def _place(self, parent_id: str, spelled: str) -> tuple[str, str]:
        return ("" if self._anywhere else parent_id, spelled)

    def decide(self, root: str, candidates: Sequence[_Candidate]) -> None:
        """Decide on the candidates of a root, which are compared with its types and with those kept before them."""
        there = self._of_root[root]
        ids = [node.node_id for node in there]
        known = Known(self._vectors.of([node.name for node in there]))
        for start in range(0, len(candidates), BLOCK):
            block = candidates[start : start + BLOCK]
            vectors = self._vectors.of([one.name for one in block])
            kept = self._decide_block(block, vectors, known, ids)
            known.add(vectors[kept])

    def _decide_block(self, block: Sequence[_Candidate], vectors: Floats, known: Known, ids: list[str]) -> list[int]:
        """The rows that were kept; their ids are put behind `ids`."""
        before, among = known.nearest(vectors), Known(vectors[:0])
        kept = list[int]()
        known_ids = len(ids)
        for row, one in enumerate(block):
            place = self._place(one.parent.node_id, spelling_of(one.name))
            if (same := self._taken.get(place)) is not None:
                self._drop(one, Refusal.EXISTS, same, None)
                continue
            now = among.nearest(vectors[row : row + 1])
            newer = bool(now.cosine[0] > before.cosine[row])
            cosine, at = (now.cosine[0], known_ids + now.row[0]) if newer else (before.cosine[row], before.row[row])
            similarity = round(float(cosine), _DIGITS)
            if similarity >= self._near:
                self._drop(one, Refusal.NEAR, ids[at], similarity)
                continue
            path = (*one.parent.path, one.name)
            node_id = self._taxonomy.new_id(path)
            self._taken[place] = node_id
            keep = _Keep(one.parent.node_id, one.attempt, node_id, one.name, SEPARATOR.join(path), ids[at], similarity)
            self.keeps.append(keep)
            ids.append(node_id)
            kept.append(row)
            among.add(vectors[row : row + 1])
        return kept

    def _drop(self, one: _Candidate, reason: Refusal, near_id: str, similarity: float | None) -> None:
        self.drops.append(_Drop(one.parent.node_id, one.attempt, one.name, str(reason), "", near_id, similarity))
