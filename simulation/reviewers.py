"""Cases and what is true in, rulings out: reviewers who manage so many a day, most harmful first, and who err.

A wrong ruling is a plausible one: a violative video passes as positive, or is given a category of its group; a good
one is taken for what it speaks of. Whether they err depends on the seed and the case alone, so that whoever asks again
gets the same ruling.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import numpy as np

from contracts.cases import CaseOpened, Ruling
from contracts.errors import BadInputError
from contracts.taxonomy import VIOLATIVE, Category

SHARE_PASSED = 0.5
"""Of the wrong rulings on violative videos, those that find nothing; the others find another category of the group."""


@dataclass(frozen=True, slots=True)
class Reviewers:
    """How many there are, how many cases they rule on in a day together, which share of their rulings is wrong."""

    seed: int = 0
    wrong: float = 0.08
    rulings_a_day: int = 240
    number: int = 6

    def __post_init__(self) -> None:
        if self.rulings_a_day < 0 or self.number < 1 or not 0.0 <= self.wrong <= 1.0:
            given = f"rulings_a_day == {self.rulings_a_day}, number == {self.number}, wrong == {self.wrong}"
            raise BadInputError(f"{given}, must be at least 0, at least 1, and in [0, 1] (Reviewers)")

    def __call__(self, case_id: str, truth: Category, /, about: Category | None = None) -> Category:
        """What they find of a case: mostly the truth; `about` is what a good video is taken for, if known."""
        rng = self._chance(case_id)
        if rng.random() >= self.wrong:
            return truth
        if truth is Category.POSITIVE:
            return about or VIOLATIVE[int(rng.integers(len(VIOLATIVE)))]
        kin = [one for one in VIOLATIVE if one.group is truth.group and one is not truth]
        passed = rng.random() < SHARE_PASSED
        return Category.POSITIVE if passed or not kin else kin[int(rng.integers(len(kin)))]

    def rule(self, case: CaseOpened, truth: Category, *, now: datetime, about: Category | None = None) -> Ruling:
        """A person's ruling on a case, with the id that the docket's rulings have."""
        ruled_by = f"reviewer-{1 + int(self._chance(f'who/{case.case_id}').integers(self.number))}"
        digest = hashlib.blake2b(f"{case.case_id}/{ruled_by}/{now.isoformat()}".encode(), digest_size=8).hexdigest()
        return Ruling(
            event_id=f"ruling-{digest}",
            case_id=case.case_id,
            video_id=case.video_id,
            ruled_at=now,
            ruled_by=ruled_by,
            by="person",
            category=self(case.case_id, truth, about),
        )

    def days_work(self, by_priority: Iterable[CaseOpened]) -> list[CaseOpened]:
        """The cases that are ruled on today, of all that wait, most harmful first."""
        return list(islice(by_priority, self.rulings_a_day))

    def _chance(self, what: str) -> np.random.Generator:
        digest = hashlib.blake2b(f"{self.seed}/{what}".encode(), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(digest, "big"))
