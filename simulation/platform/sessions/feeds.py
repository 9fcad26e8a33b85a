"""Sessions in, what each shows out: candidates from the day's shelf, ordered by a ranker that is handed in.

The platform removes what was ruled violative from every feed; all else is the ranker's.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from simulation.platform import chance
from simulation.platform.chance import Purpose
from simulation.platform.sessions.opening import NO_TARGET, Sessions
from simulation.platform.settings import PlatformSettings
from simulation.platform.videos import Shelf, Videos
from simulation.platform.viewers import Viewers


@dataclass(frozen=True, slots=True)
class Feed:
    """What a ranker may know of S sessions with C candidates each.

    relevance_S_C: float32 in [0, 1], the recommender's guess. toxicity_S_C: float32, the feature as served, NaN where
    no verdict is known. tolerance_S: float32, the viewer's as known from what they rejected. arm_S: int8, `OUTSIDE`
    or the place of the variant.
    """

    relevance_S_C: npt.NDArray[np.float32]
    toxicity_S_C: npt.NDArray[np.float32]
    tolerance_S: npt.NDArray[np.float32]
    arm_S: npt.NDArray[np.int8]


class Ranker(Protocol):
    """Scores of the candidates, [S, C]: higher is shown first, -inf is not shown, NaN is refused."""

    def __call__(self, feed: Feed, /) -> npt.NDArray[np.floating]: ...


@dataclass(frozen=True, slots=True)
class Served:
    """What moderation says of M videos today.

    feature_A_M: float32, the toxicity feature as each arm reads it, NaN where no verdict is known; one row where all
    arms read the same. Who is outside the experiment reads the first. removed_M: hidden from everybody.
    release_A: whose scores they are, by arm as the features; the plan's release where nothing is said.
    """

    feature_A_M: npt.NDArray[np.float32]
    removed_M: npt.NDArray[np.bool_]
    release_A: tuple[int, ...] = ()

    def read(self, arm_S: npt.NDArray[np.int8], video_S_K: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """The feature of K videos in each of S sessions: float32 [S, K]."""
        if len(self.feature_A_M) == 1:
            return self.feature_A_M[0][video_S_K]
        return self.feature_A_M[np.maximum(arm_S, 0)[:, None], video_S_K]


@dataclass(frozen=True, slots=True)
class Shelved:
    """What is on offer today: the shelf, and what moderation says of what lies on it."""

    shelf: Shelf
    served: Served


@dataclass(frozen=True, slots=True)
class Page:
    """Up to K videos of each of S sessions, best first.

    video_S_K: int32. relevance_S_K: float32, as the viewer finds it. there_S_K: whether the place is filled.
    """

    video_S_K: npt.NDArray[np.int32]
    relevance_S_K: npt.NDArray[np.float32]
    there_S_K: npt.NDArray[np.bool_]


def fill_pages(
    sessions: Sessions,
    viewers: Viewers,
    known_tolerance_N: npt.NDArray[np.float32],
    videos: Videos,
    today: Shelved,
    ranker: Ranker,
    settings: PlatformSettings,
    *,
    day: int,
    seed: int,
) -> Page:
    """Draw each session's candidates, have them ranked, and keep the first `page`."""
    n_candidates = settings.candidates
    drawn = chance.fan(chance.keys(seed, Purpose.CANDIDATES, day, sessions.viewer_S, sessions.slot_S), n_candidates)
    depth = today.shelf.video_C_L.shape[1]
    places = (drawn & np.uint64(0xFFFFFFFF)) * np.uint64(depth) >> np.uint64(32)
    places += np.arange(n_candidates, dtype=np.uint64) * np.uint64(depth)
    video = today.shelf.video_C_L.ravel()[places]
    striking = np.flatnonzero(sessions.target_S != NO_TARGET)
    target = sessions.target_S[striking]
    doubled = video[striking] == target[:, None]
    video[striking, 0], doubled[:, 0] = target, False

    weight = np.float32(settings.watching.taste_weight)
    taste = viewers.taste_N_T[sessions.viewer_S[:, None], videos.topic_M[video]]
    relevance = weight * taste + (1 - weight) * videos.appeal_M[video]
    error = (2 * chance.uniforms(drawn) - 1) * np.float32(settings.watching.guess_spread)
    guess = np.clip(relevance + error, 0.0, 1.0)
    served = today.served.read(sessions.arm_S, video)
    feed = Feed(guess, served, known_tolerance_N[sessions.viewer_S], sessions.arm_S)
    score = np.array(ranker(feed), np.float32)
    if score.shape != video.shape or bool(np.isnan(score).any()):
        raise BadInputError(f"ranker gave scores of shape {score.shape}, must be {video.shape} without NaN")
    score[striking] = np.where(doubled, -np.inf, score[striking])
    score[striking, 0] = np.inf  # followed a link, whatever the ranker thinks
    score[today.served.removed_M[video]] = -np.inf

    best = np.argsort(-score, axis=1)[:, : settings.page]
    rows = np.arange(len(sessions))[:, None]
    return Page(video[rows, best], relevance[rows, best], score[rows, best] > -np.inf)
