"""A ledger in, the moments at which features could really be read out: a reader beside the load, as a recommender is.

A process of its own. It looks for the features of some events, from their intended send time on, until it reads the
version that was sent; what it notes is at most one of its looks later than the truth, and never earlier.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streams.load.ledger import Ledger
from streams.load.plan import Kind

LOOK_EVERY_S = 0.02
AT_ONCE = 200
AFTER_S = 60.0
"""How long the probe goes on looking when the last event was due."""


class Reader(Protocol):
    """When the version of each video that is readable came to be, in seconds since 1970; 0 where there is none."""

    def __call__(self, video_ids: Sequence[str]) -> npt.NDArray[np.float64]: ...


def probe(
    ledger: Ledger,
    read: Reader,
    *,
    per_s: float,
    stopped: Callable[[], bool],
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Look for about `per_s` of the ledger's new videos a second; returns how many were found readable."""
    plan, rows = ledger.plan, ledger.rows
    every = max(1, round((plan.rate or per_s) / per_s))
    chosen = np.flatnonzero(np.isin(ledger.drawn.kind_N, (Kind.TEXT, Kind.MEDIA)))[::every]
    found = 0
    waiting: list[int] = []
    upcoming = 0
    while not stopped() and (upcoming < len(chosen) or waiting):
        now = clock()
        while upcoming < len(chosen) and rows["intended_s"][chosen[upcoming]] <= now:
            waiting.append(int(chosen[upcoming]))
            upcoming += 1
        for first in range(0, len(waiting), AT_ONCE):
            some = waiting[first : first + AT_ONCE]
            occurred_s = read([plan.event_id(number) for number in some])
            read_s = clock()
            there = occurred_s > 0  # any version of a new video: the first one, or a later one that overtook it
            rows["readable_s"][np.array(some)[there]] = read_s
            found += int(there.sum())
        waiting = [number for number in waiting if np.isnan(rows["readable_s"][number])]
        if upcoming == len(chosen) and waiting and now > rows["intended_s"][-1] + AFTER_S:
            break
        sleep(max(0.0, LOOK_EVERY_S - (clock() - now)))
    return found
