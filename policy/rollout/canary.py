"""A video and a candidate in; whether the candidate decides of it out: by a hash, the same on every worker."""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from contracts.releases import Pin


def in_canary(video_id: str, pin: Pin, share: float) -> bool:
    """Whether a video is among the `share` of all videos, in [0, 1], for which the canary `pin` decides.

    The hash is salted by the release's version, so that each release is tried on other videos, and not by its
    casebook's, so that a precedent published in between moves no video; a larger share keeps those of a smaller one.
    """
    return place_of(video_id, pin) < share


def place_of(video_id: str, pin: Pin) -> float:
    """A video's place in [0, 1) among all videos, uniform over videos and independent between releases."""
    digest = hashlib.blake2b(f"{pin.release_version}/{video_id}".encode(), digest_size=8, person=b"canary").digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)


def canary_rows(video_ids: Iterable[str], pin: Pin, share: float) -> npt.NDArray[np.bool_]:
    """`in_canary` of each of B videos, in order, as bool [B]."""
    return np.fromiter((in_canary(video_id, pin, share) for video_id in video_ids), np.bool_)
