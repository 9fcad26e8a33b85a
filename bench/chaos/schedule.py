"""A seed, a length and a number in, faults out: kinds, targets and times are drawn before anything is started."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle

from contracts.errors import BadInputError


class Kind(StrEnum):
    """What is done to a part."""

    KILL = "kill"
    """It ends at once, as by a crash, and is started again."""
    TERM = "term"
    """It is told to end as an operator's tools do, and is started again."""
    INT = "int"
    """It is told to end as Ctrl-C does, and is started again."""
    STOP = "stop"
    """It stands still, and goes on."""
    SLOW = "slow"
    """It stands still five sixths of the time."""
    JOIN = "join"
    """One more is started: partitions move."""
    LEAVE = "leave"
    """One is told to end and none comes back: partitions move."""
    FULL = "full"
    """Its disk is full, and then is not."""


class Target(StrEnum):
    """Which part; `WORKERS` are all of them at the same time."""

    WORKER = "worker"
    WORKERS = "workers"
    TRITON = "triton"
    BROKER = "broker"
    REDIS = "redis"
    FEATURES = "features"
    WAREHOUSE = "warehouse"
    SINK = "sink"
    RECORDER = "recorder"


@dataclass(frozen=True, slots=True)
class Choice:
    """A fault that may be drawn, and for how long, in seconds."""

    kind: Kind
    target: Target
    shortest_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when it begins, in seconds after the load, and how long it lasts before its end is begun."""

    number: int
    at_s: float
    kind: Kind
    target: Target
    down_s: float

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"


SESSION_S = 6.0
"""When a group gives a member up that says nothing."""
_LONG = (SESSION_S + 1.5, SESSION_S + 4.0)
_SHORT = (0.5, 2.5)
_AWAY = (0.2, 2.0)

_ALWAYS = (
    Choice(Kind.KILL, Target.WORKER, *_AWAY),
    Choice(Kind.TERM, Target.WORKER, *_AWAY),
    Choice(Kind.INT, Target.WORKER, *_AWAY),
    Choice(Kind.STOP, Target.WORKER, *_SHORT),
    Choice(Kind.STOP, Target.WORKER, *_LONG),
    Choice(Kind.JOIN, Target.WORKER, 0.0, 0.0),
    Choice(Kind.LEAVE, Target.WORKER, 0.0, 0.0),
    Choice(Kind.KILL, Target.WORKERS, *_AWAY),
    Choice(Kind.STOP, Target.WORKERS, *_LONG),
    Choice(Kind.KILL, Target.TRITON, *_AWAY),
    Choice(Kind.STOP, Target.TRITON, 3.0, 6.0),
    Choice(Kind.SLOW, Target.TRITON, 4.0, 6.0),
    Choice(Kind.KILL, Target.BROKER, *_AWAY),
    Choice(Kind.TERM, Target.BROKER, *_AWAY),
    Choice(Kind.STOP, Target.BROKER, *_SHORT),
    Choice(Kind.STOP, Target.BROKER, *_LONG),
    Choice(Kind.KILL, Target.WAREHOUSE, *_AWAY),
    Choice(Kind.STOP, Target.WAREHOUSE, 2.0, 6.0),
    Choice(Kind.KILL, Target.SINK, *_AWAY),
    Choice(Kind.STOP, Target.SINK, *_LONG),
    Choice(Kind.KILL, Target.RECORDER, *_AWAY),
    Choice(Kind.INT, Target.RECORDER, *_AWAY),
)
DISK = Choice(Kind.FULL, Target.WAREHOUSE, 3.0, 6.0)


def menu(store: Target, *, disk: bool) -> tuple[Choice, ...]:
    """What may happen to a stack that keeps its features in `store`, with a disk that may be filled or without."""
    features = (Choice(Kind.KILL, store, *_AWAY), Choice(Kind.TERM, store, *_AWAY), Choice(Kind.STOP, store, 2.0, 6.0))
    return (*_ALWAYS, *features, *((DISK,) if disk else ()))


BRIEF = (
    Choice(Kind.KILL, Target.WORKER, 0.2, 0.5),
    Choice(Kind.KILL, Target.BROKER, 0.2, 0.5),
    Choice(Kind.KILL, Target.REDIS, 0.2, 0.5),
    Choice(Kind.STOP, Target.WORKER, SESSION_S + 1.0, SESSION_S + 1.5),
    Choice(Kind.KILL, Target.WAREHOUSE, 0.2, 0.5),
)
"""A handful of different kinds, for the suite."""


def draw(choices: Sequence[Choice], *, count: int, length_s: float, seed: int) -> list[Fault]:
    """Draw `count` faults in a time of `length_s`, one in each equal part of it, in its first quarter.

    Each choice comes once before any comes twice. Those that bring a worker and those that take one take turns, one
    that brings first, so that there are never fewer than at the beginning.
    Raises `BadInputError` for a length or a number that is not positive.
    """
    if count < 1 or not length_s > 0:
        raise BadInputError(f"{count} faults in {length_s:g} s, must be one at least in some time")
    rng = random.Random(seed)
    moves = cycle([Kind.JOIN, Kind.LEAVE])
    part_s = length_s / count
    faults = []
    for number, choice in zip(range(count), _again_and_again(choices, rng), strict=False):
        kind = next(moves) if choice.kind in {Kind.JOIN, Kind.LEAVE} else choice.kind
        at_s = part_s * (number + 0.25 * rng.random())
        down_s = rng.uniform(choice.shortest_s, choice.longest_s)
        faults.append(Fault(number, round(at_s, 3), kind, choice.target, round(down_s, 3)))
    return faults


def _again_and_again(choices: Sequence[Choice], rng: random.Random) -> Iterator[Choice]:
    while True:
        yield from rng.sample(choices, len(choices))
