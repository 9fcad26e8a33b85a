"""Characters in, hashes of n-grams out: the arithmetic behind the hashed text."""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD6E8FEB86659FD93)
_FOLD = np.uint64(32)
_PLANE = 0x10000


@cache
def _plain() -> Codes:
    """Code point to its NFKC form in lower case, where that is one character, any digit to 0; the rest as it is."""
    table = np.arange(_PLANE, dtype=np.uint32)
    for code in range(1, _PLANE):
        if not 0xD800 <= code < 0xE000:
            plain = unicodedata.normalize("NFKC", chr(code)).lower()
            if len(plain) == 1 and plain != "\0":
                table[code] = ord("0" if plain.isdecimal() else plain)
    return table


def normalised(codes: Codes) -> Codes:
    """Each character by itself as NFKC in lower case, a digit as 0: letters full-width and Latin, punctuation."""
    table = _plain()
    return table[codes] if codes.max(initial=0) < _PLANE else np.where(codes < _PLANE, table[codes % _PLANE], codes)


def codes_of(text: str) -> Codes:
    """The code points of a text; lone surrogates pass."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def single(codes: Codes) -> Hashes:
    """Hashes of the 1-grams."""
    return stir((codes.astype(np.uint64) + np.uint64(1)) * _MIX)


def longer(hashes: Hashes, codes: Codes) -> Hashes:
    """Hashes of n-grams, each followed by one more character."""
    return stir((hashes ^ codes) * _STEP + _MIX)


def stir(hashes: Hashes) -> Hashes:
    return hashes ^ (hashes >> _FOLD)


def scattered(numbers: npt.NDArray[np.int64]) -> Hashes:
    """An order of numbers that has nothing to do with their size."""
    return stir(numbers.astype(np.uint64) * _STEP)


def bucket_of(hashes: Hashes, buckets: int) -> npt.NDArray[np.int64]:
    """The bucket of each hash in [0, buckets), by its high bits."""
    return ((hashes >> _FOLD) % np.uint64(buckets)).astype(np.int64)
