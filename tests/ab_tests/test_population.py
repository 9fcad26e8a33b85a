"""Rows of the per-user table in a real warehouse become the moments that a hand would work out."""

from datetime import date, timedelta

import ibis
import pytest

from ab_tests.metrics import FOLLOWED_WEEK, METRICS, RETAINED_WEEK
from ab_tests.population import Moments, read_moments
from contracts.experiments import MetricName
from warehouse.address import WarehouseAddress, connect

THROUGH = date(2026, 11, 14)
COLUMNS = ["user_id", "variant", "variants_seen", "first_exposed_on", "activity", "reports", "impressions", "retained"]
ROWS = [
    ("a", "control", 1, 13, "heavy", 1, 10, 1),
    ("b", "control", 1, 7, "heavy", 2, 20, 1),  # seven days before the last: it can be known whether they came back
    ("c", "control", 1, 6, "heavy", 3, 30, 0),  # six days before: it cannot
    ("d", "control", 1, 13, "new", 8, 40, 0),  # alone in their cell: no variance there
    ("e", "treatment", 1, 13, "new", 5, 10, 0),
    ("f", "treatment", 2, 13, "new", 99, 1, 1),  # seen in two variants
]


@pytest.fixture
def moments(address: WarehouseAddress) -> Moments:
    rows = [(user, arm, seen, THROUGH - timedelta(days=ago), *rest) for user, arm, seen, ago, *rest in ROWS]
    connect(address).insert("experiment_users", rows, column_names=COLUMNS)
    tables = ibis.clickhouse.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=address.database,
    )
    metrics = [METRICS[MetricName.REPORT_RATE], METRICS[MetricName.RETENTION]]
    return read_moments(tables.table("experiment_users"), metrics, through=THROUGH)


def test_cells_add_up_to_the_moments_of_an_arm(moments: Moments) -> None:
    # Reports 1, 2, 3, 8: mean 3.5, squares about it 6.25 + 2.25 + 0.25 + 20.25 = 29, so variance 29/3.
    # Impressions 10, 20, 30, 40: mean 25; products -2.5*-15 + -1.5*-5 + -0.5*5 + 4.5*15 = 110, covariance 110/3.
    control = moments.arm("control")
    assert (control.count(), control.mean("reports"), control.mean("impressions")) == (4, 3.5, 25.0)
    assert control.var("reports") == pytest.approx(29 / 3)
    assert control.cov("reports", "impressions") == pytest.approx(110 / 3)
    assert moments.arm("control", "heavy").var("reports") == pytest.approx(1.0)


def test_who_saw_two_variants_is_counted_and_left_out(moments: Moments) -> None:
    assert moments.several_variants == 1
    assert moments.users("treatment") == 1
    assert moments.arm("treatment").mean("reports") == 5.0
    assert set(moments.variants) == {"control", "treatment"}


def test_retention_is_of_those_who_were_followed_for_a_week(moments: Moments) -> None:
    control = moments.arm("control")
    assert control.mean(FOLLOWED_WEEK) == pytest.approx(3 / 4)
    assert control.mean(RETAINED_WEEK) / control.mean(FOLLOWED_WEEK) == pytest.approx(2 / 3)
