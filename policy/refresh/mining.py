"""What the deployed policy got wrong and was unsure of in, mixed with a replay of older cases: what to learn from."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from contracts.cases import CaseReason
from contracts.errors import BadInputError
from contracts.records import Id, Probability, Record
from contracts.taxonomy import Category
from policy.casebook import Evidence
from policy.publication.precedents import Decided
from policy.sampling import judges, sample_with_rare

NEWS_SHARE = 0.5
"""At most so much of a full mixture is new: nothing old is forgotten for a busy day."""
FEWEST_AUDITED = 100
"""With fewer audited cases the share of violative videos is the parent's."""


class Asked(Record):
    """What the deployed policy had said of a case that was ruled since, and how the case came to be asked."""

    case_id: Id
    reason: CaseReason
    audited: Probability
    said: Category | None
    ruled: Category
    distance: float

    @classmethod
    def of(cls, one: Decided, *, line: float) -> "Asked":
        """What was said of a ruled case when it opened, and how far from the toxicity line."""
        opened = one.opened
        return cls(
            case_id=opened.case_id,
            reason=opened.reason,
            audited=one.audited,
            said=None if opened.evidence is None else opened.evidence.category,
            ruled=one.ruling.category,
            distance=abs(opened.toxicity - line),
        )

    @property
    def wrong(self) -> bool:
        return self.said is not None and self.said is not self.ruled


class Chosen(NamedTuple):
    """A case of a mixture: 0 for the older, 1 for the new, and its row there."""

    side: int
    row: int


def choose_mixture(
    old: Sequence[Evidence],
    new: Sequence[Evidence],
    *,
    at_most: int,
    seed: int,
    first: Sequence[int] | None = None,
) -> list[Chosen]:
    """Choose what to train on: the older cases first, then the new, each in its order.

    `first` are the rows of `new`, what matters most first; without it they are equal. Of the older those that judge
    stay before others do; one on a video that was ruled anew is left out.

    Raises `BadInputError` as `refresh_policy` does.
    """
    refuse_contradictions(new)
    if not new:
        raise BadInputError("0 new rulings, a refresh needs at least one: there is nothing to learn")
    anew = {item.case.upload.video_id for item in new} | {item.case.case_id for item in new}
    kept = [
        row for row, item in enumerate(old) if item.case.upload.video_id not in anew and item.case.case_id not in anew
    ]
    rng = np.random.default_rng(seed)
    room = max(at_most - len(kept), int(NEWS_SHARE * at_most))
    news = sorted((first if first is not None else rng.permutation(len(new)).tolist())[:room])
    turn = np.array([not judges(old[row].case) for row in kept], np.int64)
    categories = [old[row].case.category for row in kept]
    replayed = sample_with_rare(categories, at_most=at_most - len(news), rng=rng, turn_N=turn)
    chosen = [*(Chosen(0, kept[row]) for row in replayed.tolist()), *(Chosen(1, row) for row in news)]
    found = {(old, new)[side][row].case.category for side, row in chosen}
    if len(found) < 2:
        only = next(iter(found)).value
        raise BadInputError(f"{len(chosen)} cases, all {only}: a refresh needs at least two categories")
    return chosen


def most_telling(asked: Sequence[Asked]) -> list[int]:
    """Rows of the new cases: what the deployed policy got wrong, then by how near its line they were."""
    return sorted(range(len(asked)), key=lambda row: (not asked[row].wrong, asked[row].distance, row))


def share_of_traffic(asked: Iterable[Asked], parents: float) -> float:
    """The share of violative videos of the traffic, each case that the audit drew weighed by 1 / `audited`.

    By the ratio estimator of Horvitz and Thompson's totals (Hajek 1971): what was opened for a reason alone says
    nothing of the rest. With fewer than `FEWEST_AUDITED` audited cases the parent's share stays.
    """
    drawn = [one for one in asked if one.audited > 0.0]
    if len(drawn) < FEWEST_AUDITED:
        return parents
    weights = np.array([1.0 / one.audited for one in drawn])
    violative = np.array([one.ruled is not Category.POSITIVE for one in drawn])
    return float(np.clip((weights * violative).sum() / weights.sum(), 0.001, 0.999))


def refuse_contradictions(new: Sequence[Evidence]) -> None:
    """Raise `BadInputError` where one video or case has two rulings."""
    for name, ids in (
        ("video_id", [item.case.upload.video_id for item in new]),
        ("case_id", [item.case.case_id for item in new]),
    ):
        twice = [identity for identity, count in Counter(ids).items() if count > 1]
        if twice:
            said = [item.case.category.value for item, i in zip(new, ids, strict=True) if i == twice[0]]
            raise BadInputError(f"{name} == {twice[0]!r} is ruled {' and '.join(said)}, must have one ruling in force")
