"""Ids in, columns out, each row marked fresh, expired or unknown: what a ranker reads of its candidates.

`lookup` raises while the store is away; a recommender reads through `features.steady`, which does not.

Read straight from the store (`features.online.readers`): for 200 candidates the messages that Feast's own read builds
cost more than the reading. A test holds the two to the same values. Feast enforces no time-to-live online, so the times
are checked here.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.errors import DependencyError
from contracts.histories import REJECTION_PRIOR, REPORT_PRIOR, smoothed_share
from contracts.taxonomy import CATEGORIES, N_CATEGORIES, TAXONOMY_VERSION
from contracts.verdicts import Decision
from features.online.columns import Columns
from features.store import OpenStore
from features.views import AUTHOR_HISTORY, VIDEO_TOXICITY, VIEWER_SENSITIVITY, View

DECISIONS: tuple[Decision, ...] = tuple(Decision)
HISTORY_LIFETIME = timedelta(days=30)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECISION_CODES: dict[str, int] = {decision.value: code for code, decision in enumerate(DECISIONS)}
_CATEGORY_CODES: dict[str, int] = {category.value: code for code, category in enumerate(CATEGORIES)}


class Freshness(IntEnum):
    """Whether a row may be believed: never seen, seen but out of date, up to date; or whether nobody could say."""

    UNKNOWN = 0
    EXPIRED = 1
    FRESH = 2
    UNAVAILABLE = 3


@dataclass(frozen=True, slots=True)
class VideoFeatures:
    """Toxicity features of N videos, in the order asked for.

    state_N: int8, a `Freshness`. A verdict under another taxonomy than ours reads as expired.
    probabilities_N_16, toxicity_N: float32, NaN where unknown.
    decision_N, category_N: int8, index into `DECISIONS` and `CATEGORIES`, -1 where unknown.
    release_version_N, casebook_version_N: int64, 0 where unknown.
    age_s_N: float64, seconds since the verdict was scored, NaN where unknown, negative if scored after `now`.
    expires_in_s_N: float64, seconds left, NaN where unknown.
    occurred_us_N: int64, microseconds since 1970 of the version of the video that was judged, 0 where unknown.
    candidate_toxicity_N, candidate_decision_N, candidate_release_version_N: what a release that was tried beside the
    live one said, as the columns of the live one; NaN, -1 and 0 where there was none.
    leaf_N: ids of accepted leaves of the grown taxonomy, "" where there is none.
    """

    video_ids: tuple[str, ...]
    state_N: npt.NDArray[np.int8]
    probabilities_N_16: npt.NDArray[np.float32]
    toxicity_N: npt.NDArray[np.float32]
    decision_N: npt.NDArray[np.int8]
    category_N: npt.NDArray[np.int8]
    release_version_N: npt.NDArray[np.int64]
    casebook_version_N: npt.NDArray[np.int64]
    age_s_N: npt.NDArray[np.float64]
    expires_in_s_N: npt.NDArray[np.float64]
    occurred_us_N: npt.NDArray[np.int64]
    candidate_toxicity_N: npt.NDArray[np.float32]
    candidate_decision_N: npt.NDArray[np.int8]
    candidate_release_version_N: npt.NDArray[np.int64]
    leaf_N: tuple[str, ...]

    @classmethod
    def unavailable(cls, video_ids: Sequence[str]) -> "VideoFeatures":
        """What is known of N videos while the online store is away: nothing."""
        n = len(video_ids)
        nothing = Columns.empty(VIDEO_TOXICITY, n)
        found = _of_columns(nothing, video_ids, _EPOCH)
        return replace(found, state_N=np.full(n, Freshness.UNAVAILABLE, np.int8))

    def __len__(self) -> int:
        return len(self.video_ids)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One record per video, in plain values: for people and for JSON."""
        return [self._to_dict(i) for i in range(len(self))]

    def _to_dict(self, i: int) -> dict[str, Any]:
        state = Freshness(self.state_N[i])
        record: dict[str, Any] = {"video_id": self.video_ids[i], "state": state.name.lower()}
        if state in {Freshness.UNKNOWN, Freshness.UNAVAILABLE}:
            return record
        candidate = {
            "release_version": int(self.candidate_release_version_N[i]),
            "toxicity": round(float(self.candidate_toxicity_N[i]), 6),
            "decision": DECISIONS[self.candidate_decision_N[i]].value,
        }
        return record | {
            "toxicity": round(float(self.toxicity_N[i]), 6),
            "decision": DECISIONS[self.decision_N[i]].value if self.decision_N[i] >= 0 else None,
            "category": CATEGORIES[self.category_N[i]].value if self.category_N[i] >= 0 else None,
            "leaf": self.leaf_N[i] or None,
            "release_version": int(self.release_version_N[i]),
            "casebook_version": int(self.casebook_version_N[i]),
            "age_s": round(float(self.age_s_N[i]), 3),
            "expires_in_s": round(float(self.expires_in_s_N[i]), 3),
            "occurred_at": (_EPOCH + timedelta(microseconds=int(self.occurred_us_N[i]))).isoformat(),
            "probabilities": {
                category.value: round(float(probability), 6)
                for category, probability in zip(CATEGORIES, self.probabilities_N_16[i], strict=True)
                if np.isfinite(probability)
            },
            "candidate": candidate if self.candidate_decision_N[i] >= 0 else None,
        }


@dataclass(frozen=True, slots=True)
class AuthorFeatures:
    """Histories of N authors: state_N int8 `Freshness`, violative_share_N float32 (NaN unknown), counts int64."""

    author_ids: tuple[str, ...]
    state_N: npt.NDArray[np.int8]
    violative_share_N: npt.NDArray[np.float32]
    verdicts_N: npt.NDArray[np.int64]
    removed_N: npt.NDArray[np.int64]
    last_removed_s_N: npt.NDArray[np.int64]

    @classmethod
    def unavailable(cls, author_ids: Sequence[str]) -> "AuthorFeatures":
        """What is known of N authors while the online store is away: nothing."""
        n = len(author_ids)
        state = np.full(n, Freshness.UNAVAILABLE, np.int8)
        return cls(tuple(author_ids), state, np.full(n, np.nan, np.float32), *np.zeros((3, n), np.int64))


@dataclass(frozen=True, slots=True)
class ViewerFeatures:
    """How one viewer meets toxic videos; an unknown viewer has the population's shares."""

    user_id: str
    state: Freshness
    tolerance: float
    report_rate: float
    toxic_skip_rate: float

    @classmethod
    def unknown(cls, user_id: str) -> "ViewerFeatures":
        rejection = smoothed_share(0, 0, REJECTION_PRIOR)
        return cls(
            user_id=user_id,
            state=Freshness.UNKNOWN,
            tolerance=1.0 - rejection,
            report_rate=smoothed_share(0, 0, REPORT_PRIOR),
            toxic_skip_rate=rejection,
        )

    @classmethod
    def unavailable(cls, user_id: str) -> "ViewerFeatures":
        """What a viewer is taken for while the online store is away: anybody."""
        return replace(cls.unknown(user_id), state=Freshness.UNAVAILABLE)


def lookup(store: OpenStore, video_ids: Sequence[str], now: datetime) -> VideoFeatures:
    """Toxicity features of N videos at `now`; raises `DependencyError` when the online store cannot be read."""
    return _of_columns(store.reader.read(VIDEO_TOXICITY, video_ids), video_ids, now)


def _of_columns(found: Columns, video_ids: Sequence[str], now: datetime) -> VideoFeatures:
    values, known = found.values, found.known_N
    now_s = now.timestamp()

    # One assignment per column: an assignment per value would take longer than the reading.
    def column(kind: type[np.generic], unknown: float, given: Any) -> npt.NDArray[Any]:
        filled = np.full(len(video_ids), unknown, kind)
        filled[known] = given
        return filled

    expires_s = column(np.float64, np.nan, values["expires_at"])
    scored_s = column(np.float64, np.nan, values["scored_at"])
    ours = column(np.bool_, False, [version == TAXONOMY_VERSION for version in values["taxonomy_version"]])
    state = np.where(known, np.int8(Freshness.EXPIRED), np.int8(Freshness.UNKNOWN))
    state[ours & (expires_s > now_s)] = Freshness.FRESH
    probabilities = np.full((len(video_ids), N_CATEGORIES), np.nan, np.float32)
    probabilities[known] = values["probabilities"]
    tried = column(np.int8, -1, [_DECISION_CODES.get(said, -1) for said in values["candidate_decision"]])
    # A number that is missing reads as 0: only the decision says whether a candidate was asked.
    tried_toxicity = column(np.float32, np.nan, values["candidate_toxicity"])
    tried_toxicity[tried < 0] = np.nan
    leaves = iter(values["leaf"])
    return VideoFeatures(
        video_ids=tuple(video_ids),
        state_N=state,
        probabilities_N_16=probabilities,
        toxicity_N=column(np.float32, np.nan, values["toxicity"]),
        decision_N=column(np.int8, -1, [_DECISION_CODES.get(said, -1) for said in values["decision"]]),
        category_N=column(np.int8, -1, [_CATEGORY_CODES.get(said, -1) for said in values["category"]]),
        release_version_N=column(np.int64, 0, values["release_version"]),
        casebook_version_N=column(np.int64, 0, values["casebook_version"]),
        age_s_N=now_s - scored_s,
        expires_in_s_N=expires_s - now_s,
        occurred_us_N=column(np.int64, 0, found.event_us_K),
        candidate_toxicity_N=tried_toxicity,
        candidate_decision_N=tried,
        candidate_release_version_N=column(np.int64, 0, values["candidate_release_version"]),
        leaf_N=tuple([next(leaves) if there else "" for there in known.tolist()]),
    )


def lookup_authors(
    store: OpenStore, author_ids: Sequence[str], now: datetime, *, lifetime: timedelta = HISTORY_LIFETIME
) -> AuthorFeatures:
    """Histories of N authors; one that ends longer than `lifetime` ago is expired."""
    found = store.reader.read(AUTHOR_HISTORY, author_ids)
    n, known, values = len(author_ids), found.known_N, found.values
    state = np.zeros(n, np.int8)
    share = np.full(n, np.nan, np.float32)
    counts = np.zeros((3, n), np.int64)
    state[known] = [_history_state(at, now, lifetime) for at in found.event_us_K]
    share[known] = values["violative_share"]
    counts[:, known] = values["verdicts"], values["removed"], values["last_removed_at"]
    return AuthorFeatures(tuple(author_ids), state, share, *counts)


def _history_state(as_of_us: int, now: datetime, lifetime: timedelta) -> Freshness:
    return Freshness.FRESH if now - (_EPOCH + timedelta(microseconds=as_of_us)) < lifetime else Freshness.EXPIRED


def lookup_viewer(
    store: OpenStore, user_id: str, now: datetime, *, lifetime: timedelta = HISTORY_LIFETIME
) -> ViewerFeatures:
    """A viewer's sensitivity; one of whom nothing is known, or only what is out of date, is like any other."""
    found = store.reader.read(VIEWER_SENSITIVITY, [user_id])
    if not found.event_us_K or _history_state(found.event_us_K[0], now, lifetime) is not Freshness.FRESH:
        return ViewerFeatures.unknown(user_id)
    return ViewerFeatures(
        user_id=user_id,
        state=Freshness.FRESH,
        tolerance=float(found.values["tolerance"][0]),
        report_rate=float(found.values["report_rate"][0]),
        toxic_skip_rate=float(found.values["toxic_skip_rate"][0]),
    )


def warm_up(store: OpenStore, video_ids: Sequence[str], now: datetime, *, rounds: int = 20) -> None:
    """Look up a few times, then freeze what is alive, so that the collector does not walk Feast's objects.

    Without the freeze Python's full collections are the slowest lookups by far.
    """
    for _ in range(rounds):
        lookup(store, video_ids, now)
    gc.collect()
    gc.freeze()


def read_rows(store: OpenStore, view: View, ids: Sequence[str]) -> list[tuple[Any, Any]]:
    """The event time and `Value`s by name of each id as Feast itself reads them; None and None for an unknown one."""
    if not ids:
        return []
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    keys = [EntityKey(join_keys=[view.key], entity_values=[Value(string_val=one)]) for one in ids]
    try:
        # A list of its own each time: Feast's Redis store appends to it.
        return store.online.online_read(store.feast.config, store.views[view.name], keys, list(view.field_names))
    except _store_errors() as error:
        msg = f"online store {store.config.shown_online} cannot be read: {error}"
        raise DependencyError(msg) from error


def _store_errors() -> tuple[type[Exception], ...]:
    import sqlite3

    from redis.exceptions import RedisError

    return (sqlite3.Error, RedisError, OSError)
