"""A court whose rulings are on two trends' videos, in two languages, and on usual ones of their categories."""

import pytest

from bench.gate.releases import word_cases
from policy.growth.leaves.desk import Desk
from simulation.trends.settings import TRENDS, Trend
from simulation.trends.uploads import draw_trend, upload_of
from tests.policy.publication.conftest import Court, Taught, court, taught

__all__ = ["Court", "Taught", "court", "taught"]  # pytest finds fixtures by their names

RULED, SEED = 20, 5
CASES = {
    trend.name: {f"case-{upload_of(one).event_id}" for one in draw_trend(trend, RULED, SEED)}
    for trend in TRENDS.values()
}
"""The cases of `trending` that are of each trend."""


@pytest.fixture
def trending(court: Court) -> Court:
    """20 rulings on each trend, and 24 on usual videos of the same two categories."""
    for trend in TRENDS.values():
        for one in draw_trend(trend, RULED, SEED):
            court.rule(upload_of(one), trend.category)
    categories = {trend.category for trend in TRENDS.values()}
    for case in [item.case for item in word_cases(600, 14) if item.case.category in categories][:24]:
        court.rule(case.upload, case.category)
    return court


@pytest.fixture
def desk(court: Court) -> Desk:
    return Desk(court.root.path / "taxonomy")


def trend_of(members: tuple[str, ...]) -> Trend | None:
    """The trend that most of these cases are of, None where most are usual."""
    found = max(TRENDS.values(), key=lambda trend: len(CASES[trend.name] & set(members)))
    return found if 2 * len(CASES[found.name] & set(members)) > len(members) else None
