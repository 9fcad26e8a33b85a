"""(seed, purpose, viewer, day, ...) -> the same random number in every world.

Counter-based: a number is a hash of what it is drawn for, not the next of a sequence. So two worlds that differ only
in an arm draw the same chances for the same viewer, day, session and position, whatever happened in between; what
differs between the worlds is the arm's effect and nothing else.

The hash is the output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) over key + counter * golden ratio.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_THIRD = np.uint64((1 << 21) - 1)


class Purpose(IntEnum):
    """What a number decides; numbers of different purposes are independent."""

    COME = 1
    COMEBACK = 2
    LEAVE = 3
    SESSIONS = 4
    SESSION = 5
    CANDIDATES = 6
    WATCH = 7
    RULING = 8
    NAME = 9


def keys(seed: int, purpose: Purpose, *numbers: npt.ArrayLike) -> Keys:
    """One key for each combination; `numbers` are whole, 0 or more, and broadcast against each other."""
    found: Keys = _mixed(np.asarray([seed & 0xFFFFFFFFFFFFFFFF], np.uint64) * _GOLDEN + np.uint64(int(purpose)))
    for number in numbers:
        found = _mixed(found + (np.atleast_1d(np.asarray(number)).astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return found


def fan(keys_S: Keys, n: int) -> Keys:
    """For each of S keys, n numbers of 64 bits: [S, n]."""
    steps = np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN
    return _mixed(keys_S[:, None] + steps[None, :])


def uniforms(hashed: Keys) -> npt.NDArray[np.float32]:
    """One uniform in [0, 1) of each, from its upper 24 bits."""
    return (hashed >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def three_uniforms(hashed: Keys) -> tuple[npt.NDArray[np.float32], ...]:
    """Three independent uniforms in [0, 1) of each, of 21 bits: their steps are 5e-7."""
    step = np.float32(2.0**-21)
    shifts = (np.uint64(43), np.uint64(22), np.uint64(1))
    return tuple(((hashed >> shift) & _THIRD).astype(np.float32) * step for shift in shifts)


def _mixed(z: Keys) -> Keys:
    z = z.copy()
    z ^= z >> np.uint64(30)
    z *= _FIRST
    z ^= z >> np.uint64(27)
    z *= _SECOND
    z ^= z >> np.uint64(31)
    return z
