"""User ids in, variants out: a salted hash and nothing else, so that anyone can recompute it, today or in ten years.

    bucket = xxHash64('layer:' + layer + ':' + user_id) mod N_BUCKETS         who is in the experiment
    point  = upper 32 bits of xxHash64('arm:' + salt + ':' + user_id)         which arm they get

The layer chooses the bucket, the experiment's own salt the arm, so experiments of one layer exclude each other and
the arms of any two are independent. xxHash64 (the published specification, seed 0) is a function of ClickHouse,
which has the same two lines as `experiment_bucket` and `experiment_point` (`warehouse/migrations`).
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.experiments import N_BUCKETS, Experiment

Hashes = npt.NDArray[np.uint64]

_AT_ONCE = 1 << 14
"""So many ids are hashed together that the work stays in the processor's cache."""
_POINTS = 1 << 32
_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)


def assign(experiment: Experiment, user_ids: Sequence[str]) -> npt.NDArray[np.int8]:
    """The place of each user's variant in `experiment.variants`, int8 [N]; -1 for who is not in its buckets.

    Pure and without a date: who asks only about days on which the experiment runs sees that `Experiment.runs_on`.
    """
    low, high = experiment.buckets
    if low == 0 and high == N_BUCKETS:
        return _arms(experiment, user_ids)
    bucket_N = bucket(experiment.layer, user_ids)
    inside = np.flatnonzero((bucket_N >= low) & (bucket_N < high))
    variant_N = np.full(len(user_ids), -1, np.int8)
    if len(inside):
        variant_N[inside] = _arms(experiment, [user_ids[place] for place in inside.tolist()])
    return variant_N


def bucket(layer: str, user_ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Which of its `N_BUCKETS` buckets a layer puts each user into, int64 [N]."""
    return (hashes(f"layer:{layer}:", user_ids) % np.uint64(N_BUCKETS)).astype(np.int64)


def edges(experiment: Experiment) -> npt.NDArray[np.uint64]:
    """Where each variant's range of points ends: the shares added up, times 2^32, as whole numbers."""
    ends = [round(share * _POINTS) for share in accumulate(variant.share for variant in experiment.variants)]
    return np.array([*ends[:-1], _POINTS], np.uint64)


def _arms(experiment: Experiment, user_ids: Sequence[str]) -> npt.NDArray[np.int8]:
    point_N = hashes(f"arm:{experiment.salt}:", user_ids) >> np.uint64(32)
    return np.searchsorted(edges(experiment), point_N, side="right").astype(np.int8)


def hashes(prefix: str, user_ids: Sequence[str]) -> Hashes:
    """XxHash64 with seed 0 of prefix + user id, for N ids, uint64 [N].

    Ids are those of the contract: ASCII, not empty; another raises `BadInputError`.
    """
    out = np.empty(len(user_ids), np.uint64)
    for start in range(0, len(user_ids), _AT_ONCE):
        some = user_ids[start : start + _AT_ONCE]
        out[start : start + len(some)] = _hash_some(prefix, some)
    return out


def _hash_some(prefix: str, user_ids: Sequence[str]) -> Hashes:
    """Lay the messages end to end, and hash together those of one length."""
    joined = prefix + prefix.join(user_ids)
    lengths = np.fromiter(map(len, user_ids), np.int64, len(user_ids))
    if not joined.isascii() or not lengths.all():
        wrong = next(one for one in user_ids if not one or not (prefix + one).isascii())
        raise BadInputError(f"user_id == {wrong!r}, must be 1 or more ASCII characters (assignment by {prefix!r})")
    lengths += len(prefix)
    starts = np.cumsum(lengths) - lengths
    raw = joined.encode("ascii") + bytes(8)
    out = np.empty(len(user_ids), np.uint64)
    for length in np.flatnonzero(np.bincount(lengths)).tolist():
        those = np.flatnonzero(lengths == length)
        out[those] = _xxhash64(raw, starts[those], length)
    return out


def _xxhash64(raw: bytes, starts: npt.NDArray[np.int64], length: int) -> Hashes:
    """XxHash64 with seed 0 of the messages of one length that begin at `starts` (github.com/Cyan4973/xxHash, doc)."""
    # Views of every byte position as a little-endian word: what begins anywhere can be read at once.
    words = np.ndarray((len(raw) - 7,), "<u8", raw, strides=(1,))
    halves = np.ndarray((len(raw) - 3,), "<u4", raw, strides=(1,))
    octets = np.frombuffer(raw, np.uint8)
    n_stripes, place = divmod(length, 32)[0], 0
    if n_stripes:
        lanes = [np.full(len(starts), seed) for seed in _seeds()]
        for stripe in range(n_stripes):
            for i in range(4):
                lanes[i] = _round(lanes[i], words[starts + (32 * stripe + 8 * i)])
        out = _rotated(lanes[0], 1) + _rotated(lanes[1], 7) + _rotated(lanes[2], 12) + _rotated(lanes[3], 18)
        for lane in lanes:
            out = (out ^ _round(np.zeros_like(lane), lane)) * _P1 + _P4
        place = 32 * n_stripes
    else:
        out = np.full(len(starts), _P5)
    out += np.uint64(length)
    while place + 8 <= length:
        out = _rotated(out ^ _round(np.uint64(0), words[starts + place]), 27) * _P1 + _P4
        place += 8
    if place + 4 <= length:
        out = _rotated(out ^ (halves[starts + place].astype(np.uint64) * _P1), 23) * _P2 + _P3
        place += 4
    for rest in range(place, length):
        out = _rotated(out ^ (octets[starts + rest].astype(np.uint64) * _P5), 11) * _P1
    for shift, prime in ((33, _P2), (29, _P3)):
        out = (out ^ (out >> np.uint64(shift))) * prime
    return out ^ (out >> np.uint64(32))


def _seeds() -> Iterator[np.uint64]:
    yield np.uint64((int(_P1) + int(_P2)) % (1 << 64))
    yield _P2
    yield np.uint64(0)
    yield np.uint64(-int(_P1) % (1 << 64))


def _round(lane: Hashes | np.uint64, words: Hashes) -> Hashes:
    return _rotated(lane + words * _P2, 31) * _P1


def _rotated(words: Hashes, by: int) -> Hashes:
    return (words << np.uint64(by)) | (words >> np.uint64(64 - by))
