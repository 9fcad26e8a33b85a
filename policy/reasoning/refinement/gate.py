"""A VLM's answers and its parent's to the same cases in, whether it may follow out, with every reason why not: pure.

To each golden case, which nobody was taught, the likeliest answer, paired by case and held to the one-sided 95% bound
of what is lost; to each of the day's cases that the parent did not always get right as many samples as it was asked
then: of those more must be right, they were taught.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contracts.reasoning import Unparsed, parse
from contracts.records import Digest, Record, Time
from contracts.taxonomy import Category
from policy.reasoning.rows import Row

Z_ONE_SIDED = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class VlmLimits:
    """How far below its parent a candidate's one-sided bound may be, as shares of the golden cases.

    One case that is lost, and none won, has a bound of about -2.65 / n: with `fewest_golden` cases that alone refuses
    nobody (2.65 / 270 < 0.01).
    """

    tag_falls: float = 0.02
    binary_falls: float = 0.02
    form_falls: float = 0.01
    fewest_golden: int = 270


class VlmGateResult(Record):
    """Whether a VLM may follow its parent, why not, and the figures that were compared.

    candidate, parent: digests of weights. asked: of the rows and limits that they were compared by.
    """

    passed: bool
    refusals: tuple[str, ...]
    judged_at: Time
    candidate: Digest
    parent: Digest
    asked: Digest
    figures: dict[str, float]


class Answers(NamedTuple):
    """The likeliest answer to each of the golden rows, and K samples to each of the day's that were got wrong."""

    golden: Sequence[str]
    wrong: Sequence[Sequence[str]]


class _Read(NamedTuple):
    """What an answer is worth."""

    tag: bool
    binary: bool
    form: bool


def compare(
    golden: Sequence[Row], wrong: Sequence[Row], before: Answers, after: Answers, limits: VlmLimits | None = None
) -> tuple[list[str], dict[str, float]]:
    """Why the candidate is refused, nothing where it is not, and the figures."""
    limits = limits or VlmLimits()
    figures: dict[str, float] = {"golden cases": float(len(golden)), "the day's wrong cases": float(len(wrong))}
    refusals = list[str]()
    if len(golden) < limits.fewest_golden:
        refusals.append(f"{len(golden)} golden cases, at least {limits.fewest_golden} say whether anything was lost")
    then, now = ([_read(row, text) for row, text in zip(golden, said.golden, strict=True)] for said in (before, after))
    for name, most in (("tag", limits.tag_falls), ("binary", limits.binary_falls), ("form", limits.form_falls)):
        old, new = ([getattr(one, name) for one in side] for side in (then, now))
        least = _least_gain(old, new)
        figures |= {f"{name}, parent": _mean(old), f"{name}, candidate": _mean(new), f"{name}, at least": least}
        if least < -most:
            told = f"from {_mean(old):.4f} to {_mean(new):.4f} of {len(golden)}"
            refusals.append(f"{name} fell {told}: at least {least:+.4f}, must be at least {-most:+.4f}")
    old, new = (
        [_read(row, text).tag for row, texts in zip(wrong, said.wrong, strict=True) for text in texts]
        for said in (before, after)
    )
    figures |= {"samples right, parent": _mean(old), "samples right, candidate": _mean(new)}
    if _mean(new) <= _mean(old):
        refusals.append(
            f"of samples to {len(wrong)} cases that the parent did not always get right {_mean(new):.4f} are right, "
            f"must be over the parent's {_mean(old):.4f}: nothing was learned"
        )
    return refusals, figures


def _read(row: Row, text: str) -> _Read:
    found = parse(text)
    if isinstance(found, Unparsed):
        return _Read(False, False, False)
    good = Category.POSITIVE.value
    return _Read(found.category.value == row.solution, (found.category.value == good) == (row.solution == good), True)


def _least_gain(before: Sequence[bool], after: Sequence[bool]) -> float:
    """The one-sided 95% lower bound of the mean paired gain (normal, of discordant pairs); -1 without a case."""
    n = len(before)
    if n == 0:
        return -1.0
    won = sum(new and not old for old, new in zip(before, after, strict=True))
    lost = sum(old and not new for old, new in zip(before, after, strict=True))
    gain = (won - lost) / n
    return gain - Z_ONE_SIDED * math.sqrt(max(0.0, (won + lost) / n - gain * gain) / n)


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0
