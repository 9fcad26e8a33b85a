"""What words speak of: topics of short video in Chinese and English, none of them a category of the taxonomy.

`glossary.txt` has a topic a line, its name and its words. It is knowledge that a thousand cases cannot teach; what a
topic means for a verdict is learned from cases alone.
"""

from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serving.preprocess.ngrams import Hashes, bucket_of, hash_of

N_FIELDS = 3
LONGEST_WORD = 6
_SHORT = 2  # every n-gram up to here is counted anyway


@cache
def topics() -> dict[str, tuple[str, ...]]:
    """Topic to its words of at most `LONGEST_WORD` characters."""
    lines = (Path(__file__).with_name("glossary.txt")).read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, _, words = line.partition(":")
            found[name] = tuple(dict.fromkeys(word for word in words.split() if len(word) <= LONGEST_WORD))
    return found


@cache
def long_words() -> dict[int, Hashes]:
    """Hashes of the words that are longer than the n-grams counted anyway, by their length."""
    by_length: dict[int, set[str]] = defaultdict(set)
    for words in topics().values():
        for word in words:
            by_length[len(word)].add(word)
    return {
        n: np.array(sorted(hash_of(word) for word in by_length[n]), np.uint64)
        for n in range(_SHORT + 1, LONGEST_WORD + 1)
    }


def topic_table(buckets: int) -> npt.NDArray[np.float32]:
    """Which topics an n-gram speaks of: float32 [3 * buckets, T], the same in each field's range."""
    names = list(topics())
    one = np.zeros((buckets, len(names)), np.float32)
    for column, name in enumerate(names):
        hashes = np.array([hash_of(word) for word in topics()[name]], np.uint64)
        one[bucket_of(hashes, buckets), column] = 1.0
    return np.tile(one, (N_FIELDS, 1))
