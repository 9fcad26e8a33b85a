"""A seed -> viewers as they are; their days -> how they feel about the platform, and whether they come tomorrow.

What a viewer is (`Viewers`) is the same in every world. How a viewer fares (`Standing`) is what the arms change.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.histories import REJECTION_PRIOR
from simulation.platform import chance
from simulation.platform.chance import Purpose
from simulation.platform.settings import MOST_SESSIONS, PlatformSettings

NO_BRIGADE = -1


@dataclass(frozen=True, slots=True)
class Viewers:
    """N viewers.

    tolerance_N: float32, true toxicity that they watch like anything else. taste_N_T: float32 in [0, 1], by topic.
    habit_N: float32, log-odds of coming on a day when satisfied as usual. zeal_N: float32, times the usual
    propensity to report, 1 on average. lone_N: reports what is merely disliked. brigade_N: int16, `NO_BRIGADE` or
    which. joined_on_N: int32, the first day on which they may come.
    """

    tolerance_N: npt.NDArray[np.float32]
    taste_N_T: npt.NDArray[np.float32]
    habit_N: npt.NDArray[np.float32]
    zeal_N: npt.NDArray[np.float32]
    lone_N: npt.NDArray[np.bool_]
    brigade_N: npt.NDArray[np.int16]
    joined_on_N: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.tolerance_N)


@dataclass(slots=True)
class Standing:
    """How N viewers fare in one world, day after day.

    satisfaction_N: float32. gone_N: left, and may come back. toxic_seen_N, toxic_rejected_N: int32, impressions that
    the release called toxic, and those of them that were skipped or reported: what the platform knows of tolerance.
    """

    satisfaction_N: npt.NDArray[np.float32]
    gone_N: npt.NDArray[np.bool_]
    toxic_seen_N: npt.NDArray[np.int32]
    toxic_rejected_N: npt.NDArray[np.int32]

    @classmethod
    def fresh(cls, n: int) -> "Standing":
        return cls(np.zeros(n, np.float32), np.zeros(n, np.bool_), np.zeros(n, np.int32), np.zeros(n, np.int32))

    @property
    def known_tolerance(self) -> npt.NDArray[np.float32]:
        """`ViewerSensitivity.tolerance`: the smoothed share of toxic impressions that were not rejected."""
        hits, misses = REJECTION_PRIOR
        rejected = (self.toxic_rejected_N + hits) / (self.toxic_seen_N + hits + misses)
        return (1.0 - rejected).astype(np.float32)


def draw_viewers(settings: PlatformSettings, *, n: int, days: int, seed: int) -> Viewers:
    """Draw n viewers; the same n, days and seed give the same."""
    audience, bad = settings.audience, settings.bad_faith
    rng = np.random.default_rng([seed, 3])
    weight = audience.tolerance_weight
    joins = rng.random(n) < audience.new_share
    member = rng.random(n) < (bad.brigade_share if bad.brigades else 0.0)
    spread = audience.honest_spread
    return Viewers(
        tolerance_N=rng.beta(weight * audience.tolerance, weight * (1 - audience.tolerance), n).astype(np.float32),
        taste_N_T=rng.beta(1.0, 1.5, (n, settings.videos.topics)).astype(np.float32),
        habit_N=(
            np.log(audience.active_share / (1 - audience.active_share))
            + audience.active_spread * rng.standard_normal(n)
        ).astype(np.float32),
        zeal_N=rng.lognormal(-(spread**2) / 2, spread, n).astype(np.float32),
        lone_N=(rng.random(n) < bad.lone_share) & ~member,
        brigade_N=np.where(member, rng.integers(0, max(1, bad.brigades), n), NO_BRIGADE).astype(np.int16),
        joined_on_N=np.where(joins, rng.integers(0, days, n), 0).astype(np.int32),
    )


def who_comes(
    viewers: Viewers, standing: Standing, settings: PlatformSettings, *, day: int, seed: int
) -> npt.NDArray[np.int64]:
    """Who opens the app today, in order; those who left may return first, which `standing` then notes."""
    everyone = np.arange(len(viewers))
    satisfied = standing.satisfaction_N
    loyalty = settings.loyalty
    back = chance.uniforms(chance.keys(seed, Purpose.COMEBACK, day, everyone))
    standing.gone_N &= ~(back < loyalty.comeback * np.exp(loyalty.churn_pull * satisfied))
    odds = viewers.habit_N + loyalty.pull * satisfied
    comes = chance.uniforms(chance.keys(seed, Purpose.COME, day, everyone)) < 1.0 / (1.0 + np.exp(-odds))
    return np.flatnonzero(comes & ~standing.gone_N & (viewers.joined_on_N <= day))


def sessions_of(
    present_P: npt.NDArray[np.int64], settings: PlatformSettings, *, day: int, seed: int
) -> npt.NDArray[np.int64]:
    """How often each who comes today opens the app: 1 to `MOST_SESSIONS`, geometric."""
    u = chance.uniforms(chance.keys(seed, Purpose.SESSIONS, day, present_P)).astype(np.float64)
    powers = settings.audience.more_sessions ** np.arange(1, MOST_SESSIONS)
    return 1 + (u[:, None] < powers[None, :]).sum(axis=1)


@dataclass(frozen=True, slots=True)
class Experience:
    """The day of the P viewers present: mean share watched and mean excess toxicity of what they were shown."""

    present_P: npt.NDArray[np.int64]
    fraction_P: npt.NDArray[np.float64]
    excess_P: npt.NDArray[np.float64]


def live_through(standing: Standing, today: Experience, settings: PlatformSettings, *, day: int, seed: int) -> None:
    """Move satisfaction towards what today was like (to 0 for who stayed away), and let some leave for good."""
    loyalty = settings.loyalty
    felt = np.zeros(len(standing.satisfaction_N))
    felt[today.present_P] = today.fraction_P - loyalty.usual_fraction - loyalty.upset * today.excess_P
    standing.satisfaction_N += (loyalty.speed * (felt - standing.satisfaction_N)).astype(np.float32)
    present = today.present_P
    leaves = chance.uniforms(chance.keys(seed, Purpose.LEAVE, day, present))
    standing.gone_N[present] = leaves < loyalty.churn * np.exp(-loyalty.churn_pull * standing.satisfaction_N[present])
