"""Decided cases in; which of them are kept, which are held out, and how many uploads each speaks for, out: pure."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contracts.cases import DecidedCase
from contracts.taxonomy import N_CATEGORIES, Category

Rows = npt.NDArray[np.int64]

RARE = 50
"""Of a category as many cases are kept before any other is, where not all can be: precedents, and what is replayed."""
HELD_OUT = 0.2
"""Share of the sampled cases that judge what others taught, in every release of a line the same ones."""
FEWEST_SAMPLED = 50
"""With fewer violative or positive cases of a random sample, a fifth of them says nothing of how certain scores are."""


def sample_with_rare(
    categories: Sequence[Category], *, at_most: int, rng: np.random.Generator, turn_N: Rows | None = None
) -> Rows:
    """Rows of at most so many of N cases, in order: of the lowest turn first, `RARE` of each category, then any.

    So what is drawn of a turn is mixed as its cases are, but that it misses no rare category.
    """
    n = len(categories)
    if n <= at_most:
        return np.arange(n, dtype=np.int64)
    order = rng.permutation(n)
    turn = np.zeros(n, np.int64) if turn_N is None else turn_N[order]
    kind = turn * N_CATEGORIES + np.array([category.position for category in categories])[order]
    rank = np.zeros(n, np.int64)  # the place of each among its category's of its turn
    for one in np.unique(kind):
        rows = np.flatnonzero(kind == one)
        rank[rows] = np.arange(len(rows))
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
    """Rows held out, of those `among` which it may be: those of the lowest digests, one at least of each category.

    So a case that judged the parent judges its children too: what the parent was taught would tell them that they are
    more certain than they are.
    """
    chance = np.array([chance_of(cases[row].case_id) for row in among])
    labels = np.array([cases[row].category.position for row in among])
    chosen = [among[:0]]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        here = rows[chance[rows] < share]
        chosen.append(among[here if len(here) or len(rows) < 2 else rows[[chance[rows].argmin()]]])
    return np.sort(np.concatenate(chosen))


def judges(case: DecidedCase) -> bool:
    """Whether a case is of a random sample and held out at the usual share: by its id, whatever the others are."""
    return case.sampled > 0.0 and chance_of(case.case_id) < HELD_OUT


def chance_of(case_id: str) -> float:
    """Uniform in [0, 1), of the id alone."""
    return int.from_bytes(hashlib.blake2b(case_id.encode(), digest_size=7).digest(), "big") / 2**56
