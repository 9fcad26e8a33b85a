"""Exposures and daily tables in, one row per user of an experiment out: what its estimates are made from.

A user belongs to the arm of their first exposure and counts from that day on, whatever they see later. What they did
in the days before the experiment began stands beside it, for variance reduction and for segments.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from contracts.errors import BadInputError, CheckFailedError
from contracts.experiments import Experiment, MetricName
from contracts.viewers import Surface
from warehouse.address import asking
from warehouse.daily import Commands, days_to_rebuild, days_with_rows, replace_partition
from warehouse.exposure import SERVED_VIOLATIVE

TABLE = "experiment_users"
ALL_SURFACES = "all"
RETAINED_AFTER_DAYS = 7
ACTIVITIES = ("new", "light", "medium", "heavy")


class VariantUsers(NamedTuple):
    """How many users met this variant first and no other one."""

    variant: str
    users: int


class FirstExposures(NamedTuple):
    """How many users met the experiment on this day for the first time, and in this variant."""

    day: date
    variant: str
    users: int


@dataclass(frozen=True, slots=True)
class UserTable:
    """The rows that were built: those of `table` where each column of `where` has its value.

    `variants` are in the experiment's order, zeros included, without the users of `in_several`, whose rows are there
    with variants_seen > 1. Users whose first exposure names no variant of the experiment have no row: see
    `exposure_counts`. `outdated` are days of the window that got rows since their rebuild, `missing` those of which no
    row ever came.
    """

    table: str
    where: Mapping[str, str | date]
    variants: tuple[VariantUsers, ...]
    in_several: int
    outdated: tuple[date, ...]
    missing: tuple[date, ...] = ()

    @property
    def users(self) -> int:
        """All rows."""
        return sum(variant.users for variant in self.variants) + self.in_several


@dataclass(frozen=True, slots=True)
class ExposureCounts:
    """Who was exposed within the experiment's days, by the variant of the first exposure.

    `variants` and `in_several` are as in `UserTable`; `unknown` counts by name the users of variants that the
    experiment does not have, and `outside` the users who were exposed on other days only.
    """

    variants: tuple[VariantUsers, ...]
    in_several: int
    unknown: tuple[VariantUsers, ...]
    outside: int
    by_day: tuple[FirstExposures, ...]


def build_users(
    client: Commands, experiment: Experiment, *, through: date, surface: Surface | None = None
) -> UserTable:
    """Build the rows of the experiment's users as of the end of `through`, in place of an earlier build.

    With `surface`, impressions, reports and watch time are of that surface alone, wherever users were exposed.
    Raises `BadInputError` when `through` is not a day of the experiment, `CheckFailedError` when a day that counts has
    rows and was never rebuilt or was rebuilt before it was over, `DependencyError` when the warehouse does not answer.
    """
    if not experiment.starts_on <= through <= experiment.ends_on:
        rule = f"must be within {experiment.starts_on} to {experiment.ends_on} ({experiment.experiment_id})"
        raise BadInputError(f"through == {through}, {rule}")
    pre_starts_on = experiment.starts_on - timedelta(days=experiment.pre_period_days)
    outdated, missing = days_summed(client, experiment.experiment_id, since=pre_starts_on, through=through)
    where: dict[str, str | date] = {
        "experiment_id": experiment.experiment_id,
        "surface": surface.value if surface else ALL_SURFACES,
        "through": through,
    }
    partition = f"({', '.join(_literal(value) for value in where.values())})"
    given = {
        **where,
        "variants": [variant.name for variant in experiment.variants],
        "starts_on": experiment.starts_on,
        "pre_starts_on": pre_starts_on,
        "pre_days": experiment.pre_period_days,
        "since": experiment.starts_on,
        "candidate": experiment.candidate_release or 0,
        "obeying": [n for n, arm in enumerate(experiment.variants, start=1) if arm.decisions == "candidate"],
    }
    measured = {*experiment.metrics, *(guardrail.metric for guardrail in experiment.guardrails)}
    statement = _statement(surface, exposure=MetricName.TOXIC_EXPOSURE in measured)
    with asking(f"users of {experiment.experiment_id} through {through}"):
        replace_partition(client, TABLE, partition, statement, given)
        counts = client.query(_COUNTS, where).result_rows
    return UserTable(
        table=TABLE,
        where=where,
        variants=_in_order(experiment, {variant: users for variant, several, users in counts if not several}),
        in_several=sum(users for _, several, users in counts if several),
        outdated=outdated,
        missing=missing,
    )


def exposure_counts(client: Commands, experiment: Experiment, *, through: date | None = None) -> ExposureCounts:
    """Count the users exposed from the experiment's first day through `through`, by default its last.

    Raises `DependencyError` when the warehouse does not answer.
    """
    given = {
        "experiment_id": experiment.experiment_id,
        "starts_on": experiment.starts_on,
        "through": through or experiment.ends_on,
    }
    with asking(f"exposures of {experiment.experiment_id}"):
        rows = client.query(_EXPOSURE_COUNTS, given).result_rows
    known = {variant.name for variant in experiment.variants}
    inside = [row for row in rows if row[1]]
    alone = [(variant, day, users) for variant, seen, day, users in inside if seen == 1]
    totals: dict[str, int] = {}
    for variant, _, users in alone:
        totals[variant] = totals.get(variant, 0) + users
    return ExposureCounts(
        variants=_in_order(experiment, totals),
        in_several=sum(users for _, seen, _, users in inside if seen > 1),
        unknown=tuple(VariantUsers(name, users) for name, users in sorted(totals.items()) if name not in known),
        outside=sum(users for _, seen, _, users in rows if not seen),
        by_day=tuple(FirstExposures(day, variant, users) for variant, day, users in alone if variant in known),
    )


def _in_order(experiment: Experiment, users: Mapping[str, int]) -> tuple[VariantUsers, ...]:
    return tuple(VariantUsers(variant.name, users.get(variant.name, 0)) for variant in experiment.variants)


class DaysSummed(NamedTuple):
    """Of some days, those that got rows since their rebuild, and those of which no row ever came."""

    outdated: tuple[date, ...]
    missing: tuple[date, ...]


def days_summed(client: Commands, name: str, *, since: date, through: date) -> DaysSummed:
    """How far the daily tables may be believed from `since` through `through`; `name` is whose days they are.

    Raises `CheckFailedError` when a day has rows and was never rebuilt or was rebuilt before it was over,
    `DependencyError` when the warehouse does not answer.
    """
    due = days_to_rebuild(client, since=since, until=through, unsettled=timedelta(0))
    if unbuilt := [day for day, rebuilt, _ in due if not rebuilt]:
        rule = f"run `precedent warehouse rebuild --since {since} --until {through}`"
        raise CheckFailedError(f"{name}: {unbuilt[0]} has rows and was never rebuilt, {rule}")
    with asking("days rebuilt before they were over"):
        early = client.query(_REBUILT_EARLY, {"since": since, "through": through}).result_rows
    if early:
        day, began_at = early[0]
        rule = f"rebuild it when it is over, or analyse --through {day - timedelta(days=1)}"
        raise CheckFailedError(f"{name}: {day} was rebuilt at {began_at:%H:%M} of that day (UTC), {rule}")
    there = set(days_with_rows(client, since=since, until=through))
    window = (since + timedelta(days=number) for number in range((through - since).days + 1))
    return DaysSummed(tuple(day for day, _, _ in due), tuple(day for day in window if day not in there))


def _literal(value: str | date) -> str:
    """An SQL literal of an id, a surface or a day: none of them can hold a quote."""
    return f"'{value}'"


# What each user of `exposed` was shown of violative videos while the decisions that their arm obeys let them through.
_BESIDE_EXPOSURE = """
            LEFT JOIN (
                SELECT served.user_id AS user_id,
                       countIf(if(has({{obeying:Array(UInt8)}}, first_position), let_through_by_candidate, let_through))
                           AS let_through_times
                FROM ({served}) AS served INNER JOIN exposed ON served.user_id = exposed.user_id
                WHERE toDate(served.shown_at) >= exposed.exposed_on {at}
                GROUP BY user_id
            ) AS toxic ON exposed.user_id = toxic.user_id
"""


def _statement(surface: Surface | None, *, exposure: bool) -> str:
    """The column list and SELECT of the one statement that makes the rows; `exposure` costs a pass over impressions."""
    at = f"_{surface}" if surface else ""
    there = f"AND served.surface = '{surface}'" if surface else ""
    beside = _BESIDE_EXPOSURE.format(served=SERVED_VIOLATIVE, at=there) if exposure else ""
    return f"""(
            experiment_id, surface, through, user_id, variant, variants_seen, first_exposed_on, activity,
            impressions, scored_impressions, toxic_impressions, exposed_impressions, reports, active_days, usage_s,
            watch_s, retained, followed_days, pre_impressions, pre_scored_impressions, pre_toxic_impressions,
            pre_reports, pre_active_days, pre_usage_s
        )
        WITH
            exposed AS (
                -- the moment and, in its last 5 bits, the variant's position: the earliest exposure in one number
                WITH indexOf({{variants:Array(String)}}, variant) AS position
                SELECT
                    user_id,
                    min(toUnixTimestamp64Micro(exposed_at) * 32 + position) AS first_exposure,
                    first_exposure % 32 AS first_position,
                    toDate(fromUnixTimestamp64Micro(intDiv(first_exposure, 32), 'UTC')) AS exposed_on,
                    bitCount(groupBitOr(bitShiftLeft(toUInt32(1), position))) AS n_variants
                FROM exposures
                WHERE experiment_id = {{experiment_id:String}}
                    AND toDate(exposed_at) BETWEEN {{starts_on:Date}} AND {{through:Date}}
                GROUP BY user_id
                HAVING first_position > 0
            ),
            days AS (
                SELECT
                    user_id, day, active, usage_ms,
                    impressions{at} AS shown, scored_impressions{at} AS scored, toxic_impressions{at} AS seen_toxic,
                    reports{at} AS reported, watch_ms{at} AS watched_ms
                FROM user_days
                WHERE day BETWEEN {{pre_starts_on:Date}} AND {{through:Date}}
            )
        SELECT
            {{experiment_id:String}}, {{surface:String}}, {{through:Date}},
            exposed.user_id,
            {{variants:Array(String)}}[any(first_position)],
            any(n_variants),
            any(exposed_on) AS first_day,
            multiIf(
                before_active = 0, 'new',
                4 * before_active <= {{pre_days:UInt16}}, 'light',
                4 * before_active <= 3 * {{pre_days:UInt16}}, 'medium',
                'heavy'
            ),
            sumIf(shown, day >= exposed_on),
            sumIf(scored, day >= exposed_on),
            sumIf(seen_toxic, day >= exposed_on),
            {"any(let_through_times)" if exposure else "0"},
            sumIf(reported, day >= exposed_on),
            sumIf(active, day >= exposed_on),
            sumIf(usage_ms, day >= exposed_on) / 1000,
            sumIf(watched_ms, day >= exposed_on) / 1000,
            maxIf(active, day >= exposed_on + {RETAINED_AFTER_DAYS}),
            {{through:Date}} - first_day + 1,
            sumIf(shown, day < {{starts_on:Date}}),
            sumIf(scored, day < {{starts_on:Date}}),
            sumIf(seen_toxic, day < {{starts_on:Date}}),
            sumIf(reported, day < {{starts_on:Date}}),
            sumIf(active, day < {{starts_on:Date}}) AS before_active,
            sumIf(usage_ms, day < {{starts_on:Date}}) / 1000
        FROM days RIGHT JOIN exposed ON days.user_id = exposed.user_id
            {beside}
        GROUP BY exposed.user_id
        """


# By the warehouse's clock; a simulated day of the future may well be whole.
_REBUILT_EARLY = """
    SELECT day, began_at FROM rebuilds FINAL
    WHERE day BETWEEN {since:Date} AND {through:Date} AND toDate(began_at) = day
    ORDER BY day
"""
_COUNTS = f"""
    SELECT variant, variants_seen > 1, count() FROM {TABLE}
    WHERE experiment_id = {{experiment_id:String}} AND surface = {{surface:String}} AND through = {{through:Date}}
    GROUP BY ALL
"""
_EXPOSURE_COUNTS = """
    SELECT first_variant, n_variants, first_day, count()
    FROM (
        SELECT
            argMinIf(variant, (exposed_at, variant), inside) AS first_variant,
            uniqExactIf(variant, inside) AS n_variants,
            toDate(minIf(exposed_at, inside)) AS first_day
        FROM (
            SELECT *, toDate(exposed_at) BETWEEN {starts_on:Date} AND {through:Date} AS inside
            FROM exposures WHERE experiment_id = {experiment_id:String}
        )
        GROUP BY user_id
    )
    GROUP BY first_variant, n_variants, first_day
    ORDER BY first_day, first_variant
"""
