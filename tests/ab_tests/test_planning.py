"""How many users and days an experiment will need, by hand, from what users did before it."""

from datetime import date, timedelta

import pytest
from tea_tasting.aggr import Aggregates

from ab_tests.planning import past_lines, plan
from contracts.errors import BadInputError, CheckFailedError
from tests.ab_tests.aggregates import aggregates
from tests.ab_tests.samples import experiment, split

THROUGH = date(2026, 10, 31)


def past(*, since: date, through: date) -> Aggregates:
    """900 more users each day, of mean 1 and variance 2/3; nobody reports."""
    seen = (through - since).days + 1
    return aggregates(
        {
            "active_days": [0.0, 1.0, 2.0] * 300 * seen,
            "impressions": [10.0] * 900 * seen,
            "reports": [0.0] * 900 * seen,
        }
    )


def test_users_and_days_by_hand() -> None:
    # To find 10% with power 80%: 2 (1.96 + 0.8416)^2 / 0.1^2 = 1569.8 an arm at variance 1, 2093.1 in all at 2/3.
    # 900 users a day, a quarter of the buckets: 225 enter a day, so 2093.1 / 225 = 9.3: 10 days.
    asked = experiment(buckets=(0, 2_500), pre_period_days=7, smallest_effect=0.1)
    planned = plan(asked, past, through=THROUGH)
    (found,) = planned.power
    assert (planned.since, planned.users, planned.entering) == (date(2026, 10, 25), 6_300, 1_575)
    assert found.users_needed == pytest.approx(2_093, abs=2)
    assert found.more_days is not None
    assert found.days + found.more_days == 10
    (missing,) = planned.unmeasured
    assert missing.reason == "the control has 0 reports, must have 10 or more"
    assert any(line.startswith("active_days") and line.endswith(" 10") for line in past_lines(planned))


def test_every_arm_of_three_is_planned_and_the_primary_metric_pays_for_both() -> None:
    asked = experiment(
        variants=split(0.5, 0.25, 0.25), primary="active_days", metrics=["active_days"], smallest_effect=0.1
    )
    first, second = plan(asked, past, through=THROUGH).power
    # alpha is 0.025 for each: z 2.2414; arms of 2 to 1: (1/2 + 1/1) * 3 users for each of the smaller arm's.
    per_unit = (2.2414 + 0.8416) ** 2 / 0.1**2 * 2 / 3
    assert first.users_needed == second.users_needed == pytest.approx(per_unit * 1.5 * 3, rel=2e-3)


def test_no_pre_period_and_nobody_active_are_said_so() -> None:
    with pytest.raises(BadInputError, match="pre_period_days == 0, must be 1 or more to plan"):
        plan(experiment(pre_period_days=0), past, through=THROUGH)

    def nobody(*, since: date, through: date) -> Aggregates:
        one = past(since=since, through=since + timedelta(0))
        return Aggregates(0, one.mean_, one.var_, one.cov_)

    with pytest.raises(CheckFailedError, match=r"one: 0 users were active from .*, an arm would have 0"):
        plan(experiment(), nobody, through=THROUGH)
