"""The table of an experiment's users as a whole: built again, refused, and its exposures counted.

The experiment runs from day 10 to day 19 after a pre-period of 8 days: days 2 to 9.
"""

from datetime import date
from typing import Any

import pytest

from contracts.errors import BadInputError, CheckFailedError, DependencyError
from tests.warehouse.experiment_log import EXPERIMENT, THROUGH, Log, day
from warehouse.address import Client
from warehouse.experiments import FirstExposures, VariantUsers, exposure_counts


def test_building_again_replaces_and_other_looks_stay(log: Log, database: Client) -> None:
    log.exposed("ann", 10.0)
    log.done()
    first = log.build(through=day(12))
    assert log.build(through=day(12)) == first
    log.exposed("bob", 11.0)
    log.done()
    log.build()
    rows = database.query("SELECT through, count() FROM experiment_users GROUP BY through ORDER BY through").result_rows
    assert rows == [(day(12), 1), (THROUGH, 2)]
    assert first.where == {"experiment_id": "demotion", "surface": "all", "through": day(12)}


def test_replayed_exposures_and_a_late_event_change_only_what_they_should(log: Log) -> None:
    log.exposed("ann", 12.0)
    log.seen("ann", 13.0)
    log.done()
    log.build()
    before = log.row("ann", "* EXCEPT built_at")
    log.exposed("ann", 12.0)
    log.build()
    assert log.row("ann", "* EXCEPT built_at") == before
    log.seen("ann", 13.5)
    assert log.build().outdated == (day(13),)
    log.done()
    assert log.build().outdated == ()
    assert log.row("ann", "impressions, active_days") == (2, 1)


def test_no_table_is_built_on_days_that_were_never_summed(log: Log) -> None:
    log.exposed("ann", 12.0)
    log.seen("ann", 13.0)
    with pytest.raises(
        CheckFailedError,
        match=r"demotion: 2026-11-14 has rows and was never rebuilt, "
        r"run `precedent warehouse rebuild --since 2026-11-03 --until 2026-11-20`",
    ):
        log.build()


@pytest.mark.parametrize("through", [day(9), day(20)])
def test_the_last_day_must_be_one_of_the_experiment(log: Log, through: date) -> None:
    with pytest.raises(BadInputError, match=r"through == 2026-11-\d\d, must be within 2026-11-11 to 2026-11-20"):
        log.build(through=through)


def test_an_empty_window_is_an_empty_table(log: Log, database: Client) -> None:
    table = log.build()
    assert (table.users, table.in_several) == (0, 0)
    assert exposure_counts(database, EXPERIMENT).variants == (VariantUsers("control", 0), VariantUsers("treatment", 0))


def test_exposures_are_counted_by_variant_and_day_and_strange_ones_apart(log: Log, database: Client) -> None:
    log.exposed("ann", 10.0, "control")
    log.exposed("ann", 12.0, "control")
    log.exposed("bob", 12.0, "treatment")
    log.exposed("eve", 12.0, "treatment")
    log.exposed("two", 11.0, "treatment")
    log.exposed("two", 12.0, "control")
    log.exposed("odd", 12.0, "typo")
    log.exposed("early", 9.0, "control")
    counts = exposure_counts(database, EXPERIMENT)
    assert counts.variants == (VariantUsers("control", 1), VariantUsers("treatment", 2))
    assert (counts.in_several, counts.outside) == (1, 1)
    assert counts.unknown == (VariantUsers("typo", 1),)
    assert counts.by_day == (FirstExposures(day(10), "control", 1), FirstExposures(day(12), "treatment", 2))
    assert exposure_counts(database, EXPERIMENT, through=day(11)).in_several == 0
    log.done()
    assert log.build().users == 4


def test_the_columns_are_those_that_analyses_read(database: Client) -> None:
    read = """
        experiment_id surface through user_id variant variants_seen first_exposed_on activity
        impressions scored_impressions toxic_impressions exposed_impressions
        reports active_days usage_s watch_s retained followed_days
        pre_impressions pre_scored_impressions pre_toxic_impressions pre_reports pre_active_days pre_usage_s built_at
    """
    columns = [row[0] for row in database.query("DESCRIBE TABLE experiment_users").result_rows]
    assert " ".join(columns) == " ".join(read.split())


def test_a_warehouse_that_is_away_is_a_dependency() -> None:
    class Away:
        def query(self, query: str, parameters: Any = None) -> Any:
            from clickhouse_connect.driver.exceptions import OperationalError

            raise OperationalError("connection refused")

        def command(self, cmd: str, parameters: Any = None, *, settings: Any = None) -> Any:
            raise AssertionError(cmd)

    with pytest.raises(DependencyError, match="exposures of demotion: the warehouse does not answer"):
        exposure_counts(Away(), EXPERIMENT)
