"""Candidates and their features in, one ordered list out: toxic videos lower, the more so for who minds them.

    score = relevance * exp(-strength * sensitivity * toxicity) * factor of the decision

with `sensitivity = max(least_sensitivity, 1 - tolerance)`. So a toxicity of 1 divides the relevance by
e^strength for a viewer who tolerates none of it. Pure: no clock, no store, no chance.

`rank` is for one viewer. `score` and `order` are the same arithmetic over arrays of any shape [..., N]: who ranks for
many viewers at once, a simulator or a batch job, calls these two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.verdicts import Decision
from features.lookup import DECISIONS, AuthorFeatures, Freshness, VideoFeatures, ViewerFeatures

_REMOVE = DECISIONS.index(Decision.REMOVE)
_REVIEW = DECISIONS.index(Decision.REVIEW)
_DEMOTE = DECISIONS.index(Decision.DEMOTE)


Decisions = Literal["live", "candidate"]
"""Whose decisions a viewer's arm obeys."""


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
    where that is fresh, and `unknown_toxicity` otherwise (`rank`: let through with a penalty); the same and demoted as
    well (`demote`); or held back until it has one (`drop`).
    unavailable: a video of which the store could not be asked, by the same three words. `drop` empties the list for as
    long as the store is away; `rank` lets through what was removed without this process having read of it.
    expired: a verdict out of date is ranked as the worse of what it said and what an unknown video gets
    (`cautious`), the same and demoted as well (`demote`), as if it were fresh (`trust`), or dropped. A removal stays in
    force in any case.
    review: a video that waits for a reviewer is kept as it is, demoted like a `demote`, or dropped.
    """

    strength: float = 4.0
    least_sensitivity: float = 0.25
    demoted_factor: float = 0.5
    review: Literal["keep", "demote", "drop"] = "demote"
    unknown: Literal["rank", "demote", "drop"] = "rank"
    unavailable: Literal["rank", "demote", "drop"] = "rank"
    unknown_toxicity: float = 0.2
    expired: Literal["cautious", "demote", "trust", "drop"] = "cautious"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.strength) and self.strength >= 0):
            msg = f"strength == {self.strength}, must be finite and 0 or more"
            raise BadInputError(msg)
        for name in ("least_sensitivity", "demoted_factor", "unknown_toxicity"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                msg = f"{name} == {getattr(self, name)}, must be in [0, 1]"
                raise BadInputError(msg)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                msg = f"{name} == {getattr(self, name)!r}, must be one of {', '.join(choices)}"
                raise BadInputError(msg)

    def overridden(self, ranking: Mapping[str, float | str], *, place: str) -> "RankPolicy":
        """The policy with some of its fields replaced by name, as a variant of an experiment asks for it.

        Raises `BadInputError` for a name that is no field, a value of another kind or out of range; `place` says in
        it whose override it is.
        """
        known = {field.name for field in fields(self)}
        for name, value in ranking.items():
            if name not in known:
                msg = f"ranking.{name} == {value!r}, must be one of {', '.join(sorted(known))} ({place})"
                raise BadInputError(msg)
            if isinstance(value, str) != (name in _CHOICES):
                kind = f"one of {', '.join(_CHOICES[name])}" if name in _CHOICES else "a number"
                msg = f"ranking.{name} == {value!r}, must be {kind} ({place})"
                raise BadInputError(msg)
        given: dict[str, Any] = dict(ranking)
        try:
            return replace(self, **given)
        except BadInputError as error:
            raise BadInputError(f"ranking.{error} ({place})") from error


_CHOICES: dict[str, tuple[str, ...]] = {
    name: get_args(kind) for name, kind in get_type_hints(RankPolicy).items() if get_args(kind)
}


@dataclass(frozen=True, slots=True)
class Ranked:
    """K of the N candidates, best first, and the ids of those dropped.

    order_K: int64, place of each among the candidates; scores_K: float64; toxicity_K: float64, as ranked by;
    release_version_K: int64, whose verdict that was, 0 where there was none.
    """

    video_ids: tuple[str, ...]
    order_K: npt.NDArray[np.int64]
    scores_K: npt.NDArray[np.float64]
    toxicity_K: npt.NDArray[np.float64]
    release_version_K: npt.NDArray[np.int64]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signals:
    """What the ranker reads of videos: arrays of one shape [..., N].

    state: int8 `Freshness`. toxicity: in [0, 1], NaN where unknown. decision: int8, index into `DECISIONS`, -1 where
    unknown. author_share: the violative share of the author where that is fresh, NaN where it is not; None for all.
    """

    state: npt.NDArray[np.int8]
    toxicity: npt.NDArray[np.floating[Any]]
    decision: npt.NDArray[np.int8]
    author_share: npt.NDArray[np.floating[Any]] | None = None

    @classmethod
    def of(cls, features: VideoFeatures, authors: AuthorFeatures | None = None) -> "Signals":
        """The signals of N looked up videos and, in their order, of their authors."""
        share = None
        if authors is not None:
            share = np.where(authors.state_N == Freshness.FRESH, authors.violative_share_N, np.nan)
        return cls(features.state_N, features.toxicity_N, features.decision_N, share)


@dataclass(frozen=True, slots=True)
class Scored:
    """Arrays of one shape [..., N]: scores and the toxicity they come from, float64; whom the policy drops, bool."""

    scores: npt.NDArray[np.float64]
    toxicity: npt.NDArray[np.float64]
    dropped: npt.NDArray[np.bool_]


DEFAULT_POLICY = RankPolicy()
_STATES = {Freshness.UNKNOWN: "unknown", Freshness.UNAVAILABLE: "unavailable", Freshness.EXPIRED: "expired"}
"""The field of a policy that says what becomes of videos in a state."""


def score(
    relevance: npt.NDArray[np.floating[Any]],
    signals: Signals,
    tolerance: float | npt.NDArray[np.floating[Any]],
    policy: RankPolicy = DEFAULT_POLICY,
) -> Scored:
    """Score videos for viewers: `relevance`, `signals` and `tolerance` broadcast against each other.

    For V viewers with N candidates each, relevance and signals are [V, N] and tolerance is [V, 1]; for V viewers of
    the same N candidates, the signals are [N].
    """
    toxicity = _toxicity(signals, policy)
    demoted = signals.decision == _DEMOTE
    in_review = signals.decision == _REVIEW
    dropped = signals.decision == _REMOVE
    if policy.review == "drop":
        dropped = dropped | in_review
    elif policy.review == "demote":
        demoted = demoted | in_review
    for state, said in _STATES.items():
        what = getattr(policy, said)
        if what == "drop":
            dropped = dropped | (signals.state == state)
        elif what == "demote":
            demoted = demoted | (signals.state == state)
    sensitivity = np.maximum(policy.least_sensitivity, 1.0 - np.asarray(tolerance, np.float64))
    factor = np.where(demoted, policy.demoted_factor, 1.0)
    scores = relevance.astype(np.float64) * np.exp(-policy.strength * sensitivity * toxicity) * factor
    return Scored(scores, np.broadcast_to(toxicity, scores.shape), np.broadcast_to(dropped, scores.shape))


def order(scored: Scored) -> npt.NDArray[np.int64]:
    """Places along the last axis, best first and the dropped last, int64 [..., N]; equal scores in the order given."""
    return np.argsort(np.where(scored.dropped, np.inf, -scored.scores), axis=-1, kind="stable")


def rank(
    candidates: Candidates,
    features: VideoFeatures,
    viewer: ViewerFeatures,
    policy: RankPolicy = DEFAULT_POLICY,
    *,
    authors: AuthorFeatures | None = None,
    decisions: Decisions = "live",
    candidate_release: int | None = None,
) -> Ranked:
    """Order candidates for a viewer; `features` and `authors` lie in the candidates' order.

    `decisions` says whose are obeyed, toxicity included: those of the live release, or of the candidate that is tried
    beside it, also where only one of the two removes (see `decided_by_candidate`). Equal scores are ordered
    by video id, so the result does not depend on the order of the candidates.
    """
    _check_aligned("features", features.video_ids, candidates)
    if authors is not None and len(authors.author_ids) != len(candidates.video_ids):
        msg = f"authors of {len(authors.author_ids)} videos, must be of {len(candidates.video_ids)}"
        raise BadInputError(msg)
    obeyed = features if decisions == "live" else decided_by_candidate(features, candidate_release)
    scored = score(candidates.relevance_N, Signals.of(obeyed, authors), viewer.tolerance, policy)
    by_id = np.argsort(np.array(candidates.video_ids, np.str_))
    in_order = Scored(scored.scores[by_id], scored.toxicity[by_id], scored.dropped[by_id])
    n_kept = len(by_id) - int(scored.dropped.sum())
    kept = by_id[order(in_order)[:n_kept]]
    return Ranked(
        video_ids=tuple(candidates.video_ids[i] for i in kept.tolist()),
        order_K=kept,
        scores_K=scored.scores[kept],
        toxicity_K=scored.toxicity[kept],
        release_version_K=obeyed.release_version_N[kept],
        dropped=tuple(candidates.video_ids[i] for i in np.flatnonzero(scored.dropped).tolist()),
    )


def decided_by_candidate(features: VideoFeatures, release: int | None = None) -> VideoFeatures:
    """The features of N videos as if the candidate's toxicity, decision and release were the live ones.

    A video of which the candidate said nothing keeps the live ones; so does one that another candidate judged than
    `release`, where that is given: verdicts live for days, and the pointer may name another candidate meanwhile.
    """
    tried = features.candidate_decision_N >= 0
    if release is not None:
        tried &= features.candidate_release_version_N == release
    return replace(
        features,
        toxicity_N=np.where(tried, features.candidate_toxicity_N, features.toxicity_N),
        decision_N=np.where(tried, features.candidate_decision_N, features.decision_N),
        release_version_N=np.where(tried, features.candidate_release_version_N, features.release_version_N),
    )


def _toxicity(signals: Signals, policy: RankPolicy) -> npt.NDArray[np.float64]:
    """What each video is ranked by: what its verdict said, what its author's record says, or the stated default."""
    share = signals.author_share
    prior = np.asarray(policy.unknown_toxicity, np.float64)
    if share is not None:
        prior = np.where(np.isnan(share), prior, share.astype(np.float64))
    seen = (signals.state == Freshness.FRESH) | (signals.state == Freshness.EXPIRED)
    known = np.isfinite(signals.toxicity) & seen
    toxicity = np.where(known, signals.toxicity.astype(np.float64), prior)
    if policy.expired in {"cautious", "demote"}:
        toxicity = np.where(signals.state == Freshness.EXPIRED, np.maximum(toxicity, prior), toxicity)
    return toxicity


def _check_aligned(what: str, ids: tuple[str, ...], candidates: Candidates) -> None:
    if ids != candidates.video_ids:
        msg = f"{what} of {len(ids)} videos, must be those of the {len(candidates.video_ids)} candidates, in order"
        raise BadInputError(msg)
