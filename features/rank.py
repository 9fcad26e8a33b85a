"""Candidates and their features in, one ordered list out: toxic videos lower, the more so for who minds them.

    score = relevance * exp(-strength * sensitivity * toxicity) * factor of the decision

with `sensitivity = max(least_sensitivity, 1 - tolerance)`. So a toxicity of 1 divides the relevance by
e^strength for a viewer who tolerates none of it. Pure: no clock, no store, no chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.verdicts import Decision
from features.lookup import DECISIONS, AuthorFeatures, Freshness, VideoFeatures, ViewerFeatures

_REMOVE = DECISIONS.index(Decision.REMOVE)
_REVIEW = DECISIONS.index(Decision.REVIEW)
_DEMOTE = DECISIONS.index(Decision.DEMOTE)


@dataclass(frozen=True, slots=True)
class Candidates:
    """N videos and how relevant the recommender finds each: finite, 0 or more, higher is better."""

    video_ids: tuple[str, ...]
    relevance_N: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.relevance_N.shape != (len(self.video_ids),):
            msg = f"relevance_N.shape == {self.relevance_N.shape}, must be ({len(self.video_ids)},)"
            raise BadInputError(msg)
        broken = ~(np.isfinite(self.relevance_N) & (self.relevance_N >= 0))
        if broken.any():
            place = int(broken.argmax())
            msg = (
                f"relevance == {self.relevance_N[place]}, must be finite and 0 or more "
                f"(candidate {self.video_ids[place]!r})"
            )
            raise BadInputError(msg)


@dataclass(frozen=True, slots=True)
class RankPolicy:
    """How toxicity moves a list.

    unknown: a video without a verdict is ranked as if its toxicity were the violative share of its author,
    where that is fresh, and `unknown_toxicity` otherwise; or it is dropped.
    expired: a verdict out of date is ranked as the worse of what it said and what an unknown video gets
    (`cautious`), as if it were fresh (`trust`), or dropped. A removal stays in force in any case.
    review: a video that waits for a reviewer is kept as it is, demoted like a `demote`, or dropped.
    """

    strength: float = 4.0
    least_sensitivity: float = 0.25
    demoted_factor: float = 0.5
    review: Literal["keep", "demote", "drop"] = "demote"
    unknown: Literal["rank", "drop"] = "rank"
    unknown_toxicity: float = 0.2
    expired: Literal["cautious", "trust", "drop"] = "cautious"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.strength) and self.strength >= 0):
            msg = f"strength == {self.strength}, must be finite and 0 or more"
            raise BadInputError(msg)
        for name in ("least_sensitivity", "demoted_factor", "unknown_toxicity"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                msg = f"{name} == {getattr(self, name)}, must be in [0, 1]"
                raise BadInputError(msg)


@dataclass(frozen=True, slots=True)
class Ranked:
    """K of the N candidates, best first, and the ids of those dropped.

    order_K: int64, place of each among the candidates; scores_K: float64; toxicity_K: float64, as ranked by.
    """

    video_ids: tuple[str, ...]
    order_K: npt.NDArray[np.int64]
    scores_K: npt.NDArray[np.float64]
    toxicity_K: npt.NDArray[np.float64]
    dropped: tuple[str, ...]


DEFAULT_POLICY = RankPolicy()


def rank(
    candidates: Candidates,
    features: VideoFeatures,
    viewer: ViewerFeatures,
    policy: RankPolicy = DEFAULT_POLICY,
    *,
    authors: AuthorFeatures | None = None,
) -> Ranked:
    """Order candidates for a viewer; `features` and `authors` lie in the candidates' order.

    Equal scores are ordered by video id, so the result does not depend on the order of the candidates.
    """
    _check_aligned("features", features.video_ids, candidates)
    if authors is not None and len(authors.author_ids) != len(candidates.video_ids):
        msg = f"authors of {len(authors.author_ids)} videos, must be of {len(candidates.video_ids)}"
        raise BadInputError(msg)
    unknown = features.state_N == Freshness.UNKNOWN
    expired = features.state_N == Freshness.EXPIRED
    toxicity = _toxicity(features, policy, authors)

    dropped = features.decision_N == _REMOVE
    demoted = features.decision_N == _DEMOTE
    in_review = features.decision_N == _REVIEW
    if policy.review == "drop":
        dropped = dropped | in_review
    elif policy.review == "demote":
        demoted = demoted | in_review
    if policy.unknown == "drop":
        dropped = dropped | unknown
    if policy.expired == "drop":
        dropped = dropped | expired

    sensitivity = max(policy.least_sensitivity, 1.0 - viewer.tolerance)
    factor = np.where(demoted, policy.demoted_factor, 1.0)
    scores = candidates.relevance_N * np.exp(-policy.strength * sensitivity * toxicity) * factor
    return _ordered(candidates.video_ids, scores, toxicity, dropped)


def _toxicity(features: VideoFeatures, policy: RankPolicy, authors: AuthorFeatures | None) -> npt.NDArray[np.float64]:
    prior = np.full(len(features), policy.unknown_toxicity)
    if authors is not None:
        prior = np.where(authors.state_N == Freshness.FRESH, authors.violative_share_N, prior)
    said = np.where(np.isfinite(features.toxicity_N), features.toxicity_N, prior).astype(np.float64)
    toxicity = np.where(features.state_N == Freshness.UNKNOWN, prior, said)
    if policy.expired == "cautious":
        toxicity = np.where(features.state_N == Freshness.EXPIRED, np.maximum(said, prior), toxicity)
    return toxicity


def _ordered(
    video_ids: Sequence[str],
    scores: npt.NDArray[np.float64],
    toxicity: npt.NDArray[np.float64],
    dropped: npt.NDArray[np.bool_],
) -> Ranked:
    kept = np.flatnonzero(~dropped).astype(np.int64)
    ids = np.array([video_ids[int(i)] for i in kept], dtype=np.str_)
    order = kept[np.lexsort((ids, -scores[kept]))]
    return Ranked(
        video_ids=tuple(video_ids[int(i)] for i in order),
        order_K=order,
        scores_K=scores[order],
        toxicity_K=toxicity[order],
        dropped=tuple(video_ids[int(i)] for i in np.flatnonzero(dropped)),
    )


def _check_aligned(what: str, ids: tuple[str, ...], candidates: Candidates) -> None:
    if ids != candidates.video_ids:
        msg = f"{what} of {len(ids)} videos, must be those of the {len(candidates.video_ids)} candidates, in order"
        raise BadInputError(msg)
