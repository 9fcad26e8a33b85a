"""When a candidate is halted, waits, or goes on: hand-worked stakes and figures."""

import math
from datetime import timedelta

import numpy as np
import pytest
from scipy.integrate import quad

from contracts.errors import BadInputError
from contracts.releases import Seat
from policy.rollout.assess import RolloutSettings, assess
from policy.rollout.evidence import log_bet_over, overdispersion, report_ratio
from policy.rollout.figures import NOTHING, Reported, RolloutFigures

LONG = timedelta(hours=24)


def single(impressions: int, reports: int) -> Reported:
    """Videos of one impression each: reports are as variable as a count, no more."""
    return Reported(impressions, impressions, reports, float(impressions), float(reports), float(reports))


def figures(live: Reported, candidate: Reported, **counts: int) -> RolloutFigures:
    given = {"compared": 10_000, "disagreeing": 100, "stricter": 50, "unanswered": 0} | counts
    return RolloutFigures(live, candidate, **given)


def test_the_stake_of_a_bet_is_the_mixture_of_likelihood_ratios() -> None:
    # 1 success of 1 over the line 0.5: the integral of p / 0.5 over (0.5, 1) of density 2 is 1.5
    assert log_bet_over(1, 1, 0.5) == pytest.approx(math.log(1.5))
    assert log_bet_over(0, 1, 0.5) == pytest.approx(math.log(0.5))
    assert log_bet_over(0, 0, 0.5) == pytest.approx(0.0)
    by_hand, _ = quad(lambda p: (p / 0.2) ** 7 * ((1 - p) / 0.8) ** 13 / 0.8, 0.2, 1.0)
    assert log_bet_over(7, 20, 0.2) == pytest.approx(math.log(by_hand))


def test_a_harmless_share_multiplies_its_stake_by_twenty_in_few_sequences_over_all_looks() -> None:
    rng = np.random.default_rng(5)
    won = 0
    for _ in range(200):
        successes = np.cumsum(rng.random(1_000) < 0.15)
        won += any(log_bet_over(successes[n - 1], n, 0.15) >= math.log(20.0) for n in range(10, 1_001, 10))
    assert won <= 10  # at most one in twenty, by Ville's inequality


def test_far_from_the_line_the_stake_stays_a_number() -> None:
    for successes, line in ((0, 0.5), (100_000, 1e-4), (5, 0.9)):
        assert math.isfinite(log_bet_over(successes, 100_000, line))


def test_reports_that_come_together_weigh_less() -> None:
    # 4 videos of 100 impressions, one with all 8 reports: R = 0.02, residuals 6, -2, -2, -2: 48 over 8 expected
    together = Reported(4, 400, 8, 40_000.0, 64.0, 800.0)
    assert overdispersion(together, NOTHING) == pytest.approx(48 / 8)
    assert overdispersion(single(1_000, 10), single(1_000, 10)) == pytest.approx(1.0)
    assert overdispersion(NOTHING, NOTHING) == 1.0


def test_the_ratio_of_report_rates_by_hand() -> None:
    # 40 of 120 reports on a third of the impressions is a ratio of 1: 20,000 and 40,000 impressions
    estimate, low, high = report_ratio(single(40_000, 80), single(20_000, 40), share=0.95)
    assert estimate == pytest.approx(1.0, abs=0.01)
    assert low < 0.75
    assert high > 1.3
    assert report_ratio(NOTHING, NOTHING, share=0.95) == (1.0, 0.0, math.inf)


def test_a_canary_that_is_reported_three_times_as_often_is_halted_and_the_reason_names_the_counts() -> None:
    found = assess(figures(single(400_000, 400), single(20_000, 60)), "canary", LONG)
    assert found.outcome == "halt"
    assert "report rate: 3.0" in found.reason
    assert "60 reports of 20,000 impressions against 400 of 400,000, must not be over 1.1" in found.reason


def test_a_canary_as_often_reported_as_the_live_release_goes_on_and_before_its_time_it_waits() -> None:
    good = figures(single(400_000, 400), single(50_000, 50))
    assert assess(good, "canary", LONG).outcome == "advance"
    early = assess(good, "canary", timedelta(hours=2))
    assert early == ("wait", "canary for 2.0 h of 6.0 h")
    few = assess(figures(single(4_000, 4), single(100, 0), compared=200, disagreeing=2), "canary", LONG)
    assert few.outcome == "wait"
    assert "200 decisions compared of 1,000; 100 videos of the canary of 200; 100 impressions" in few.reason


def test_few_reports_halt_nothing() -> None:
    assert assess(figures(single(4_000, 4), single(200, 2)), "canary", LONG).outcome == "wait"


@pytest.mark.parametrize("seat", ["shadow", "canary"])
def test_a_candidate_that_decides_otherwise_or_says_nothing_is_halted_whatever_viewers_say(seat: Seat) -> None:
    quiet = single(400_000, 400), single(50_000, 0)
    differs = assess(figures(*quiet, compared=1_000, disagreeing=250, stricter=240), seat, LONG)
    assert differs.outcome == "halt"
    assert "25.0% of 1,000 decisions differ from the live release's (240 stricter), must not be over 15.0%" in (
        differs.reason
    )
    silent = assess(figures(*quiet, compared=600, disagreeing=0, unanswered=400), seat, LONG)
    assert (silent.outcome, "said nothing of 40.0% of 1,000 videos" in silent.reason) == ("halt", True)


def test_a_shadow_goes_on_by_its_decisions_alone() -> None:
    shown = figures(NOTHING, NOTHING, compared=1_000, disagreeing=10)
    assert assess(shown, "shadow", timedelta(hours=1)) == ("advance", "1.0% of 1,000 decisions differ")
    assert assess(shown, "shadow", timedelta(minutes=30)).outcome == "wait"


def test_lines_out_of_order_are_refused() -> None:
    with pytest.raises(BadInputError, match=r"reported_more == 2, no_worse_than == 1\.5"):
        RolloutSettings(reported_more=2)
    with pytest.raises(BadInputError, match=r"alpha == 1\.5, must be in \(0, 1\)"):
        RolloutSettings(alpha=1.5)
