"""Titles, OCR and ASR in, hashed character n-grams with their counts out, vectorised over the batch.

Language-independent: every character and every pair of neighbours counts, and three neighbours that are Latin
letters (two letters say little of a word). Each field has a hash range of its own. Text is compared character
by character as NFKC in lower case, any digit as 0, and without the accounts that it mentions.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.preprocess.ngrams import Codes, Hashes, bucket_of, codes_of, longer, normalised, scattered, single

N_FIELDS = 3
_MENTION = re.compile(r"@[^\s@)）]{0,24}[)）]?")
LONGEST = 3


def hash_ngrams(
    titles: Sequence[str], ocrs: Sequence[str], asrs: Sequence[str], *, buckets: int, max_ngrams: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Count the hashed n-grams of B documents.

    Returns ids int32 [B, L], ascending, in [0, 3 * buckets), and counts uint8 [B, L], at most 255, 0 where padded;
    L is the most n-grams that a document of the batch has, 1 to `max_ngrams`. A document with more keeps those
    whose hashes come first: a sample that favours neither a field nor a place in the text.
    """
    n_documents = len(titles)
    fields = [spoken(text) for row in zip(titles, ocrs, asrs, strict=True) for text in row]
    codes = normalised(codes_of("\0".join([*fields, ""])))
    lengths = np.fromiter(map(len, fields), np.int64, len(fields)) + 1
    rows = N_FIELDS * buckets
    # a key is (document, field, bucket) in one number: half as wide where it fits, which sorts twice as fast
    key = np.uint32 if n_documents * rows < 1 << 32 else np.uint64
    start_of = np.repeat(np.arange(len(fields)) * buckets, lengths).astype(key)
    found = [start_of[place] + bucket_of(hashes, buckets).astype(key) for place, hashes in _windows(codes)]
    keys, counts = _counted(np.concatenate(found))
    document = (keys // key(rows)).astype(np.int64)
    ids = keys.astype(np.int64) - document * rows
    per_document = np.bincount(document, minlength=n_documents)
    if per_document.max(initial=0) > max_ngrams:
        kept = _sample(ids, document, per_document, max_ngrams)
        ids, counts, document = ids[kept], counts[kept], document[kept]
        per_document = np.bincount(document, minlength=n_documents)
    length = max(1, int(per_document.max(initial=0)))
    column = np.arange(len(ids)) - np.repeat(np.cumsum(per_document) - per_document, per_document)
    ids_B_L = np.zeros((n_documents, length), np.int32)
    counts_B_L = np.zeros((n_documents, length), np.uint8)
    ids_B_L[document, column] = ids
    counts_B_L[document, column] = np.minimum(counts, 255)
    return ids_B_L, counts_B_L


def spoken(text: str) -> str:
    """A text without the accounts it mentions, which say who, not what; and without NUL, which separates texts."""
    return (_MENTION.sub(" ", text) if "@" in text else text).replace("\0", " ")


def _counted(keys: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Distinct keys, ascending, and how often each is there."""
    keys.sort()
    first = np.flatnonzero(np.diff(keys, prepend=keys[:1] + 1)) if len(keys) else np.zeros(0, np.int64)
    return keys[first], np.diff(first, append=len(keys))


def _windows(codes: Codes) -> list[tuple[npt.NDArray[np.int64], Hashes]]:
    """For each length of n-gram: where those that count begin, and their hashes."""
    whole = codes != 0
    latin = (codes >= ord("a")) & (codes <= ord("z"))
    hashes, windows = single(codes), []
    for n in range(1, LONGEST + 1):
        if n > 1:
            hashes = longer(hashes[:-1], codes[n - 1 :])
            whole = whole[:-1] & (codes[n - 1 :] != 0)
            latin = latin[:-1] & ((codes[n - 1 :] >= ord("a")) & (codes[n - 1 :] <= ord("z")))
        place = np.flatnonzero(whole if n < LONGEST else latin)
        windows.append((place, hashes[place]))
    return windows


def _sample(
    ids: npt.NDArray[np.int64], document: npt.NDArray[np.int64], per_document: npt.NDArray[np.int64], most: int
) -> npt.NDArray[np.int64]:
    """Places of at most `most` n-grams of each document, those with the first hashes of their ids."""
    order = np.lexsort((scattered(ids), document))
    rank = np.arange(len(ids)) - np.repeat(np.cumsum(per_document) - per_document, per_document)
    return np.sort(order[rank < most])
