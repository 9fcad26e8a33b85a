"""Who reported what and when in, who reports together out: a crowd that moves as one counts as one.

Two reporters are neighbours when they reported several of the same videos within a short time, and these are a fair
share of all that they reported. A report then weighs its reporter's reliability divided by one more than the number of
neighbours who reported the same video: n copies of one reporter weigh as one. That is how families of alike sequences
are weighted (Morcos et al., PNAS 2011, SI, eq. 1 f.: w = 1 / |neighbours, oneself included|, and the effective number
is the sum of the w). Nobody's weight falls by what strangers do, so a brigade cannot shield a video by reporting it.

Videos that were ruled violative bind nobody: who agrees on what is true need not have talked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from policy.cases.reliability import UNKNOWN
from warehouse.feedback import VideoFeedback

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 1_024
"""Rows of a product that are held at once: of reporters against reporters, of videos against reporters."""


@dataclass(frozen=True, slots=True)
class CoordinationSettings:
    """When two reporters are neighbours, and when neighbours are a brigade.

    together_within: reports of a video in the same stretch of this length are made together.
    fewest_shared: videos that two must have reported together; one may be the case at hand, so three others bind.
    least_overlap: and the least share of what they reported, over the geometric mean of both their numbers.
    fewest_members: neighbours of neighbours from so many on are named as a brigade.
    """

    together_within: timedelta = timedelta(days=1)
    fewest_shared: int = 4
    least_overlap: float = 0.1
    fewest_members: int = 5

    def __post_init__(self) -> None:
        if self.together_within <= timedelta(0):
            raise BadInputError(f"together_within == {self.together_within}, must be longer than 0")
        if self.fewest_shared < 1 or self.fewest_members < 2:
            rule = "must be at least 1 and 2"
            raise BadInputError(
                f"fewest_shared == {self.fewest_shared}, fewest_members == {self.fewest_members}, {rule}"
            )
        if not 0.0 <= self.least_overlap <= 1.0:
            raise BadInputError(f"least_overlap == {self.least_overlap}, must be in [0, 1]")


class WeighedReports(NamedTuple):
    """A video's reports as they weigh: `coordinated` of its reporters have neighbours among the others.

    weight: of all. coordinated_weight: the part of it that comes from those with neighbours.
    """

    video_id: str
    impressions: int
    reporters: int
    coordinated: int
    weight: float
    coordinated_weight: float = 0.0


class Brigade(NamedTuple):
    """Reporters who report together, to be looked at themselves, and how many videos two or more of them reported."""

    members: tuple[str, ...]
    videos: int


class Weighing(NamedTuple):
    """What a window's reports weigh, in the videos' order, and the brigades among the reporters, largest first."""

    videos: list[WeighedReports]
    brigades: list[Brigade]


DEFAULT_COORDINATION = CoordinationSettings()


def weigh_reports(
    videos: Sequence[VideoFeedback],
    reliability_of: Mapping[str, float],
    settings: CoordinationSettings = DEFAULT_COORDINATION,
) -> Weighing:
    """Weigh each video's reports by their reporters' reliability and independence; who is not named is `UNKNOWN`.

    All videos of the window must be given at once: neighbours are found across them. Work grows with the sum over
    videos of their reporters squared, those with fewer than `fewest_shared` reports left out; memory with the
    neighbours. 1,000 reporters of the same 1,000 videos are a matter of seconds.
    """
    names = sorted({report.reporter_id for video in videos for report in video.reports})
    if not names:
        return Weighing([WeighedReports(v.video_id, v.impressions, 0, 0, 0.0) for v in videos], [])
    row_of = {name: row for row, name in enumerate(names)}
    trust_R = np.array([reliability_of.get(name, UNKNOWN) for name in names])
    video_N = np.repeat(np.arange(len(videos)), [len(v.reports) for v in videos])
    reporter_N = np.array([row_of[report.reporter_id] for v in videos for report in v.reports])
    stretch_N = np.array(
        [(report.reported_at - _EPOCH) // settings.together_within for v in videos for report in v.reports]
    )
    binds_N = np.array([v.ruled in {None, Category.POSITIVE} for v in videos])[video_N]

    near_R_R = _neighbours(reporter_N[binds_N], video_N[binds_N], stretch_N[binds_N], len(names), settings)
    others_N = _neighbours_on_video(video_N, reporter_N, near_R_R, len(videos))
    weight_N, bound_N = trust_R[reporter_N] / (1.0 + others_N), others_N > 0
    weight_V = np.bincount(video_N, weights=weight_N, minlength=len(videos))
    coordinated_V = np.bincount(video_N, weights=bound_N, minlength=len(videos))
    coordinated_weight_V = np.bincount(video_N, weights=weight_N * bound_N, minlength=len(videos))
    weighed = [
        WeighedReports(v.video_id, v.impressions, len(v.reports), int(coordinated), float(weight), float(of_them))
        for v, coordinated, weight, of_them in zip(videos, coordinated_V, weight_V, coordinated_weight_V, strict=True)
    ]
    return Weighing(weighed, _brigades(near_R_R, names, video_N, reporter_N, settings))


def _neighbours(
    reporter_N: npt.NDArray[np.int64],
    video_N: npt.NDArray[np.int64],
    stretch_N: npt.NDArray[np.int64],
    n_reporters: int,
    settings: CoordinationSettings,
) -> Any:
    """Which of R reporters are neighbours: sparse float32 [R, R] of ones, symmetric, with an empty diagonal."""
    if not len(video_N):
        return sparse.csr_array((n_reporters, n_reporters), dtype=np.float32)
    tokens, token_N = np.unique(video_N * (np.ptp(stretch_N) + 1) + stretch_N, return_inverse=True)
    ones = np.ones(len(token_N), np.float32)
    said_R_T = sparse.csr_array((ones, (reporter_N, token_N)), shape=(n_reporters, len(tokens)))
    size_R = np.bincount(reporter_N, minlength=n_reporters)
    able = np.flatnonzero(size_R >= settings.fewest_shared)
    said, size = said_R_T[able], size_R[able]
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(able), _AT_ONCE):
        shared = (said[start : start + _AT_ONCE] @ said.T).tocoo()
        one, other = shared.row + start, shared.col
        least = np.maximum(settings.fewest_shared, settings.least_overlap * np.sqrt(size[one] * size[other]))
        near = (shared.data >= least) & (one != other)
        rows.append(able[one[near]])
        columns.append(able[other[near]])
    row, column = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_array((np.ones(len(row), np.float32), (row, column)), shape=(n_reporters, n_reporters))


def _neighbours_on_video(
    video_N: npt.NDArray[np.int64], reporter_N: npt.NDArray[np.int64], near_R_R: Any, n_videos: int
) -> npt.NDArray[np.float64]:
    """For each of N reports, by video, how many of its reporter's neighbours reported the same video: float64 [N]."""
    found = np.zeros(len(video_N))
    with_any = np.diff(near_R_R.indptr)[reporter_N] > 0
    video, reporter = video_N[with_any], reporter_N[with_any]
    shape = (n_videos, near_R_R.shape[0])
    said_V_R = sparse.csr_array((np.ones(len(video), np.float32), (video, reporter)), shape=shape)
    counts = np.zeros(len(video))
    for start in range(0, n_videos, _AT_ONCE):
        here = (video >= start) & (video < start + _AT_ONCE)
        if here.any():
            near = said_V_R[start : start + _AT_ONCE] @ near_R_R
            counts[here] = near[video[here] - start, reporter[here]]
    found[with_any] = counts
    return found


def _brigades(
    near_R_R: Any,
    names: Sequence[str],
    video_N: npt.NDArray[np.int64],
    reporter_N: npt.NDArray[np.int64],
    settings: CoordinationSettings,
) -> list[Brigade]:
    _, group_R = sparse.csgraph.connected_components(near_R_R, directed=False)
    found = []
    for group in np.flatnonzero(np.bincount(group_R) >= settings.fewest_members):
        reports_V = np.bincount(video_N[group_R[reporter_N] == group])
        members = tuple(names[row] for row in np.flatnonzero(group_R == group).tolist())
        found.append(Brigade(members, int((reports_V > 1).sum())))
    return sorted(found, key=lambda brigade: (-len(brigade.members), brigade.members))
