"""Decided cases in; which of them are kept, which are held out, and how many uploads each speaks for, out: pure."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contracts.cases import DecidedCase
from contracts.taxonomy import Category

FEWEST_SAMPLED = 10
Rows = npt.NDArray[np.int64]

RARE = 50
"""Of a category as many cases are kept before any other is, where not all can be: precedents, and what is replayed."""


def sample_with_rare(
    categories: Sequence[Category], *, at_most: int, rng: np.random.Generator, turn_N: Rows | None = None
) -> Rows:
    """Rows of at most so many of N cases, in order: of the lowest turn first, `RARE` of each category, then any.

    So the sample is mixed as the cases are, but that it misses no rare category.
    """
    n = len(categories)
    if n <= at_most:
        return np.arange(n, dtype=np.int64)
    order = rng.permutation(n)
    labels = np.array([category.position for category in categories])[order]
    rank = np.zeros(n, np.int64)  # the place of each among its category's
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rank[rows] = np.arange(len(rows))
    turn = np.zeros(n, np.int64) if turn_N is None else turn_N[order]
    return np.sort(order[np.lexsort((np.minimum(rank, RARE), turn))][: max(0, at_most)])


def uploads_spoken_for(cases: Sequence[DecidedCase]) -> npt.NDArray[np.float32]:
    """How many uploads each of N cases speaks for where the certainty of scores is chosen, [N].

    By Horvitz and Thompson's weights, 1 / `sampled`, 1 on average among the audited, as among those of which every
    upload was ruled; what was brought up for a reason speaks for none. Where a random sample has fewer than
    `FEWEST_SAMPLED` violative or positive cases, every case speaks for one.
    """
    sampled = np.array([case.sampled for case in cases], np.float32)
    weights = (sampled == 1.0).astype(np.float32)
    audited = (sampled > 0.0) & (sampled < 1.0)
    if audited.any():
        weights[audited] = 1.0 / sampled[audited] / np.mean(1.0 / sampled[audited])
    kinds = Counter(case.category is Category.POSITIVE for case in cases if case.sampled > 0.0)
    enough = min(kinds[True], kinds[False]) >= FEWEST_SAMPLED
    return weights if enough else np.ones(len(cases), np.float32)


def held_out(cases: Sequence[DecidedCase], among: Rows, share: float) -> Rows:
    """Rows held out, of those `among` which it may be: about `share` of each category, in order.

    Those whose ids have the lowest digests, so that a case that judged the parent judges its children too: what the
    parent was taught would tell them that they are more certain than they are.
    """
    chance = np.array([_chance(cases[row].case_id) for row in among])
    labels = np.array([cases[row].category.position for row in among])
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        chosen.append(among[rows[np.argsort(chance[rows])[: round(share * len(rows))]]])
    return np.sort(np.concatenate(chosen))


def _chance(case_id: str) -> float:
    """Uniform in [0, 1), of the id alone."""
    return int.from_bytes(hashlib.blake2b(case_id.encode(), digest_size=7).digest(), "big") / 2**56
