"""A plan in, a folder with a row for every event out: written while it is sent, so that a kill loses no line of it.

The rows lie in a memory-mapped NumPy file that sender, probe and checker share: each writes columns of its own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from streams.load.plan import Drawn, LoadPlan, draw

ROW = np.dtype(
    [
        ("intended_s", "f8"),  # times in seconds since 1970, NaN where it did not happen
        ("sent_s", "f8"),
        ("confirmed_s", "f8"),  # the broker has it
        ("produced_s", "f8"),  # a worker produced its verdict, after its features were written
        ("seen_s", "f8"),  # its verdict, or its dead letter, was read here
        ("readable_s", "f8"),  # the probe read its features: of those that it looks for
        ("place", "i8"),  # where its first verdict stands among all that were read: in order per video
        ("last_place", "i8"),  # where its last one does, of those that it has more of
        ("partition", "i4"),
        ("offset", "i8"),
        ("verdicts", "u4"),
        ("letters", "u4"),
        ("wrong_reasons", "u1"),
    ]
)
_PLAN, _ROWS = "plan.json", "ledger.npy"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was planned, what each event is, and what became of it; `rows` is shared with who else has it open."""

    folder: Path
    plan: LoadPlan
    drawn: Drawn
    rows: npt.NDArray[Any]

    @classmethod
    def create(cls, folder: Path, plan: LoadPlan) -> Self:
        """Begin a ledger; raises `BadInputError` where the folder holds one."""
        if (folder / _PLAN).exists():
            raise BadInputError(f"{folder}: holds a ledger already")
        folder.mkdir(parents=True, exist_ok=True)
        rows = np.lib.format.open_memmap(folder / _ROWS, mode="w+", dtype=ROW, shape=(plan.count,))
        for name in ROW.names or ():
            if ROW[name].kind == "f":
                rows[name] = np.nan
        rows["partition"] = rows["offset"] = rows["place"] = rows["last_place"] = -1
        (folder / _PLAN).write_text(json.dumps(plan.to_json(), indent=2) + "\n", encoding="utf-8")
        return cls(folder, plan, draw(plan), rows)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a ledger to read or to add to; raises `BadInputError` where there is none, or one that is broken."""
        try:
            fields: Mapping[str, Any] = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
            plan = LoadPlan.from_json(fields)
            rows = np.lib.format.open_memmap(folder / _ROWS, mode="r+")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BadInputError(f"{folder}: is no ledger of a load: {error}") from error
        if rows.dtype != ROW or rows.shape != (plan.count,):
            raise BadInputError(f"{folder}: {rows.shape} rows of {rows.dtype}, must be ({plan.count},) of {ROW}")
        return cls(folder, plan, draw(plan), rows)
