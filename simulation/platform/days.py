"""A population in, its days out, one by one: who comes, what they are shown, what they do, how they feel.

    open_sessions -> fill_pages (ranker, arm) -> watch -> Day
         ^                                         |
    satisfaction of viewers, features and removals of videos, for tomorrow

`live` makes one world. Called again with another assigner it makes another world of the same viewers, videos and
chances: everyone in control, everyone in treatment, and the experiment between them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from simulation.platform.day import Day
from simulation.platform.feedback import SimulatedModeration
from simulation.platform.population import Assigner, Population
from simulation.platform.sessions.feeds import Page, Ranker, Served, Shelved, fill_pages
from simulation.platform.sessions.opening import OUTSIDE, Sessions, open_sessions, session_chances
from simulation.platform.sessions.watching import Watched, watch
from simulation.platform.settings import LONGEST_S, QUARTER_S, PlatformSettings
from simulation.platform.videos import lay_shelf
from simulation.platform.viewers import Experience, Standing, live_through

TOXIC_FROM = 0.5
"""A served toxicity from which the platform counts an impression as toxic."""
SKIPPED_BELOW = 0.2
"""A share watched below which an impression counts as skipped."""
_AT_ONCE = 2_048
"""So many sessions are lived together that their candidates stay in the processor's cache."""


class Moderation(Protocol):
    """Says each morning what is known of all videos, and learns each night from what was reported."""

    def serve(self, day: int) -> Served: ...

    def close_day(self, today: Day) -> None: ...


def live(
    population: Population, ranker: Ranker, assigner: Assigner, moderation: Moderation | None = None
) -> Iterator[Day]:
    """Yield the days of one world in order; without `moderation` rulings and what they change are drawn."""
    plan, settings = population.plan, population.settings
    arm_N = np.asarray(assigner(plan.user_ids), np.int8)
    if arm_N.shape != (plan.viewers,) or bool((arm_N < OUTSIDE).any()):
        raise BadInputError(f"assigner gave arms of shape {arm_N.shape}, must be ({plan.viewers},), each -1 or more")
    standing = Standing.fresh(plan.viewers)
    moderation = moderation or SimulatedModeration(population)
    for day in range(plan.days):
        shelved = Shelved(lay_shelf(population.videos, settings, day=day, seed=plan.seed), moderation.serve(day))
        sessions = open_sessions(population, standing, shelved.served.removed_M, arm_N, day)
        known = standing.known_tolerance
        parts = [
            _live_some(population, sessions.part(slice(first, first + _AT_ONCE)), known, shelved, ranker, day)
            for first in range(0, max(1, len(sessions)), _AT_ONCE)
        ]
        today = replace(_joined(day, parts), release_A=shelved.served.release_A)
        yield today
        moderation.close_day(today)
        _remember(standing, today, parts, population)


@dataclass(frozen=True, slots=True)
class _Lived:
    """A part of a day's sessions: their columns per impression, and per session what the viewer felt."""

    day: Day
    fraction_S: npt.NDArray[np.float64]
    excess_S: npt.NDArray[np.float64]
    toxic_S: npt.NDArray[np.int64]
    rejected_S: npt.NDArray[np.int64]


def _live_some(
    population: Population,
    some: Sessions,
    known: npt.NDArray[np.float32],
    shelved: Shelved,
    ranker: Ranker,
    day: int,
) -> _Lived:
    viewers, videos, settings, seed = population.viewers, population.videos, population.settings, population.plan.seed
    page = fill_pages(some, viewers, known, videos, shelved, ranker, settings, day=day, seed=seed)
    watched = watch(page, some, viewers, videos, settings, day=day, seed=seed)
    seen = watched.seen_S_K
    toxicity = shelved.served.read(some.arm_S, page.video_S_K)
    toxic = seen & (toxicity >= TOXIC_FROM)
    rejected = toxic & ((watched.fraction_S_K < SKIPPED_BELOW) | watched.reported_S_K)
    return _Lived(
        _columns(some, page, watched, toxicity, settings, day, seed),
        np.where(seen, watched.fraction_S_K, 0.0).sum(axis=1),
        np.where(seen, watched.excess_S_K, 0.0).sum(axis=1),
        toxic.sum(axis=1),
        rejected.sum(axis=1),
    )


def _columns(
    some: Sessions,
    page: Page,
    watched: Watched,
    toxicity_S_K: npt.NDArray[np.float32],
    settings: PlatformSettings,
    day: int,
    seed: int,
) -> Day:
    """One row per session and one per impression seen, with the times of both."""
    longest_s = settings.page * (LONGEST_S + settings.watching.swipe_s)
    _, u_start = session_chances(seed, day, some.viewer_S, some.slot_S)
    started = ((some.slot_S * QUARTER_S + u_start * (QUARTER_S - longest_s)) * 1000).astype(np.int64)
    seen = watched.seen_S_K
    took = np.where(seen, watched.watch_ms_S_K + np.int64(1000 * settings.watching.swipe_s), 0)
    shown = started[:, None] + np.cumsum(took, axis=1) - took
    session, position = np.nonzero(seen)
    return Day(
        day=day,
        viewer_S=some.viewer_S,
        slot_S=some.slot_S,
        surface_S=some.surface_S,
        arm_S=some.arm_S,
        started_ms_S=started,
        ended_ms_S=started + took.sum(axis=1),
        session_I=session,
        position_I=position,
        video_I=page.video_S_K[seen],
        shown_ms_I=shown[seen],
        watch_ms_I=watched.watch_ms_S_K[seen],
        toxicity_I=toxicity_S_K[seen],
        reported_I=watched.reported_S_K[seen],
    )


def _joined(day: int, parts: Sequence[_Lived]) -> Day:
    """The parts of a day as one, session rows counted on."""
    offset = 0
    columns: dict[str, list[npt.NDArray[Any]]] = {
        one.name: [] for one in fields(Day) if one.name.endswith(("_S", "_I"))
    }
    for part in parts:
        for name, values in columns.items():
            column = getattr(part.day, name)
            values.append(column + offset if name == "session_I" else column)
        offset += len(part.day.viewer_S)
    whole: dict[str, Any] = {name: np.concatenate(values) for name, values in columns.items()}
    return Day(day, **whole)


def _remember(standing: Standing, today: Day, parts: Sequence[_Lived], population: Population) -> None:
    """Carry the day over into what viewers feel and what the platform knows of them."""
    n, plan = len(population.viewers), population.plan

    def per_viewer(name: str) -> npt.NDArray[np.float64]:
        weights = np.concatenate([getattr(part, name) for part in parts])
        return np.bincount(today.viewer_S, weights, minlength=n).astype(np.float64)

    shown = np.bincount(today.viewers_of_impressions, minlength=n)
    standing.toxic_seen_N += per_viewer("toxic_S").astype(np.int32)
    standing.toxic_rejected_N += per_viewer("rejected_S").astype(np.int32)
    present = np.flatnonzero(shown)
    felt = Experience(
        present, per_viewer("fraction_S")[present] / shown[present], per_viewer("excess_S")[present] / shown[present]
    )
    live_through(standing, felt, population.settings, day=today.day, seed=plan.seed)
