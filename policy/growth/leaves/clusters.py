"""Unexplained rulings in, clusters of them that are alike out: pure and deterministic.

Average linkage (UPGMA) over cosines, cut where two clusters' mean cosine is no more than cases of different categories
reach by chance: what a trend says in several ways stays one where the ways are alike, and what has no likes, alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from policy.growth.leaves.explaining import Embedded, Floats, fit, leaves_of, unexplained


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What is clustered and what becomes a proposal.

    days: rulings of so long ago are recent. least: cases in a cluster. authors: their authors, at least: who uploads
    one video in many copies makes no trend. at_most: of a category, the newest; their cosines are held at once.
    """

    days: float = 30.0
    least: int = 5
    authors: int = 2
    at_most: int = 2_000

    def __post_init__(self) -> None:
        for name, low in (("least", 2), ("authors", 1), ("at_most", 2)):
            if getattr(self, name) < low:
                raise BadInputError(f"{name} == {getattr(self, name)}, must be at least {low} (ClusterSettings)")
        if not 0.0 < self.days <= 3_650.0:
            raise BadInputError(f"days == {self.days:g}, must be in (0, 3650] (ClusterSettings)")


class Cluster(NamedTuple):
    """Rows of rulings of one category that are alike, those nearest to all others first.

    cohesion: the mean cosine of two of them. nearest: the accepted leaf that they are most like, empty without any, and
    how like, as the mean over them.
    """

    category: Category
    rows: tuple[int, ...]
    cohesion: float
    nearest: str
    similarity: float


def cluster(rulings: Embedded, authors: Sequence[str], alike: float, settings: ClusterSettings) -> list[Cluster]:
    """The clusters of what no leaf explains, the largest first; `authors` are those of the rulings, in their order.

    Rulings come the oldest first.
    """
    leaves, found = leaves_of(rulings, alike), list[Cluster]()
    for category, rows in unexplained(rulings, alike).items():
        newest = rows[-settings.at_most :]
        for members in groups(rulings.embeddings_N_D[newest], alike):
            some = [newest[member] for member in members]
            if len(some) < settings.least or len({authors[row] for row in some}) < settings.authors:
                continue
            embeddings = rulings.embeddings_N_D[some]
            fits = [one for one in fit(embeddings, leaves.get(category, [])) if one is not None]
            names = [one.leaf for one in fits]
            nearest = max(sorted(set(names)), key=names.count, default="")
            like = [one.similarity for one in fits if one.leaf == nearest]
            found.append(
                Cluster(
                    category,
                    tuple(some[place] for place in _inmost(embeddings)),
                    cohesion_of(embeddings),
                    nearest,
                    float(np.mean(like)) if like else 0.0,
                )
            )
    return sorted(found, key=lambda one: (-len(one.rows), one.category.position, one.rows))


def groups(embeddings_N_D: Floats, alike: float) -> list[list[int]]:
    """Rows that belong together, each group ascending and in the order of its first row."""
    from sklearn.cluster import AgglomerativeClustering

    if len(embeddings_N_D) < 2:
        return [[row] for row in range(len(embeddings_N_D))]
    linked = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=1.0 - alike)
    found: dict[int, list[int]] = {}
    for row, label in enumerate(linked.fit_predict(embeddings_N_D).tolist()):
        found.setdefault(label, []).append(row)
    return list(found.values())


def cohesion_of(embeddings_N_D: Floats) -> float:
    """The mean cosine of two of N >= 2 rows."""
    n = len(embeddings_N_D)
    cosine = embeddings_N_D @ embeddings_N_D.T
    return float((cosine.sum() - np.trace(cosine)) / (n * (n - 1)))


def _inmost(embeddings_N_D: Floats) -> list[int]:
    """Rows by their mean cosine to all, the highest first."""
    return np.argsort(-(embeddings_N_D @ embeddings_N_D.mean(axis=0)), kind="stable").tolist()
