"""A seed in, what users of a made-up platform did in, sums of re-randomised arms out: food for `ab_validity`.

Usage has heavy tails (log-normal between users and between a user's days), reports come from few users, what a user
does now resembles what they did before, and users arrive over the days. There is no effect of any arm in the log.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ab_tests.metrics import FOLLOWED_WEEK, RETAINED_WEEK

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

Array = npt.NDArray[np.float64]
Columns = Mapping[str, Array]

PRE_DAYS = 14
_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class UserLog:
    """What N users did on each of D days, [D, N] a column, and in the pre-period, [N] a column."""

    daily: dict[str, Array]
    before: dict[str, Array]

    @property
    def days(self) -> int:
        return len(self.daily["active_days"])

    def through(self, day: int) -> tuple[Columns, npt.NDArray[np.bool_]]:
        """The per-user table after `day` days: its columns, and who was exposed; others' rows are 0."""
        active = self.daily["active_days"][:day] > 0
        exposed = np.asarray(active.any(axis=0))
        first = np.where(exposed, active.argmax(axis=0), day)
        followed = exposed & (first <= day - 1 - 7)
        days_D_N = np.arange(day)[:, None]
        columns = {name: values[:day].sum(axis=0) for name, values in self.daily.items()}
        columns |= {name: values * exposed for name, values in self.before.items()}
        columns[FOLLOWED_WEEK] = followed.astype(np.float64)
        columns[RETAINED_WEEK] = (followed & (active & (days_D_N >= first + 7)).any(axis=0)).astype(np.float64)
        return columns, exposed


def make_log(*, users: int, days: int, seed: int) -> UserLog:
    """The log of `users` over a pre-period of 14 days and `days` days of an experiment."""
    rng = np.random.default_rng(seed)
    comes = rng.beta(0.8, 1.2, users)
    stays_s = np.exp(rng.normal(6.0, 0.9, users))
    reports = rng.gamma(0.15, 0.004 / 0.15, users)
    toxic = rng.beta(1.5, 18.0, users)

    def of(n_days: int, drift: float) -> dict[str, Array]:
        """`drift` is how far a user is from who they were, in log units."""
        changed = np.exp(rng.normal(0.0, drift, users)) if drift else np.ones(users)
        active = (rng.random((n_days, users)) < comes).astype(np.float64)
        usage_s = active * stays_s * changed * np.exp(rng.normal(0.0, 0.8, (n_days, users)))
        impressions = rng.poisson(usage_s / 20.0).astype(np.float64)
        scored = rng.binomial(impressions.astype(np.int64), 0.98)
        return {
            "active_days": active,
            "usage_s": usage_s,
            "impressions": impressions,
            "scored_impressions": scored.astype(np.float64),
            "toxic_impressions": rng.binomial(scored, toxic).astype(np.float64),
            "reports": rng.poisson(impressions * reports).astype(np.float64),
        }

    before = {f"pre_{name}": values.sum(axis=0) for name, values in of(PRE_DAYS, 0.0).items()}
    return UserLog(of(days, 0.3), before)


def splits(users: int, *, n: int, seed: int, share: float = 0.5) -> Iterator[npt.NDArray[np.bool_]]:
    """`n` re-randomisations of `users`, some at a time: who is treated, [R, N]."""
    rng = np.random.default_rng(seed)
    for start in range(0, n, _AT_ONCE):
        yield rng.random((min(_AT_ONCE, n - start), users), dtype=np.float32) < share


@dataclass(frozen=True, slots=True)
class SplitSums:
    """Both arms of R re-randomisations: users [R], sums of centred columns [R, C] and of their products [R, P]."""

    centre: dict[str, float]
    pairs: dict[tuple[str, str], int]
    counts: tuple[Array, Array]
    sums: tuple[Array, Array]

    @classmethod
    def of(
        cls, names: Sequence[str], columns: Columns, exposed: npt.NDArray[np.bool_], treated: npt.NDArray[np.bool_]
    ) -> "SplitSums":
        """One product of matrices for all re-randomisations; the other arm is what is left of the whole."""
        table = np.stack([columns[name][exposed] for name in names])
        centre = table.mean(axis=1)
        table -= centre[:, None]
        pairs = [(i, j) for i in range(len(names)) for j in range(i, len(names))]
        rows = np.vstack([np.ones(table.shape[1]), table, np.stack([table[i] * table[j] for i, j in pairs])])
        whole = rows.sum(axis=1)
        arm = treated[:, exposed].astype(np.float64) @ rows.T
        rest = whole - arm
        return cls(
            centre=dict(zip(names, centre.tolist(), strict=True)),
            pairs={(names[i], names[j]): place for place, (i, j) in enumerate(pairs)},
            counts=(rest[:, 0], arm[:, 0]),
            sums=(rest[:, 1:], arm[:, 1:]),
        )

    def arms(self, r: int, *, lifted: str | None = None, effect: float = 0.0) -> "tuple[Aggregates, Aggregates]":
        """Control and treatment of re-randomisation `r`; the treatment's `lifted` column is 1 + `effect` times."""
        return self._aggregates(0, r, {}), self._aggregates(1, r, {lifted: 1.0 + effect} if lifted else {})

    def _aggregates(self, arm: int, r: int, scale: Mapping[str, float]) -> "Aggregates":
        from tea_tasting.aggr import Aggregates

        count, sums = float(self.counts[arm][r]), self.sums[arm][r].tolist()
        names = list(self.centre)
        offset = dict(zip(names, sums, strict=False))
        products = sums[len(names) :]
        cov = {
            (one, two): (products[place] - offset[one] * offset[two] / count)
            / (count - 1.0)
            * scale.get(one, 1.0)
            * scale.get(two, 1.0)
            for (one, two), place in self.pairs.items()
        }
        return Aggregates(
            count_=int(count),
            mean_={name: (self.centre[name] + offset[name] / count) * scale.get(name, 1.0) for name in names},
            var_={name: cov[name, name] for name in names},
            cov_={pair: value for pair, value in cov.items() if pair[0] != pair[1]},
        )
