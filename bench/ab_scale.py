"""Impressions of 1, 10 and 50 million in base tables to all metrics of an experiment, beside a query by hand.

The warehouse is a process of its own; events are generated inside it, ten impressions a user over 28 days, a tenth of
them inserted twice. The user table and all metrics are made as an analysis makes them. "By hand" is one statement over
the daily tables that keeps no user's row: what an analyst would type for the same sums, squares and products. Its SQL
stands here and not in `warehouse` because it is the yardstick.
"""

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from ab_tests.analysis import metrics_of
from ab_tests.inference.estimates import estimate
from ab_tests.population import read_moments, warehouse_tables
from contracts.experiments import Experiment, MetricName, Subject, Variant
from streams.processes import Parts
from streams.stack import precedent
from warehouse.address import Client, WarehouseAddress, connect
from warehouse.daily import days_to_rebuild, rebuild
from warehouse.experiments import ALL_SURFACES
from warehouse.migrate import migrate

T = TypeVar("T")
IMPRESSIONS_PER_USER = 10
IMPRESSIONS_PER_SESSION = 5
PRE_DAYS, DAYS = 14, 14
STARTS_ON = date(2026, 10, 15)
EXPERIMENT = Experiment(
    experiment_id="scale",
    hypothesis="A benchmark has no opinion.",
    subject=Subject.RANKING,
    layer="ranking",
    buckets=(0, 10_000),
    salt="scale",
    variants=(Variant(name="control", share=0.5), Variant(name="treatment", share=0.5)),
    primary=MetricName.REPORT_RATE,
    metrics=tuple(MetricName),
    starts_on=STARTS_ON,
    ends_on=STARTS_ON + timedelta(days=DAYS - 1),
    pre_period_days=PRE_DAYS,
    smallest_effect=0.05,
)
_TIMEOUT_S = 1_800.0
_INSERTED_ROWS = 2_000_000


def measure(*, sizes: Sequence[int] = (1_000_000, 10_000_000, 50_000_000), repeats: int = 3) -> dict[str, Any]:
    """Run each size in a warehouse of its own, print the table and return it."""
    rows = [_one_size(size, repeats) for size in sizes]
    _print(rows)
    return {"rows": rows, "load": os.getloadavg()}


def _one_size(impressions: int, repeats: int) -> dict[str, Any]:
    with _warehouse() as address:
        client = connect(address, timeout_s=_TIMEOUT_S)
        _, generated_s = _timed(lambda: _generate(client, impressions))
        days = [due.day for due in days_to_rebuild(client)]
        rebuilt, rebuild_s = _timed(lambda: rebuild(client, days))
        through = EXPERIMENT.ends_on
        open_table = warehouse_tables(address, EXPERIMENT)
        tables, metrics, by_hand = [], [], []
        for _ in range(repeats):  # in turn, so that whatever else the machine does falls on all three
            tables.append(_timed(lambda: open_table(through, None)))
            metrics.append(_timed(lambda: _estimate(tables[0][0].table, through)))
            by_hand.append(_timed(lambda: client.query(_BY_HAND, _given()).result_rows))
        _agree(by_hand[0][0], client.query(_FROM_USERS, _given()).result_rows)
        table_s, metrics_s, by_hand_s = (min(took_s for _, took_s in runs) for runs in (tables, metrics, by_hand))
        return {
            "impressions": impressions,
            "users": int(client.command("SELECT count() FROM experiment_users")),
            "user_days": sum(day.users for day in rebuilt),
            "generate_s": round(generated_s, 2),
            "rebuild_s": round(rebuild_s, 2),
            "user_table_s": round(table_s, 3),
            "metrics_s": round(metrics_s, 3),
            "by_hand_s": round(by_hand_s, 3),
            "ratio": round((table_s + metrics_s) / by_hand_s, 2),
            "disk_mb": round(int(client.command(_DISK)) / 1e6),
        }


def _estimate(table: Any, through: date) -> list[Any]:
    """Every metric of the experiment with its CUPED, as an analysis estimates it."""
    metrics = metrics_of(EXPERIMENT)
    moments = read_moments(table, metrics, through=through)
    control, treatment = (moments.arm(variant.name) for variant in EXPERIMENT.variants)
    return [estimate(metric, control, treatment, variant="treatment") for metric in metrics]


@contextmanager
def _warehouse() -> Iterator[WarehouseAddress]:
    """The address of a new, migrated embedded warehouse."""
    login = WarehouseAddress("127.0.0.1", 0, "precedent", secrets.token_urlsafe(18))
    with tempfile.TemporaryDirectory(prefix="precedent-bench-") as folder, Parts() as parts:
        owner = parts.start(
            "warehouse",
            precedent("warehouse", "--path", f"{folder}/data"),
            env={"PRECEDENT_WAREHOUSE": login.url},
            log=Path(folder) / "warehouse.log",
        )
        host, _, port = owner.address.rpartition(":")
        address = replace(login, host=host, port=int(port))
        migrate(address)
        yield address


def _generate(client: Client, impressions: int) -> None:
    """Each user has a session before the experiment and one within it, of five impressions and a chance to report, and
    is exposed on one of its first four days.
    """
    given = {"users": impressions // IMPRESSIONS_PER_USER, "first": STARTS_ON - timedelta(days=PRE_DAYS)}
    for start in range(0, impressions, _INSERTED_ROWS):
        rows = min(_INSERTED_ROWS, impressions - start)
        client.command(_IMPRESSIONS, {**given, "start": start, "rows": rows})
        client.command(_IMPRESSIONS, {**given, "start": start, "rows": rows // 10})
    sessions = impressions // IMPRESSIONS_PER_SESSION
    for start in range(0, sessions, _INSERTED_ROWS):
        part = {**given, "start": start, "rows": min(_INSERTED_ROWS, sessions - start)}
        for statement in (_SESSIONS, _REPORTS, _EXPOSURES):
            client.command(statement, part)


def _given() -> dict[str, Any]:
    return {
        "experiment_id": EXPERIMENT.experiment_id,
        "surface": ALL_SURFACES,
        "starts_on": EXPERIMENT.starts_on,
        "pre_starts_on": EXPERIMENT.starts_on - timedelta(days=PRE_DAYS),
        "through": EXPERIMENT.ends_on,
    }


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def _agree(by_hand: Sequence[Sequence[Any]], summed: Sequence[Sequence[Any]]) -> None:
    """Both ways must give the same counts and sums, to rounding."""
    for ours, theirs in zip(summed, by_hand, strict=True):
        for one, other in zip(ours[1:], theirs[1:], strict=True):
            if abs(one - other) > 1e-9 * abs(other):
                msg = f"{ours[0]}: {one} is not {other}, the two ways must agree (bench)"
                raise AssertionError(msg)


def _print(rows: Sequence[dict[str, Any]]) -> None:
    load, cores = os.getloadavg()[0], os.cpu_count()
    table = Table(
        title=f"one row per user of an experiment, {DAYS} + {PRE_DAYS} days, load {load:.1f} on {cores} cores"
    )
    columns = {
        "impressions": "impressions",
        "users": "users",
        "user_days": "user days",
        "generate_s": "insert s",
        "rebuild_s": "rebuild 28 days s",
        "user_table_s": "user table s",
        "metrics_s": "all metrics s",
        "by_hand_s": "by hand s",
        "ratio": "ratio",
        "disk_mb": "disk MB",
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*(f"{row[key]:,}" for key in columns))
    Console(width=120).print(table)


# A session's number is a user and which of their two it is; its day follows from both.
_OF_SESSION = """
    session % {users:UInt64} AS user,
    intDiv(session, {users:UInt64}) % 2 AS within,
    'user-' || toString(user) AS user_id,
    's' || hex(sipHash64(session)) AS session_id,
    toDateTime64({first:Date}, 6, 'UTC') + toIntervalDay(14 * within + sipHash64(session, 1) % 14)
        + toIntervalMillisecond(sipHash64(session, 2) % 80000000) AS began_at,
    ['recommend', 'following', 'search'][1 + sipHash64(session, 3) % 3] AS surface
"""
_IMPRESSIONS = f"""
    INSERT INTO impressions
        (event_id, user_id, video_id, session_id, shown_at, surface, watch_ms, release_version, toxicity)
    WITH intDiv(number, {IMPRESSIONS_PER_SESSION}) AS session, {_OF_SESSION}
    SELECT
        'i' || hex(sipHash64(number)), user_id, 'video-' || toString(sipHash64(number, 4) % 200000), session_id,
        began_at + toIntervalSecond(number % {IMPRESSIONS_PER_SESSION} * 30), surface,
        sipHash64(number, 5) % 30000, 3, if(number % 20 = 0, NULL, sipHash64(number, 6) % 1000 / 1000)
    FROM numbers_mt({{start:UInt64}}, {{rows:UInt64}})
    SETTINGS max_partitions_per_insert_block = 0
"""
_SESSIONS = f"""
    INSERT INTO sessions (event_id, user_id, session_id, started_at, ended_at, impressions)
    WITH number AS session, {_OF_SESSION}
    SELECT
        session_id, user_id, session_id, began_at, began_at + toIntervalSecond(150 + session % 100),
        {IMPRESSIONS_PER_SESSION}
    FROM numbers_mt({{start:UInt64}}, {{rows:UInt64}})
    SETTINGS max_partitions_per_insert_block = 0
"""
_REPORTS = f"""
    INSERT INTO reports (event_id, video_id, reporter_id, reported_at, surface, category)
    WITH number AS session, {_OF_SESSION}
    SELECT 'r' || session_id, 'video-' || toString(session % 200000), user_id, began_at, surface, NULL
    FROM numbers_mt({{start:UInt64}}, {{rows:UInt64}}) WHERE sipHash64(session, 7) % 20 = 0
"""
_EXPOSURES = f"""
    INSERT INTO exposures (event_id, user_id, experiment_id, variant, exposed_at, surface)
    WITH number AS session, {_OF_SESSION}
    SELECT
        'e' || session_id, user_id, 'scale', if(sipHash64(user, 8) % 2 = 0, 'control', 'treatment'),
        toDateTime64({{first:Date}}, 6, 'UTC') + toIntervalDay(14 + sipHash64(user, 9) % 4), surface
    FROM numbers_mt({{start:UInt64}}, {{rows:UInt64}}) WHERE within = 1
"""
_DISK = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()"
# Every sum that the metrics need: of each column, of its square, and of the products of the ratios and with CUPED's.
_SUMS = """
    variant, count(),
    sum(reports), sum(impressions), sum(reports * reports), sum(impressions * impressions), sum(reports * impressions),
    sum(pre_reports), sum(pre_impressions), sum(reports * pre_reports), sum(impressions * pre_impressions),
    sum(pre_reports * pre_reports), sum(pre_impressions * pre_impressions), sum(pre_reports * pre_impressions),
    sum(reports * pre_impressions), sum(impressions * pre_reports),
    sum(active_days), sum(active_days * active_days), sum(pre_active_days), sum(active_days * pre_active_days),
    sum(pre_active_days * pre_active_days),
    sum(usage_s), sum(usage_s * usage_s), sum(usage_s * active_days), sum(pre_usage_s), sum(usage_s * pre_usage_s),
    sum(pre_usage_s * pre_usage_s),
    sum(toxic_impressions), sum(scored_impressions), sum(toxic_impressions * toxic_impressions),
    sum(scored_impressions * scored_impressions), sum(toxic_impressions * scored_impressions),
    sum(pre_toxic_impressions), sum(pre_scored_impressions),
    sum(retained), sum(watch_s)
"""
_FROM_USERS = f"""
    SELECT {_SUMS} FROM experiment_users
    WHERE experiment_id = {{experiment_id:String}} AND surface = {{surface:String}} AND through = {{through:Date}}
        AND variants_seen = 1
    GROUP BY variant ORDER BY variant
"""
_BY_HAND = f"""
    SELECT {_SUMS}
    FROM (
        SELECT
            f.user_id, any(f.variant) AS variant,
            sumIf(d.impressions, day >= f.on) AS impressions, sumIf(d.reports, day >= f.on) AS reports,
            sumIf(d.scored_impressions, day >= f.on) AS scored_impressions,
            sumIf(d.toxic_impressions, day >= f.on) AS toxic_impressions,
            sumIf(d.active, day >= f.on) AS active_days, sumIf(d.usage_ms, day >= f.on) / 1000 AS usage_s,
            sumIf(d.watch_ms, day >= f.on) / 1000 AS watch_s, maxIf(d.active, day >= f.on + 7) AS retained,
            sumIf(d.impressions, day < {{starts_on:Date}}) AS pre_impressions,
            sumIf(d.reports, day < {{starts_on:Date}}) AS pre_reports,
            sumIf(d.scored_impressions, day < {{starts_on:Date}}) AS pre_scored_impressions,
            sumIf(d.toxic_impressions, day < {{starts_on:Date}}) AS pre_toxic_impressions,
            sumIf(d.active, day < {{starts_on:Date}}) AS pre_active_days,
            sumIf(d.usage_ms, day < {{starts_on:Date}}) / 1000 AS pre_usage_s
        FROM user_days AS d
        RIGHT JOIN (
            SELECT user_id, argMin(variant, exposed_at) AS variant, toDate(min(exposed_at)) AS on
            FROM exposures
            WHERE experiment_id = {{experiment_id:String}} AND toDate(exposed_at) >= {{starts_on:Date}}
                AND toDate(exposed_at) <= {{through:Date}}
            GROUP BY user_id HAVING uniqExact(exposures.variant) = 1
        ) AS f ON d.user_id = f.user_id
        WHERE d.day >= {{pre_starts_on:Date}} AND d.day <= {{through:Date}}
        GROUP BY f.user_id
    )
    GROUP BY variant ORDER BY variant
"""
if __name__ == "__main__":
    measure()
