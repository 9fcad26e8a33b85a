"""The whole analysis on moments of hand-made users: families, breakdowns, looks, beyond the plan, and refusals."""

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pytest

from ab_tests.analysis import analyse, metrics_of, reads_of
from ab_tests.inference.sample_ratio import BALANCED
from ab_tests.metrics import METRICS, columns_of
from ab_tests.population import ACTIVITIES, BlockedError, Moments
from ab_tests.results import Outcome
from contracts.errors import BadInputError
from contracts.experiments import Experiment, MetricName
from contracts.viewers import Surface
from tests.ab_tests.aggregates import aggregates
from tests.ab_tests.samples import experiment, split

COLUMNS = tuple(dict.fromkeys([*columns_of(METRICS.values()), *BALANCED]))


class MadeUp:
    """Moments of users who do more every day; `lifts` multiplies the reports of an arm."""

    def __init__(
        self, lifts: Mapping[str, float], *, users: int = 400, several: int = 0, outdated: tuple[date, ...] = ()
    ) -> None:
        self.lifts, self.users, self.several, self.outdated = lifts, users, several, outdated
        self.asked: list[tuple[date, Surface | None]] = []

    def __call__(self, *, through: date, surface: Surface | None = None) -> Moments:
        self.asked.append((through, surface))
        days = (through - experiment().starts_on).days + 1
        cells = {}
        for place, (arm, lift) in enumerate(self.lifts.items()):
            for segment, activity in enumerate(ACTIVITIES):
                rng = np.random.default_rng([place, segment])
                habit = rng.gamma(2.0, 1.0 + segment, self.users // 4)
                steps = rng.poisson(habit[:, None] * np.ones(40)).cumsum(axis=1)[:, days - 1].astype(float)
                columns = {name: list(steps + 1) for name in COLUMNS if not name.startswith("pre_")}
                columns |= {name: list(habit * (activity != "new")) for name in COLUMNS if name.startswith("pre_")}
                reports = rng.poisson(0.3 * lift * steps[:, None] * np.ones(1))[:, 0].astype(float)
                columns["reports"] = list(reports)
                cells[arm, activity] = aggregates(columns)
        return Moments(through, cells, self.several, self.outdated)


def day(number: int) -> date:
    return experiment().starts_on + timedelta(days=number - 1)


THREE = experiment(variants=split(0.34, 0.33, 0.33), metrics=[name.value for name in MetricName], pre_period_days=14)


def test_three_arms_are_judged_each_and_share_alpha() -> None:
    read = MadeUp({"v0": 1.0, "v1": 0.8, "v2": 1.0})
    found = analyse(THREE, read, through=day(14))
    assert [verdict.variant for verdict in found.verdicts] == ["v1", "v2"]
    assert found.verdicts[0].outcome is Outcome.BETTER
    assert found.verdicts[1].outcome is not Outcome.BETTER
    primary, other = found.sequences[0], found.sequences[-1]
    assert (primary.metric, primary.alpha, other.alpha) == (MetricName.REPORT_RATE, 0.025, 0.05)
    assert len(found.estimates) + len(found.unmeasured) == 16
    assert all(one.adjusted_p >= one.p_value for one in found.estimates)
    assert found.estimate(MetricName.REPORT_RATE, "v1") is found.estimates[0]


def test_every_day_and_every_surface_is_read_once() -> None:
    read, ticks = MadeUp({"control": 1.0, "treatment": 1.0}), []
    analyse(experiment(), read, through=day(5), tick=lambda: ticks.append(1))
    assert sorted(through for through, surface in read.asked if surface is None) == [day(n) for n in range(1, 6)]
    assert [surface for _, surface in read.asked if surface] == list(Surface)
    assert len(ticks) == reads_of(experiment(), day(5)) == 8


def test_segments_have_q_and_new_users_no_cuped() -> None:
    found = analyse(experiment(), MadeUp({"control": 1.0, "treatment": 0.7}), through=day(14))
    surface, activity = found.breakdowns
    assert surface.heterogeneity == ()
    assert {one.metric for part in surface.parts for one in part.estimates} == {MetricName.REPORT_RATE}
    assert [part.name for part in activity.parts] == list(ACTIVITIES)
    assert [one.cuped for part in activity.parts for one in part.estimates] == [False, False] + [True] * 6
    assert {test.degrees_of_freedom for test in activity.heterogeneity} == {3}


def test_guardrails_are_measured_though_they_are_no_metrics() -> None:
    guarded = experiment(guardrails=[{"metric": "usage_time_total", "margin": 0.3}])
    found = analyse(guarded, MadeUp({"control": 1.0, "treatment": 1.0}), through=day(14))
    assert metrics_of(guarded)[-1].name is MetricName.USAGE_TIME_TOTAL
    assert [g.metric for g in found.guardrails] == [MetricName.USAGE_TIME_TOTAL]
    assert found.definitions[-1].metric is MetricName.USAGE_TIME_TOTAL


def test_caveats_say_what_limits_the_conclusion() -> None:
    read = MadeUp({"control": 1.0, "treatment": 1.0}, several=3, outdated=(day(2),))
    early = analyse(experiment(pre_period_days=0), read, through=day(3)).caveats
    assert "not that of launching to all" in early[0]
    assert any("CUPED is off" in caveat for caveat in early)
    assert any("day 3 of 14" in caveat for caveat in early)
    assert any("3 users (0.37%) saw several variants" in caveat for caveat in early)
    assert any(str(day(2)) in caveat for caveat in early)


def test_an_experiment_that_goes_on_after_its_plan_uses_the_wider_band() -> None:
    found = analyse(experiment(), MadeUp({"control": 1.0, "treatment": 1.0}), through=day(16))
    criticals = [look.critical for look in found.sequences[0].looks]
    assert criticals[15] > 3.0 > criticals[13]
    assert any("14 days were planned and this is day 16" in caveat for caveat in found.caveats)


def test_moving_the_end_does_not_move_the_plan() -> None:
    longer = experiment(ends_on=day(16))
    read = MadeUp({"control": 1.0, "treatment": 1.0})
    kept = analyse(longer, read, through=day(16), planned_days=14).sequences[0]
    assert kept == analyse(experiment(), read, through=day(16)).sequences[0]
    assert kept != analyse(longer, read, through=day(16)).sequences[0]


def test_a_primary_metric_without_events_is_not_enough_users() -> None:
    found = analyse(experiment(), MadeUp({"control": 1.0, "treatment": 0.0}), through=day(14))
    assert found.verdicts[0].outcome is Outcome.NOT_ENOUGH
    assert "treatment has 0 reports" in found.verdicts[0].sentence
    assert found.unmeasured[0].metric is MetricName.REPORT_RATE


def blocked(ran: Experiment, read: MadeUp) -> BlockedError:
    with pytest.raises(BlockedError) as caught:
        analyse(ran, read, through=day(14))
    return caught.value


def test_a_refusal_keeps_what_is_known() -> None:
    lopsided = blocked(THREE, MadeUp({"v0": 1.0, "v1": 1.0, "v2": 1.0}, users=40_000))
    assert lopsided.sample_ratio is not None
    assert lopsided.sample_ratio.alarms
    assert [arm.users for arm in lopsided.sample_ratio.arms] == [40_000] * 3
    mixed = blocked(experiment(), MadeUp({"control": 1.0, "treatment": 1.0}, several=40))
    assert mixed.population is not None
    assert mixed.population.several_variants_share == pytest.approx(40 / 840)
    assert "which is no variant" in str(blocked(experiment(), MadeUp({"control": 1.0, "treatment": 1.0, "other": 1.0})))


def test_a_day_before_the_start_is_bad_input() -> None:
    with pytest.raises(BadInputError, match="must not be before starts_on"):
        analyse(experiment(), MadeUp({"control": 1.0, "treatment": 1.0}), through=day(0))
