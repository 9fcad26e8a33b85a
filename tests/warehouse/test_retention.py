"""How long rows stay: each table lets go of what is older than its migration says, and of nothing younger."""

import pytest

from warehouse.address import Client
from warehouse.daily import KEPT_DAYS

# table, what its partition is of, what its retention counts from, days
KEPT = [
    ("verdicts", "occurred_at", "scored_at", 1096),
    ("impressions", "shown_at", "received_at", 180),
    ("sessions", "started_at", "received_at", 180),
    ("reports", "reported_at", "received_at", 400),
    ("exposures", "exposed_at", "received_at", 400),
    ("uploads", "occurred_at", "received_at", 400),
    ("cases", "opened_at", "received_at", 1096),
    ("appeals", "appealed_at", "received_at", 1096),
    ("rulings", "ruled_at", "received_at", 1096),
    ("user_days", "day", "rebuilt_at", 400),
    ("video_days", "day", "rebuilt_at", 400),
    ("experiment_users", "through", "built_at", 60),
]


@pytest.mark.parametrize(("table", "partition", "clock", "days"), KEPT, ids=[kept[0] for kept in KEPT])
def test_expired_rows_go_and_younger_ones_stay(
    database: Client, table: str, partition: str, clock: str, days: int
) -> None:
    for year, age in ((2020, days + 1), (2022, days - 1)):
        row = f"toDate('{year}-01-01'), now() - INTERVAL {age} DAY"
        database.command(f"INSERT INTO {table} ({partition}, {clock}) SELECT {row}")
    database.command(f"OPTIMIZE TABLE {table} FINAL")
    assert database.query(f"SELECT toYear({partition}) FROM {table}").result_rows == [(2022,)]


def test_every_table_that_grows_has_a_retention(database: Client) -> None:
    growing = "engine LIKE '%MergeTree' AND name NOT IN ('migrations', 'arrivals', 'rebuilds')"
    tables = database.query(
        f"SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() AND {growing}"
    ).result_rows
    assert {name for name, _ in tables} == {table for table, *_ in KEPT}
    assert all("ttl_only_drop_parts = 1" in created for _, created in tables)


def test_days_are_closed_when_the_first_of_their_base_rows_leave() -> None:
    days = {table: days for table, *_, days in KEPT}
    assert min(days["impressions"], days["sessions"], days["reports"]) == KEPT_DAYS
