"""An experiment that has not begun and what users did lately in; the users and days that it will need, out.

The last `pre_period_days` stand for the days to come: whoever was active then would have entered, so far as the
experiment's buckets let them, and behaved alike in every arm.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from ab_tests.inference.estimates import unmeasurable
from ab_tests.inference.power import Grown, power_of
from ab_tests.metrics import FOLLOWED_DAYS, FOLLOWED_WEEK, METRICS, RETAINED_WEEK, Metric
from ab_tests.population import needed_columns
from ab_tests.results import Power, Unmeasured
from ab_tests.verdict import share
from contracts.errors import BadInputError, CheckFailedError
from contracts.experiments import N_BUCKETS, Experiment
from warehouse.address import WarehouseAddress, asking, connect
from warehouse.experiments import days_summed

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates


@dataclass(frozen=True, slots=True)
class Planned:
    """What an experiment needs, as its past tells: `entering` of the `users` seen fall into its buckets."""

    experiment: Experiment
    since: date
    through: date
    users: int
    entering: int
    power: tuple[Power, ...]
    unmeasured: tuple[Unmeasured, ...]


class ReadPast(Protocol):
    """Brings the moments of everybody who was active on a day from `since` through `through`."""

    def __call__(self, *, since: date, through: date) -> "Aggregates": ...


def plan(experiment: Experiment, read: ReadPast, *, through: date) -> Planned:
    """Users and days to find `smallest_effect` at one look at the end, from the `pre_period_days` up to `through`.

    A power's `days` and `more_days` add up to the days needed, which may be fewer than the past that was read. CUPED
    is not counted on. Raises `BadInputError` without a pre-period, `CheckFailedError` when too few were active.
    """
    name, window = experiment.experiment_id, experiment.pre_period_days
    if window == 0:
        raise BadInputError(f"{name}: pre_period_days == 0, must be 1 or more to plan from the days before")
    since = through - timedelta(days=window - 1)
    pasts = [(day, read(since=since, through=since + timedelta(days=day - 1))) for day in range(1, window + 1)]
    past = pasts[-1][1]
    allocation = (experiment.buckets[1] - experiment.buckets[0]) / N_BUCKETS
    control, *treatments = experiment.variants
    arms = {arm.name: _resized(past, allocation * arm.share) for arm in experiment.variants}
    if (fewest := min(arm.count() for arm in arms.values())) < 2:
        raise CheckFailedError(
            f"{name}: {past.count()} users were active from {since} to {through}, an arm would have {fewest}, must "
            "have 2 or more"
        )
    power, unmeasured = [], []
    for metric in (METRICS[metric] for metric in experiment.metrics):
        for arm in treatments:
            if reason := unmeasurable(metric, arms[control.name], arms[arm.name], variant=arm.name):
                unmeasured.append(Unmeasured(metric.name, arm.name, "all", reason))
                continue
            history = [Grown(day, _information(metric, moments)) for day, moments in pasts]
            found = power_of(
                metric,
                arms[control.name],
                arms[arm.name],
                history,
                variant=arm.name,
                smallest_effect=experiment.smallest_effect,
                alpha=experiment.alpha / (len(treatments) if metric.name is experiment.primary else 1),
                power=experiment.power,
                cuped=False,
            )
            power.append(found)
    entering = round(past.count() * allocation)
    return Planned(experiment, since, through, past.count(), entering, tuple(power), tuple(unmeasured))


def past_lines(planned: Planned) -> Iterator[str]:
    """A plan for a terminal: what it stands on, then every metric."""
    experiment, effect = planned.experiment, share(planned.experiment.smallest_effect)
    yield (
        f"{experiment.experiment_id}, planned from {planned.since} to {planned.through}, when "
        f"{planned.users:,} users were active, {planned.entering:,} of them in its buckets"
    )
    seen = f"in {experiment.pre_period_days} days"
    header = f"{'plan':22} {'arm':18} {'to find ' + effect:>14} {'detectable':>10} {seen:>12}"
    yield f"\n{header} {'users needed':>12} {'days needed':>11}"
    for one in planned.power:
        days = "over a year" if one.more_days is None else str(one.days + one.more_days)
        if one.more_days == 0:
            days = f"{one.days} or less"
        yield (
            f"{one.metric:22} {one.variant:18} {one.power:>14.0%} {share(one.detectable):>10} {one.users:>12,} "
            f"{one.users_needed:>12,} {days:>11}"
        )
    yield from (f"{gap.metric:22} {gap.variant:18} not measured: {gap.reason}" for gap in planned.unmeasured)
    yield (
        f"\nnote: {experiment.days} days are declared. Users and days are for one look at the end, without CUPED; "
        "daily looks take more, CUPED takes less."
    )


def past_reader(address: WarehouseAddress, experiment: Experiment, *, through: date) -> ReadPast:
    """Reads the past from the daily tables; every day of it must be there, whole.

    Raises `CheckFailedError` for a day that is missing or was not rebuilt, `DependencyError` when the warehouse does
    not answer.
    """
    import ibis
    from tea_tasting.aggr import Aggregates, read_aggregates

    name = experiment.experiment_id
    needed = needed_columns(METRICS[metric] for metric in experiment.metrics)
    first = through - timedelta(days=max(experiment.pre_period_days, 1) - 1)
    summed = days_summed(connect(address), name, since=first, through=through)
    if summed.missing:
        raise CheckFailedError(
            f"{name}: no row came of {summed.missing[0]}, must have every day from {first} to {through} to plan from"
        )
    with asking(str(address)):
        tables = ibis.clickhouse.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.database,
            secure=address.secure,
        )

    def read(*, since: date, through: date) -> Aggregates:
        with asking(f"what users did from {since} to {through}"):
            found = read_aggregates(
                _users(tables.table("user_days"), since, through),
                None,
                has_count=True,
                mean_cols=needed.mean_cols,
                var_cols=needed.var_cols,
                cov_cols=needed.cov_cols,
            )
        assert isinstance(found, Aggregates)  # without groups it is one
        return found

    return read


def _users(days: Any, since: date, through: date) -> Any:
    """One row for each user who was active, with the columns of `experiment_users` that metrics need."""
    inside = days.filter(days["day"].between(since, through))
    rows = inside.group_by("user_id").aggregate(
        **{
            column: inside[column].cast("int64").sum()
            for column in ("impressions", "scored_impressions", "toxic_impressions", "reports")
        },
        active_days=inside["active"].cast("int64").sum(),
        usage_s=inside["usage_ms"].cast("int64").sum() / 1_000,
        first_day=inside["day"].min(where=inside["active"] > 0),
        last_day=inside["day"].max(where=inside["active"] > 0),
    )
    rows = rows.filter(rows["active_days"] > 0)
    followed = (rows["first_day"] <= through - timedelta(days=FOLLOWED_DAYS)).cast("int64")
    returned = (rows["last_day"].cast("int32") - rows["first_day"].cast("int32") >= FOLLOWED_DAYS).cast("int64")
    no_past = {f"pre_{column}": 0 for column in ("impressions", "reports", "active_days", "usage_s")}
    return rows.mutate(**{FOLLOWED_WEEK: followed, RETAINED_WEEK: followed * returned, **no_past})


def _resized(past: "Aggregates", size: float) -> "Aggregates":
    """The same users, as many times as an arm would have."""
    from tea_tasting.aggr import Aggregates

    return Aggregates(int(past.count() * size), past.mean_, past.var_, past.cov_)


def _information(metric: Metric, past: "Aggregates") -> float:
    """1 / (relative standard error)^2 of the metric; 0 where nothing is known of it."""
    mean = past.mean(metric.denominator) and past.mean(metric.numerator) / past.mean(metric.denominator)
    variance = past.ratio_var(metric.numerator, metric.denominator) if mean > 0 else 0.0
    return float(past.count() * mean * mean / variance) if variance > 1e-12 * mean * mean else 0.0
