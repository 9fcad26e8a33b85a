"""Embedded rulings and what leaves they are of in, which leaf explains each of the others out: pure.

A case is as like a leaf as the mean of its cosines to the `NEAREST` members that it is nearest to, so that a leaf may
have several looks, a language each. A leaf explains what is as like it as nine in ten of its own members are, each
measured without itself, and nothing that is less like it than one in twenty cases of other categories are (`alike`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from contracts.taxonomy import Category
from serving.casebook import Casebook
from serving.casebook.search import KNOWN_AT_MOST

NEAREST = 5
OF_ITS_OWN = 0.9
"""The share of its own members that a leaf explains, each measured without itself."""
MOST_STRICT = 0.5
BY_CHANCE = 0.05
"""So often a ruling is as like a known case of another category as the line `alike`."""
FEWEST_PAIRS = 1_000
"""Of a ruling and a known case of another category: fewer say little of what is usual."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """N violative rulings by one student: embeddings [N, D] of length 1, their categories, their leaves or empty."""

    case_ids: tuple[str, ...]
    categories: tuple[Category, ...]
    leaves: tuple[str, ...]
    embeddings_N_D: Floats

    def __len__(self) -> int:
        return len(self.case_ids)


class Fit(NamedTuple):
    """How like its most fitting leaf a case is, and from where on that leaf explains a case."""

    leaf: str
    similarity: float
    line: float

    @property
    def explains(self) -> bool:
        return self.similarity >= self.line


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A leaf's members [M, D] and its line."""

    leaf: str
    members_M_D: Floats
    line: float


def alike(rulings: Embedded, casebook: Casebook) -> float:
    """The cosine that a ruling and a known case of another category reach once in twenty.

    Measured on the rulings themselves: the student was taught the known cases, and holds those apart from each other
    as it does nothing that is new. The blend's floor where there are few pairs.
    """
    known = np.linspace(0, len(casebook), min(len(casebook), KNOWN_AT_MOST), endpoint=False, dtype=np.int64)
    some = np.linspace(0, len(rulings), min(len(rulings), KNOWN_AT_MOST), endpoint=False, dtype=np.int64)
    categories = np.array([category.position for category in rulings.categories], np.int64)
    apart = categories[some][:, None] != casebook.categories[known][None, :]
    if apart.sum() < FEWEST_PAIRS:
        return float(casebook.blend.floor)
    cosine = rulings.embeddings_N_D[some] @ casebook.embeddings[known].T
    return float(np.clip(np.quantile(cosine[apart], 1.0 - BY_CHANCE), 0.0, 0.95))


def likeness(rows_N_D: Floats, members_M_D: Floats, *, own: Sequence[int] | None = None) -> Floats:
    """The mean of the `NEAREST` largest cosines of each row to members [N]; of `own[n]`, its own, it is left out."""
    cosine = rows_N_D @ members_M_D.T
    n_others = cosine.shape[1]
    if own is not None:
        cosine[np.arange(len(cosine)), np.asarray(own, np.int64)] = -np.inf
        n_others -= 1
    k = min(NEAREST, n_others)
    if k == 0:
        return np.full(len(cosine), -1.0, np.float32)
    return np.asarray(np.sort(cosine, axis=1)[:, -k:].mean(axis=1), np.float32)


def leaf_of(leaf: str, members_M_D: Floats, alike: float) -> Leaf:
    """A leaf with its line, measured on its own members; one of a single member has the line `alike`.

    It is never more than `MOST_STRICT` of the way from there to 1: copies of one video make no leaf of copies alone.
    """
    if len(members_M_D) < 2:
        return Leaf(leaf, members_M_D, alike)
    own = likeness(members_M_D, members_M_D, own=range(len(members_M_D)))
    line = float(np.quantile(own, 1.0 - OF_ITS_OWN, method="lower"))
    return Leaf(leaf, members_M_D, float(np.clip(line, alike, alike + MOST_STRICT * (1.0 - alike))))


def leaves_of(rulings: Embedded, alike: float) -> dict[Category, list[Leaf]]:
    """The leaves that rulings are of, below their categories, sorted by id."""
    found: dict[Category, list[Leaf]] = {}
    for category, leaf in sorted({(c, leaf) for c, leaf in zip(rulings.categories, rulings.leaves, strict=True)}):
        if leaf:
            own = zip(rulings.categories, rulings.leaves, strict=True)
            rows = [row for row, (its, named) in enumerate(own) if (its, named) == (category, leaf)]
            found.setdefault(category, []).append(leaf_of(leaf, rulings.embeddings_N_D[rows], alike))
    return found


def fit(rows_N_D: Floats, leaves: Sequence[Leaf]) -> list[Fit | None]:
    """The leaf that each row is most like by how far it is over its line; None of each where there are no leaves."""
    if not leaves:
        return [None] * len(rows_N_D)
    similarity = np.stack([likeness(rows_N_D, leaf.members_M_D) for leaf in leaves])
    over = similarity - np.array([[leaf.line] for leaf in leaves], np.float32)
    best = over.argmax(axis=0).tolist()
    return [Fit(leaves[b].leaf, float(similarity[b, row]), leaves[b].line) for row, b in enumerate(best)]


def unexplained(rulings: Embedded, alike: float) -> dict[Category, list[int]]:
    """Rows of the rulings that are of no leaf and that no leaf of their category explains, by category."""
    leaves, found = leaves_of(rulings, alike), dict[Category, list[int]]()
    for category in sorted(set(rulings.categories)):
        named = zip(rulings.categories, rulings.leaves, strict=True)
        open_rows = [row for row, (its, leaf) in enumerate(named) if its is category and not leaf]
        fits = fit(rulings.embeddings_N_D[open_rows], leaves.get(category, []))
        left = [row for row, one in zip(open_rows, fits, strict=True) if one is None or not one.explains]
        if left:
            found[category] = left
    return found


def suggest_leaf(embedding_D: Floats, category: Category, rulings: Embedded, alike: float) -> Fit | None:
    """The leaf that explains a case of a category best, None where none does."""
    (best,) = fit(embedding_D[None], leaves_of(rulings, alike).get(category, []))
    return best if best is not None and best.explains else None
