"""When events were due and when they were done in, when the path was well again out: arithmetic on a ledger's rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.load.check import JUDGED
from streams.load.ledger import Ledger
from streams.load.plan import Kind

STEADY_S = 0.5
"""A path that is well has no more open events than come in this time."""
HELD_S = 2.0
"""How long it must stay so."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """When each event that has an outcome was due, in order, and when it was done: never is infinite. In seconds."""

    due_N: npt.NDArray[np.float64]
    done_N: npt.NDArray[np.float64]
    steady: float

    @classmethod
    def of(cls, ledger: Ledger) -> "Timeline":
        """Of what a load's ledger says: verdicts are done when they were produced, dead letters when they were read."""
        rows, kind = ledger.rows, ledger.drawn.kind_N
        has_outcome = np.isin(kind, (*JUDGED, Kind.POISON))
        done = np.where(np.isnan(rows["produced_s"]), rows["seen_s"], rows["produced_s"])[has_outcome]
        rate = float(has_outcome.sum()) / float(np.ptp(rows["intended_s"])) if len(rows) > 1 else 1.0
        return cls(rows["intended_s"][has_outcome], np.where(np.isnan(done), np.inf, done), steady=STEADY_S * rate)

    def longest_wait(self, from_s: float, until_s: float) -> float | None:
        """Seconds that the event waited longest that was due in that time; None where none was, or one is not done."""
        waits = (self.done_N - self.due_N)[(self.due_N >= from_s) & (self.due_N < until_s)]
        return float(waits.max()) if waits.size and np.isfinite(waits).all() else None

    def well_after(self, back_s: float, *, until_s: float = np.inf) -> float | None:
        """Seconds from `back_s` to the moment from which the path was well; None where it was not before `until_s`.

        It is well when an event that was due after `back_s` is done, and from then on for `HELD_S`, or until
        `until_s`, no more than `steady` events are open.
        """
        moments = np.concatenate([self.due_N, self.done_N])
        change = np.concatenate([np.ones(len(self.due_N)), -np.ones(len(self.done_N))])
        order = np.argsort(moments, kind="stable")
        moments, open_events = moments[order], np.cumsum(change[order])
        too_many = moments[open_events > self.steady]
        later = np.sort(self.done_N[(self.due_N >= back_s) & np.isfinite(self.done_N)])
        if not later.size:
            return None
        candidates = np.unique(np.concatenate([[later[0]], moments[(moments >= later[0]) & np.isfinite(moments)]]))
        for moment in candidates[candidates < until_s]:
            place = np.searchsorted(moments, moment, side="right") - 1
            if open_events[place] > self.steady:
                continue
            first = np.searchsorted(too_many, moment, side="right")
            if first == len(too_many) or too_many[first] > min(moment + HELD_S, until_s):
                return float(moment - back_s)
        return None


def repeats_of(ledger: Ledger, ends_s: Sequence[float]) -> list[int]:
    """Verdicts beyond one for each time that their event was sent, by fault: the first that ended after the verdict.

    `ends_s` are in order; what was repeated after the last of them is the last one's.
    """
    rows, kind, of = ledger.rows, ledger.drawn.kind_N, ledger.drawn.speaks_of_N
    sent = np.isin(kind, JUDGED).astype(np.int64)
    np.add.at(sent, of[kind == Kind.REPEAT], 1)
    again = np.where(np.isin(kind, JUDGED), np.maximum(rows["verdicts"].astype(np.int64) - sent, 0), 0)
    repeated = np.flatnonzero(again)
    counts = np.zeros(len(ends_s), np.int64)
    if len(ends_s):
        places = np.searchsorted(np.asarray(ends_s), rows["produced_s"][repeated])
        np.add.at(counts, np.minimum(places, len(ends_s) - 1), again[repeated])
    return [int(count) for count in counts]
