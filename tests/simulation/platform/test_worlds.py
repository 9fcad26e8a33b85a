"""Worlds of one population: complete, repeatable, and coupled, so that what differs between them is the arm."""

from dataclasses import fields, replace

import numpy as np
import pytest

from contracts.errors import BadInputError
from simulation.platform.day import Day
from simulation.platform.days import TOXIC_FROM, live
from simulation.platform.log.totals import sum_up
from simulation.platform.population import Plan, draw_population, everyone
from simulation.platform.sessions.opening import OUTSIDE
from simulation.platform.settings import FeedbackSettings, PlatformSettings
from tests.simulation.platform.worlds import NO_FEEDBACK, SMALL, by_arm, by_relevance, every_other, world

CENTRAL = PlatformSettings()


def same(one: Day, other: Day, *, but: tuple[str, ...] = ()) -> bool:
    names = [field.name for field in fields(Day) if field.name not in but]
    return all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=n == "toxicity_I") for n in names)


def test_every_impression_lies_in_a_session_and_every_sum_agrees() -> None:
    population, days = world(CENTRAL, every_other)
    totals = sum_up(days, population)
    for day in days:
        assert (np.diff(day.session_I) >= 0).all()
        assert set(day.session_I.tolist()) <= set(range(len(day.viewer_S)))
        assert (day.shown_ms_I >= day.started_ms_S[day.session_I]).all()
        assert (day.shown_ms_I + day.watch_ms_I <= day.ended_ms_S[day.session_I]).all()
        assert (day.ended_ms_S < 86_400_000).all()
        # sessions of one viewer follow each other
        follows = day.viewer_S[1:] == day.viewer_S[:-1]
        assert (day.started_ms_S[1:][follows] > day.ended_ms_S[:-1][follows]).all()
        # positions of a session are 0, 1, 2, ...
        first = np.r_[True, np.diff(day.session_I) > 0]
        assert (day.position_I[first] == 0).all()
        assert (np.diff(day.position_I)[~first[1:]] == 1).all()
    reported = sum(int(day.reported_I.sum()) for day in days)
    since = [d for d in days if d.day >= SMALL.starts_on]
    assert totals.impressions.sum() == sum(len(d.video_I) for d in since)
    assert totals.pre_impressions.sum() == sum(len(d.video_I) for d in days) - totals.impressions.sum()
    assert totals.reports.sum() + totals.pre_reports.sum() == reported
    assert totals.scored_impressions.sum() == sum(int((~np.isnan(d.toxicity_I)).sum()) for d in since)
    assert totals.toxic_impressions.sum() == sum(int((d.toxicity_I >= TOXIC_FROM).sum()) for d in since)
    assert totals.active_days.sum() == sum(len(np.unique(d.viewer_S)) for d in since)
    assert totals.usage_s.sum() * 1000 == pytest.approx(sum(int((d.ended_ms_S - d.started_ms_S).sum()) for d in since))


def test_no_feed_shows_a_video_twice() -> None:
    _, days = world(CENTRAL)
    for day in days:
        pairs = np.stack([day.session_I, day.video_I])
        assert np.unique(pairs, axis=1).shape == pairs.shape


def test_the_same_seed_gives_the_same_days_and_another_seed_others() -> None:
    (_, one), (_, again) = world(CENTRAL, every_other), world(CENTRAL, every_other)
    _, other = world(CENTRAL, every_other, plan=replace(SMALL, seed=6))
    assert all(same(a, b) for a, b in zip(one, again, strict=True))
    assert not any(same(a, b) for a, b in zip(one, other, strict=True))


def test_equal_arms_give_identical_worlds() -> None:
    (_, one), (_, other) = (world(CENTRAL, everyone(arm), ranker=by_relevance) for arm in (0, 1))
    assert all(same(a, b, but=("arm_S",)) for a, b in zip(one, other, strict=True))


def test_before_the_arms_are_in_force_all_worlds_are_the_same_and_afterwards_not() -> None:
    worlds = [world(CENTRAL, assigner)[1] for assigner in (everyone(0), everyone(1), every_other)]
    for day in range(SMALL.starts_on):
        assert all(same(worlds[0][day], other[day]) for other in worlds[1:])
        assert (worlds[0][day].arm_S == OUTSIDE).all()
    assert not same(worlds[0][SMALL.starts_on], worlds[1][SMALL.starts_on], but=("arm_S",))


def test_without_interference_each_user_of_an_experiment_fares_as_in_the_world_of_their_arm() -> None:
    population, mixed = world(NO_FEEDBACK, every_other)
    both = sum_up(mixed, population)
    for arm in (0, 1):
        alone = sum_up(world(NO_FEEDBACK, everyone(arm))[1], population)
        mine = np.flatnonzero(np.arange(SMALL.viewers) % 2 == arm)
        for field in fields(both):
            if field.name != "arm_N":
                assert np.array_equal(getattr(both.of(mine), field.name), getattr(alone.of(mine), field.name))


def test_with_interference_what_others_report_reaches_a_user_in_control() -> None:
    eager = replace(CENTRAL, feedback=FeedbackSettings(case_at=1))
    population, mixed = world(eager, every_other)
    alone = world(eager, everyone(0))[1]
    control = np.flatnonzero(np.arange(SMALL.viewers) % 2 == 0)
    there, here = (sum_up(days, population).of(control) for days in (mixed, alone))
    assert not np.array_equal(there.watch_s, here.watch_s)
    assert np.array_equal(there.exposed_on_N, here.exposed_on_N)


def test_arms_take_effect_only_on_the_surfaces_of_the_plan() -> None:
    plan = replace(SMALL, surfaces=(SMALL.surfaces[1],))
    _, days = world(CENTRAL, everyone(1), plan=plan)
    after = [day for day in days if day.day >= plan.starts_on]
    for day in after:
        assert ((day.arm_S == 1) == (day.surface_S == 1)).all()


def test_a_platform_without_a_visitor_has_empty_days() -> None:
    nobody = replace(CENTRAL, audience=replace(CENTRAL.audience, active_share=0.01, active_spread=0.0))
    population, days = world(nobody, plan=Plan(viewers=1, days=3, seed=1, starts_on=1))
    assert sum(len(day.viewer_S) for day in days) == 0
    assert sum_up(days, population).exposed.size == 0


def test_an_assigner_of_another_length_is_refused() -> None:
    population = draw_population(SMALL, CENTRAL)
    with pytest.raises(BadInputError, match=r"arms of shape \(3,\), must be \(300,\)"):
        next(live(population, by_arm, lambda _: np.zeros(3, np.int8)))


def test_a_ranker_that_gives_no_number_is_refused() -> None:
    population = draw_population(SMALL, CENTRAL)
    with pytest.raises(BadInputError, match="without NaN"):
        next(live(population, lambda feed: feed.relevance_S_C * np.nan, everyone(0)))
