"""Days, summed by hand: by user, by video and by surface, rebuilt when rows come late, the same however often."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from clickhouse_connect.driver.exceptions import DatabaseError

from contracts.errors import BadInputError, DependencyError
from contracts.viewers import ExperimentExposure, Impression, Surface, UserReport, UserSession
from tests.warehouse.viewers import DAY_0, exposure, impression, report, session
from warehouse.address import Client, WarehouseAddress
from warehouse.commands import warehouse
from warehouse.daily import KEPT_DAYS, DueDay, Rebuilt, days_to_rebuild, days_with_rows, rebuild, replace_partition
from warehouse.sink import EventSink

STAGED = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE '%staging%'"
AT_ONCE = timedelta(0)
"""Nothing is inserted beside these tests: what came before a rebuild was visible to it."""


def day(number: int) -> date:
    return DAY_0.date() + timedelta(days=number)


def due_days(client: Client) -> list[date]:
    return [due.day for due in days_to_rebuild(client, unsettled=AT_ONCE)]


@pytest.fixture
def two_users(database: Client) -> Client:
    """Day 0: ann sees three videos on two surfaces, comes twice and reports one; bob only reports. Day 1: ann comes."""
    sink = EventSink(database, Impression)
    seen = [
        impression(1, "ann", toxicity=0.75),
        impression(2, "ann", toxicity=0.25, watch_ms=500),
        impression(3, "ann", toxicity=None, surface=Surface.SEARCH, video_id="video-1"),
    ]
    sink.insert(seen)
    sink.insert(seen[1:])
    EventSink(database, UserReport).insert(
        [report(1, "ann", surface=Surface.SEARCH), report(2, "bob", video_id="video-1")]
    )
    EventSink(database, UserSession).insert([session(n, "ann", seconds=30) for n in (1, 2, 2)])
    EventSink(database, UserSession).insert([session(3, "ann", day=1, seconds=0.5)])
    return database


def of(client: Client, table: str, columns: str, key: str) -> list[tuple[Any, ...]]:
    return list(client.query(f"SELECT {columns} FROM {table} ORDER BY day, {key}").result_rows)


def test_a_user_s_day_counts_each_event_once(two_users: Client) -> None:
    assert rebuild(two_users, [day(0), day(1)]) == (Rebuilt(day(0), 2, 2), Rebuilt(day(1), 1, 0))
    columns = """
        day, user_id, active, sessions, usage_ms, impressions, scored_impressions, toxic_impressions, reports, watch_ms
    """
    assert of(two_users, "user_days", columns, "user_id") == [
        (day(0), "ann", 1, 2, 60_000, 3, 2, 1, 1, 2_500),
        (day(0), "bob", 0, 0, 0, 0, 0, 0, 1, 0),
        (day(1), "ann", 1, 1, 500, 0, 0, 0, 0, 0),
    ]


def test_each_surface_has_its_part_of_the_sums(two_users: Client) -> None:
    rebuild(two_users, [day(0)])
    measures = ("impressions", "scored_impressions", "toxic_impressions", "reports", "watch_ms")
    columns = ", ".join(f"{measure}_{surface}" for surface in Surface for measure in measures)
    recommend, following, search = (2, 2, 1, 0, 1_500), (0, 0, 0, 0, 0), (1, 0, 0, 1, 1_000)
    assert of(two_users, "user_days", columns, "user_id")[0] == (*recommend, *following, *search)
    names = {row[0] for row in two_users.query("DESCRIBE TABLE user_days").result_rows}
    assert {f"{measure}_{surface}" for surface in Surface for measure in measures} <= names


def test_a_video_s_day_has_its_viewers_reporters_and_toxicity_as_shown(two_users: Client) -> None:
    rebuild(two_users, [day(0)])
    columns = """
        day, video_id, impressions, scored_impressions, toxic_impressions, toxicity, reports, reporters, watch_ms,
        surfaces, impressions_recommend, impressions_following, impressions_search
    """
    assert of(two_users, "video_days", columns, "video_id") == [
        (day(0), "video-1", 2, 1, 1, 0.75, 2, 2, 2_000, ["recommend", "search"], 1, 0, 1),
        (day(0), "video-2", 1, 1, 0, 0.25, 0, 0, 500, ["recommend"], 1, 0, 0),
    ]


def test_rebuilding_again_changes_nothing_and_leaves_nothing_behind(two_users: Client) -> None:
    rebuild(two_users, [day(0), day(1)])
    before = of(two_users, "user_days", "* EXCEPT rebuilt_at", "user_id")
    rebuild(two_users, [day(1), day(0), day(0)])
    assert of(two_users, "user_days", "* EXCEPT rebuilt_at", "user_id") == before
    assert two_users.command(STAGED) == 0


def test_days_with_new_rows_are_due_until_they_are_rebuilt(two_users: Client) -> None:
    assert days_to_rebuild(two_users) == (DueDay(day(0), False, True), DueDay(day(1), False, True))
    rebuild(two_users, due_days(two_users))
    assert due_days(two_users) == []


def test_a_late_event_makes_its_day_due_and_counts_after_the_rebuild(two_users: Client) -> None:
    rebuild(two_users, due_days(two_users))
    EventSink(two_users, Impression).insert([impression(9, "ann", day=0.5)])
    assert days_to_rebuild(two_users, unsettled=AT_ONCE) == (DueDay(day(0), rebuilt=True, late=True),)
    rebuild(two_users, due_days(two_users))
    assert of(two_users, "user_days", "impressions", "user_id") == [(4,), (0,), (0,)]


def test_rows_on_their_way_during_a_rebuild_are_not_forgotten(two_users: Client) -> None:
    """A row may be stamped before a rebuild and become visible after it: for a minute its day is due again."""
    rebuild(two_users, due_days(two_users))
    assert [due.day for due in days_to_rebuild(two_users)] == [day(0), day(1)]


def test_only_days_of_the_range_are_due(two_users: Client) -> None:
    assert [due.day for due in days_to_rebuild(two_users, since=day(1), until=day(3))] == [day(1)]
    assert days_with_rows(two_users, since=day(-9), until=day(0)) == (day(0),)


def test_exposures_make_no_day_due(database: Client) -> None:
    EventSink(database, ExperimentExposure).insert([exposure()])
    assert days_to_rebuild(database) == ()


def test_a_day_without_rows_becomes_empty(two_users: Client) -> None:
    rebuild(two_users, [day(0), day(1)])
    two_users.command("TRUNCATE TABLE sessions")
    assert rebuild(two_users, [day(1)]) == (Rebuilt(day(1), 0, 0),)
    assert two_users.command("SELECT count() FROM user_days WHERE day = '2026-11-02'") == 0


def test_a_day_whose_base_rows_begin_to_leave_stays_as_it_is(database: Client) -> None:
    columns = "event_id, user_id, video_id, session_id, shown_at, surface, watch_ms, received_at"
    values = "'i', 'ann', 'v', 's', '2026-11-01 01:00:00', 'recommend', 1"
    statement = f"INSERT INTO impressions ({columns}) SELECT {values}, now() - INTERVAL {{}} DAY"
    database.command(statement.format(KEPT_DAYS - 1))
    assert due_days(database) == [day(0)]
    database.command(statement.format(KEPT_DAYS + 1))
    assert due_days(database) == []
    with pytest.raises(BadInputError, match=r"2026-11-01: its base rows came more than 180 days ago and leave"):
        rebuild(database, [day(0)])


def test_a_rebuild_that_fails_leaves_the_day_as_it_was(two_users: Client) -> None:
    rebuild(two_users, [day(0)])
    failing = "(day, user_id) SELECT '2026-11-01', toString(throwIf(number = 1)) FROM numbers(2)"
    with pytest.raises(DatabaseError, match="throwIf"):
        replace_partition(two_users, "user_days", "'2026-11-01'", failing, {})
    assert two_users.command("SELECT count() FROM user_days WHERE day = '2026-11-01'") == 2
    assert two_users.command(STAGED) == 0


@contextmanager
def asked_by(address: WarehouseAddress, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    monkeypatch.setenv("PRECEDENT_WAREHOUSE", address.url)
    yield CliRunner()


def test_the_command_rebuilds_what_is_due_or_what_is_asked_for(
    address: WarehouseAddress, two_users: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asked_by(address, monkeypatch) as runner:
        first = runner.invoke(warehouse, ["rebuild"], catch_exceptions=False)
        assert first.output.splitlines() == ["2026-11-01  2 users, 2 videos", "2026-11-02  1 users, 0 videos"]
        EventSink(two_users, Impression).insert([impression(9, "eve")])
        again = runner.invoke(warehouse, ["rebuild", "--until", "2026-11-01"], catch_exceptions=False)
        assert again.output == "2026-11-01  3 users, 3 videos\n"
        late = runner.invoke(warehouse, ["rebuild"], catch_exceptions=False)
        assert late.output.splitlines()[0] == "2026-11-01  3 users, 3 videos, rows came late"
        none = runner.invoke(warehouse, ["rebuild", "--since", "2027-01-01"], catch_exceptions=False)
        assert none.output == "no day to rebuild\n"
        wrong = runner.invoke(warehouse, ["rebuild", "--since", "2026-11-02", "--until", "2026-11-01"])
        assert isinstance(wrong.exception, BadInputError)


def test_a_warehouse_that_is_away_is_a_dependency(tmp_path: Path) -> None:
    class Away:
        def query(self, query: str, parameters: Any = None) -> Any:
            from clickhouse_connect.driver.exceptions import OperationalError

            raise OperationalError("connection refused")

        def command(self, cmd: str, parameters: Any = None, *, settings: Any = None) -> Any:
            raise AssertionError(cmd)

    with pytest.raises(DependencyError, match="closed days: the warehouse does not answer"):
        rebuild(Away(), [day(0)])
