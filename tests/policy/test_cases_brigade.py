"""A brigade of one user in twenty on a small platform: the short form of `bench.brigade`."""

import pytest

from bench.brigade import HELD, LEAST_KEPT, MANNERS, BrigadeSettings, attack

SMALL = BrigadeSettings(users=2_000, videos=1_000, targets=100)


@pytest.mark.parametrize("manner", HELD)
def test_mass_reporting_opens_no_case_and_honest_reports_still_do(manner: str) -> None:
    outcome = attack(SMALL, MANNERS[manner], seed=11)
    assert outcome.counted_targets >= 80  # so many would be cases, were reports merely counted
    assert outcome.opened_targets == 0
    assert outcome.honest_cases >= 30
    assert outcome.kept >= LEAST_KEPT * outcome.honest_cases
    assert outcome.named == outcome.members == 100
