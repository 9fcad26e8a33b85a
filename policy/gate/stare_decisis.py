"""Earlier rulings in; those that the parent upholds and the candidate would overturn out, by case id."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from policy.gate.judged import Judged


def upheld(judged: Judged, labels_N: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether a release finds of each case what was ruled: its category, or that it is positive."""
    return np.asarray(judged.category == labels_N, np.bool_)


def overturned(
    case_ids: Sequence[str], parent: Judged, candidate: Judged, labels_N: npt.NDArray[np.int64]
) -> tuple[str, ...]:
    """The rulings that the parent upholds and the candidate does not, in order."""
    lost = np.flatnonzero(upheld(parent, labels_N) & ~upheld(candidate, labels_N))
    return tuple(case_ids[row] for row in lost.tolist())


def overturned_refusal(lost: Sequence[str], n_upheld: int, *, at_most: float) -> str | None:
    """Why the candidate is refused: it overturns too large a share of what its parent upholds."""
    if len(lost) <= at_most * n_upheld:
        return None
    some = ", ".join(lost[:3])
    return (
        f"stare decisis: {len(lost)} of {n_upheld} upheld rulings overturned ({len(lost) / n_upheld:.1%}), must be at "
        f"most {at_most:.1%}; {some}{', ...' if len(lost) > 3 else ''}"
    )
