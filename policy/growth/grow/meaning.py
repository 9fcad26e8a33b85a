"""Names in, vectors out, and which known name a new one means: the cosine over a threshold, in blocks.

The default encoder needs no model and knows no synonyms: names mean the same to it where they are made of the same
words, in any order, number and nearly any spelling.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from contracts.growth import spelling_of
from serving.preprocess.ngrams import bucket_of, codes_of, longer, single

Floats = npt.NDArray[np.float32]

BLOCK = 256
"""New names at once; a product has at most BLOCK x WIDTH cosines."""
WIDTH = 8_192
_EVEN = 1e-6
"""Cosines closer than this are even, and the name that was known first is the nearest: products round as they like."""


class TextEncoder(Protocol):
    """Embeds texts as float32 [N, D] of length 1, each by itself; any `DualEncoder` is one."""

    @property
    def name(self) -> str: ...

    def texts(self, texts: Sequence[str]) -> Floats: ...


class NgramEncoder:
    """Signed hashes (Weinberger et al., arXiv 0902.2206) of the 2- and 3-grams of a name's words in a sorted order.

    Characters past the alphabets (Chinese) count alone and in twos.
    """

    def __init__(self, dimensions: int = 512) -> None:
        self._dimensions = dimensions

    @property
    def name(self) -> str:
        return f"ngrams-{self._dimensions}"

    def texts(self, texts: Sequence[str]) -> Floats:
        blocks = [self._encode(texts[start : start + WIDTH]) for start in range(0, len(texts), WIDTH)]
        return np.concatenate([np.zeros((0, self._dimensions), np.float32), *blocks])

    def _encode(self, texts: Sequence[str]) -> Floats:
        codes = codes_of("".join(f" {' '.join(_words(text))} \0" for text in texts))
        document = np.cumsum(codes == 0) - (codes == 0)
        at = np.zeros(len(texts) * self._dimensions, np.float64)
        space, end, ideographic = codes == ord(" "), codes == 0, codes >= _IDEOGRAPHIC
        ones = single(codes)
        twos = longer(ones[:-1], codes[1:])
        threes = longer(twos[:-1], codes[2:])
        # of a word alone: no space inside, at most one at an end of it
        windows = (
            (ones, ideographic),
            (twos, ~(end[:-1] | end[1:] | (space[:-1] & space[1:]))),
            (threes, ~(end[:-2] | end[1:-1] | end[2:] | space[1:-1] | ideographic[1:-1])),
        )
        word = np.cumsum(space)
        places = [np.flatnonzero(counts) for _, counts in windows]
        grams = np.bincount(word[np.concatenate(places)], minlength=len(word) + 1)
        for (hashes, _), place in zip(windows, places, strict=True):
            key = document[place] * self._dimensions + bucket_of(hashes[place], self._dimensions)
            sign = np.where(hashes[place] & np.uint64(1), 1.0, -1.0)
            # a word weighs as any other, however long it is
            at += np.bincount(key, sign / np.sqrt(grams[word[place]]), minlength=len(at))
        vectors = at.reshape(len(texts), self._dimensions)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


_IDEOGRAPHIC = 0x2E80
_ARTICLES = frozenset({"a", "an", "the", "of"})


def _words(text: str) -> list[str]:
    words = spelling_of(text).split()
    telling = [word for word in words if word not in _ARTICLES] or words
    return sorted(_singular(word) for word in telling)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


class Nearest(NamedTuple):
    """For N new names: the cosine to the nearest known one, and its row; -1 and -1 where none is known."""

    cosine: Floats
    row: npt.NDArray[np.int64]


class Known:
    """Vectors of names that are there, in the order in which they came."""

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors
        self._n = len(vectors)

    def __len__(self) -> int:
        return self._n

    def add(self, vectors: Floats) -> None:
        """Know more names; room doubles as it is needed."""
        wanted = self._n + len(vectors)
        if wanted > len(self._vectors):
            roomier = np.zeros((max(wanted, 2 * len(self._vectors)), vectors.shape[1]), np.float32)
            roomier[: self._n] = self._vectors[: self._n]
            self._vectors = roomier
        self._vectors[self._n : wanted] = vectors
        self._n = wanted

    def rows(self, rows: Sequence[int]) -> Floats:
        """A copy of some of them."""
        return self._vectors[list(rows)]

    def nearest(self, vectors: Floats) -> Nearest:
        """The nearest known name of each of N [N, D]; of even ones, the first."""
        cosine = np.full(len(vectors), -1.0, np.float32)
        row = np.full(len(vectors), -1, np.int64)
        for start in range(0, self._n, WIDTH):
            cosines = vectors @ self._vectors[start : min(start + WIDTH, self._n)].T
            best = cosines.max(axis=1)
            first = (cosines >= best[:, None] - _EVEN).argmax(axis=1)
            closer = best > cosine + _EVEN
            cosine[closer] = best[closer]
            row[closer] = start + first[closer]
        return Nearest(cosine, row)


class Vectors:
    """Vectors of names, each encoded once.

    Models round by what else is in a batch. So names are encoded in the same company in a run that goes on as in one
    that was never interrupted: those that are remembered first are encoded first, as if they had just been learned.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._row = dict[str, int]()
        self._known: Known | None = None
        self._remembered = list[Sequence[str]]()

    @property
    def encoder(self) -> str:
        return self._encoder.name

    def remember(self, names: Sequence[str]) -> None:
        """Learn these before any others, if any others are asked for."""
        self._remembered.append(names)

    def learn(self, names: Sequence[str]) -> None:
        """Encode those that are new; raises `ValueError` where the encoder gives another number of vectors."""
        for batch in (*self._remembered, names):
            if fresh := sorted(set(batch) - self._row.keys()):
                vectors = self._encoder.texts(fresh)
                if vectors.ndim != 2 or len(vectors) != len(fresh):
                    raise ValueError(f"vectors have shape {vectors.shape}, must be [{len(fresh)}, D] ({self.encoder})")
                self._row |= {name: len(self._row) + i for i, name in enumerate(fresh)}
                self._known = Known(vectors[:0]) if self._known is None else self._known
                self._known.add(vectors)
        self._remembered.clear()

    def of(self, names: Sequence[str]) -> Floats:
        """float32 [N, D] of N >= 1 names."""
        self.learn(names)
        if self._known is None:
            raise ValueError("names are none, must be one at least")
        return self._known.rows([self._row[name] for name in names])
