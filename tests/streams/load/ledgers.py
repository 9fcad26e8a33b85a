"""Ledgers as a sender would have left them, written by hand."""

from pathlib import Path

import numpy as np

from streams.load.ledger import Ledger
from streams.load.plan import Drawn, Kind, LoadPlan

SHORT = {
    "t": Kind.TEXT,
    "m": Kind.MEDIA,
    "u": Kind.UPDATE,
    "l": Kind.LATE,
    "r": Kind.REPEAT,
    "p": Kind.POISON,
    "v": Kind.REPORT,
}


def ledger(folder: Path, events: str, *, warm_up: int = 0) -> Ledger:
    """A ledger of events like `t t u0 r0 p`: a kind each, and of which event it speaks.

    All were due and confirmed a second apart from 100 s on; each sound one has a verdict half a second later, each
    poison its letter.
    """
    words = events.split()
    kinds = [SHORT[word[0]] for word in words]
    of = [int(word[1:]) if word[1:] else n for n, word in enumerate(words)]
    made = Ledger.create(folder, LoadPlan("run", len(words), rate=1.0, warm_up=warm_up))
    rows = made.rows
    rows["intended_s"] = rows["sent_s"] = rows["confirmed_s"] = 100.0 + np.arange(len(words))
    judged = np.isin(kinds, (Kind.TEXT, Kind.MEDIA, Kind.UPDATE, Kind.LATE))
    rows["verdicts"][judged] = 1
    rows["place"][judged] = rows["last_place"][judged] = np.arange(judged.sum())
    rows["produced_s"][judged] = rows["seen_s"][judged] = rows["intended_s"][judged] + 0.5
    rows["letters"][np.array(kinds) == Kind.POISON] = 1
    return Ledger(folder, made.plan, Drawn(np.array(kinds, np.int8), np.array(of, np.int64)), rows)


def name(*numbers: int) -> list[str]:
    return [f"run-{number:08d}" for number in numbers]
