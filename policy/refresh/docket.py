"""What a refresh reads of the docket: rulings in force, their frozen frames, and what the deployed policy had said."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from policy.publication.precedents import Decided
from policy.refresh.mining import Asked


class Rulings(Protocol):
    """The part of the docket that a refresh reads."""

    def decided(self) -> Sequence[Decided]: ...

    def frames(self, digest: str) -> npt.NDArray[np.uint8]: ...

    def erased(self) -> set[str]: ...


def asked_of(one: Decided, *, line: float) -> Asked:
    """What was said of a ruled case when it opened, and how far from the toxicity line."""
    opened, ruling = one.opened, one.ruling
    return Asked(
        case_id=opened.case_id,
        reason=opened.reason,
        audited=one.audited,
        said=None if opened.evidence is None else opened.evidence.category,
        ruled=ruling.category,
        distance=abs(opened.toxicity - line),
    )
