"""A rate, a count and a mix in; for each event its kind, and which earlier event it speaks of, out.

All of it follows from the seed, so that whoever opens a ledger knows what was sent without having kept the bytes.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError

LOOKS_BACK = 5_000
"""How many events back an event may speak of another."""


class Kind(IntEnum):
    """What an event is to the system."""

    TEXT = 0
    """A new video without media."""
    MEDIA = 1
    """A new video with media."""
    UPDATE = 2
    """A newer version of an earlier text video: its features follow it."""
    LATE = 3
    """An older version of an earlier text video: a verdict, but the features stay as they are."""
    REPEAT = 4
    """An earlier text event again, byte for byte: nothing changes."""
    POISON = 5
    """Bytes that break the contract: a dead letter with the reason."""
    REPORT = 6
    """A viewer's report of an earlier text video: a row."""


SPEAK_OF_EARLIER = (Kind.UPDATE, Kind.LATE, Kind.REPEAT, Kind.REPORT)


@dataclass(frozen=True, slots=True)
class Mix:
    """The share of each kind; they sum to 1."""

    shares: Mapping[Kind, float] = field(default_factory=lambda: {Kind.TEXT: 1.0})

    def __post_init__(self) -> None:
        for kind, share in self.shares.items():
            if not 0.0 <= share <= 1.0:
                raise BadInputError(f"--mix: {kind.name.lower()}={share:g}, must be in [0, 1]")
        if not math.isclose(total := math.fsum(self.shares.values()), 1.0, abs_tol=1e-6):
            raise BadInputError(f"--mix: shares sum to {total:g}, must be 1")
        if not self.shares.get(Kind.TEXT) and any(self.shares.get(kind) for kind in SPEAK_OF_EARLIER):
            raise BadInputError("--mix: update, late, repeat and report speak of text videos, text must have a share")

    @classmethod
    def parse(cls, words: str) -> Self:
        """Read `text=0.9,update=0.1`; raises `BadInputError` naming the part that is wrong."""
        names = {kind.name.lower(): kind for kind in Kind}
        shares: dict[Kind, float] = {}
        for part in words.split(","):
            name, _, number = part.strip().partition("=")
            if name not in names:
                raise BadInputError(f"--mix: {name!r} is no kind, must be one of {', '.join(names)}")
            if names[name] in shares:
                raise BadInputError(f"--mix: {name} is given twice")
            try:
                shares[names[name]] = float(number)
            except ValueError:
                raise BadInputError(f"--mix: {part.strip()!r}, must be {name}=SHARE") from None
        return cls(shares)

    def __str__(self) -> str:
        return ",".join(f"{kind.name.lower()}={share:g}" for kind, share in self.shares.items())


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """`count` events at `rate` a second, or without a rate as fast as `window` unanswered ones allow.

    The first `warm_up` events are sent like all, and left out of rates and latencies.
    """

    run: str
    count: int
    rate: float | None
    mix: Mix = Mix()
    warm_up: int = 0
    window: int = 2_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise BadInputError(f"events to send == {self.count}, must be at least 1")
        if not 0 <= self.warm_up < self.count:
            raise BadInputError(f"--warm-up == {self.warm_up}, must be less than the {self.count} events to send")
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise BadInputError(f"--rate == {self.rate}, must be above 0")

    def event_id(self, number: int) -> str:
        return f"{self.run}-{number:08d}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"mix": str(self.mix)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(**{**fields, "mix": Mix.parse(fields["mix"])})


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a plan sends: kind_N, and speaks_of_N, the number of the event whose video it is: its own if new."""

    kind_N: npt.NDArray[np.int8]
    speaks_of_N: npt.NDArray[np.int64]


def draw(plan: LoadPlan) -> Drawn:
    """Draw every event of a plan; the first is a text where others speak of one."""
    rng = np.random.default_rng((plan.seed, plan.count))
    kinds = sorted(plan.mix.shares)
    kind = rng.choice(
        np.array(kinds, np.int8), size=plan.count, p=np.array([plan.mix.shares[k] for k in kinds], np.float64)
    )
    own = np.arange(plan.count, dtype=np.int64)
    texts = np.flatnonzero(kind == Kind.TEXT)
    speaks = np.isin(kind, SPEAK_OF_EARLIER)
    if not speaks.any():
        return Drawn(kind, own)
    before = np.searchsorted(texts, own)  # how many texts there are before each event
    kind[speaks & (before == 0)] = Kind.TEXT
    texts = np.flatnonzero(kind == Kind.TEXT)
    before = np.searchsorted(texts, own)
    speaks = np.isin(kind, SPEAK_OF_EARLIER)
    first = np.searchsorted(texts, own - LOOKS_BACK)
    chosen = first + (rng.random(plan.count) * (before - first)).astype(np.int64)
    return Drawn(kind, np.where(speaks, texts[np.minimum(chosen, len(texts) - 1)], own))
