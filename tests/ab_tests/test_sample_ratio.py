"""The sample-ratio check: chi-square by hand, the size that notices a drift, and what it can and cannot see."""

import math

import numpy as np
import pytest

from ab_tests.inference.sample_ratio import BALANCED, check_sample_ratio, power_to_notice, users_to_notice
from ab_tests.results import ArmCount
from tests.ab_tests.aggregates import aggregates


def arms(*users: int) -> list[ArmCount]:
    return [ArmCount(f"v{i}", 1 / len(users), n) for i, n in enumerate(users)]


def test_chi_square_of_two_arms_by_hand() -> None:
    # 450 and 550 of 1000: 50^2 / 500 twice is 10; one degree of freedom: erfc(sqrt(10 / 2)).
    found = check_sample_ratio(arms(450, 550), {}, [])
    assert found.statistic == pytest.approx(10.0)
    assert found.p_value == pytest.approx(math.erfc(math.sqrt(5)))
    assert found.p_value == pytest.approx(0.001565, abs=1e-6)
    assert not found.alarms
    assert check_sample_ratio(arms(440, 560), {}, []).alarms


def test_three_arms_of_unequal_shares() -> None:
    # Planned 500, 250, 250; 30^2 / 500 + 30^2 / 250 = 5.4, two degrees of freedom: exp(-2.7).
    planned = [ArmCount("a", 0.5, 530), ArmCount("b", 0.25, 220), ArmCount("c", 0.25, 250)]
    assert check_sample_ratio(planned, {}, []).p_value == pytest.approx(math.exp(-2.7))


def test_losses_that_cancel_in_all_show_within_segments() -> None:
    found = check_sample_ratio(arms(1_000, 1_000), {"heavy": (400, 600), "light": (600, 400)}, [])
    assert found.p_value == 1.0
    assert found.segments_p_value is not None
    assert found.segments_p_value < 1e-10
    assert found.alarms


def test_one_segment_alone_says_no_more_than_all() -> None:
    assert check_sample_ratio(arms(450, 550), {"new": (450, 550), "heavy": (0, 0)}, []).segments_p_value is None


@pytest.mark.parametrize(("shift", "alarms"), [(0.0, False), (0.5, True)])
def test_arms_that_differed_before_the_start_alarm(shift: float, *, alarms: bool) -> None:
    rng = np.random.default_rng(3)
    before = [
        aggregates({name: list(rng.normal(10.0 + (shift if arm else 0.0), 1.0, 500)) for name in BALANCED})
        for arm in (0, 1)
    ]
    found = check_sample_ratio(arms(500, 500), {}, before)
    assert found.balance_p_value is not None
    assert found.alarms is alarms


def test_nothing_recorded_before_is_no_imbalance() -> None:
    blank = aggregates({name: [0.0, 0.0, 0.0] for name in BALANCED})
    assert check_sample_ratio(arms(3, 3), {}, [blank, blank]).balance_p_value is None


def test_the_size_that_notices_49_to_51() -> None:
    # Two-sided normal: n = ((3.2905 + 0.8416) 0.5 / 0.01)^2 = 42,687.
    assert users_to_notice((0.5, 0.5), (0.49, 0.51)) == pytest.approx(42_687, abs=5)
    assert power_to_notice((0.5, 0.5), (0.49, 0.51), 42_687, threshold=0.001) == pytest.approx(0.8, abs=1e-4)
    assert power_to_notice((0.5, 0.5), (0.5, 0.5), 42_687, threshold=0.001) == pytest.approx(0.001)
