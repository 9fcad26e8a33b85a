"""A page in, what its viewer did out: how long each video was watched, what was reported, and when they left."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulation.platform import chance
from simulation.platform.chance import Purpose
from simulation.platform.sessions.feeds import Page
from simulation.platform.sessions.opening import NO_TARGET, Sessions
from simulation.platform.settings import PlatformSettings, WatchingSettings
from simulation.platform.videos import Videos
from simulation.platform.viewers import Viewers

Grid = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Watched:
    """What was done with a page, [S, K]: only places in `seen_S_K` were reached before the viewer left.

    fraction: share watched. excess: true toxicity above the viewer's tolerance. watch_ms: int32.
    """

    seen_S_K: npt.NDArray[np.bool_]
    fraction_S_K: Grid
    excess_S_K: Grid
    watch_ms_S_K: npt.NDArray[np.int32]
    reported_S_K: npt.NDArray[np.bool_]


def watch(
    page: Page,
    sessions: Sessions,
    viewers: Viewers,
    videos: Videos,
    settings: PlatformSettings,
    *,
    day: int,
    seed: int,
) -> Watched:
    """Live through the pages of S sessions."""
    n_places = page.video_S_K.shape[1]
    drawn = chance.fan(chance.keys(seed, Purpose.WATCH, day, sessions.viewer_S, sessions.slot_S), n_places)
    u_watch, u_report, u_leave = chance.three_uniforms(drawn)
    who = sessions.viewer_S
    toxicity = videos.toxicity_M[page.video_S_K]
    excess = np.maximum(toxicity - viewers.tolerance_N[who][:, None], np.float32(0))
    fraction = share_watched(page.relevance_S_K, excess, u_watch, settings.watching)
    reported = u_report < _report_chance(page, excess, sessions, viewers, videos, settings)
    leaves = u_leave < leave_chance(fraction, excess, settings.watching)
    left_before = np.cumsum(leaves, axis=1) > leaves
    seen: npt.NDArray[np.bool_] = page.there_S_K & ~left_before
    length_ms = videos.length_s_M[page.video_S_K] * np.float32(1000)
    return Watched(
        seen_S_K=seen,
        fraction_S_K=fraction,
        excess_S_K=excess,
        watch_ms_S_K=(fraction * length_ms).astype(np.int32),
        reported_S_K=reported & seen,
    )


def share_watched(relevance: Grid, excess: Grid, u: Grid, settings: WatchingSettings) -> Grid:
    """Share watched of a video: u^(1/m - 1), whose mean over uniform u is m; relevance and excess give m."""
    least = np.float32(settings.least_fraction)
    mean = (least + (1 - 2 * least) * relevance) * np.exp(np.float32(-settings.aversion) * excess)
    return u ** (1 / mean - 1)


def leave_chance(fraction: Grid, excess: Grid, settings: WatchingSettings) -> Grid:
    """Probability of leaving the session after a video."""
    bored = np.float32(settings.leave_bored) * (np.float32(0.5) - fraction)
    return np.float32(settings.leave) + bored + np.float32(settings.leave_upset) * excess


def _report_chance(
    page: Page, excess: Grid, sessions: Sessions, viewers: Viewers, videos: Videos, settings: PlatformSettings
) -> Grid:
    """Honest reports rise with excess; in bad faith a lone viewer reports positive videos, a brigade its target."""
    watching, bad = settings.watching, settings.bad_faith
    who = sessions.viewer_S
    honest = viewers.zeal_N[who][:, None] * (
        np.float32(watching.report_any) + np.float32(watching.report_toxic) * excess
    )
    lone = np.flatnonzero(viewers.lone_N[who])
    honest[lone] += np.float32(bad.lone_report) * ~videos.violative[page.video_S_K[lone]]
    striking = np.flatnonzero(sessions.target_S != NO_TARGET)
    aimed = page.video_S_K[striking] == sessions.target_S[striking][:, None]
    honest[striking] = np.where(aimed, np.float32(bad.brigade_zeal), honest[striking])
    return honest
