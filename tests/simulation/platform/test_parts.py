"""Small hand-worked cases: scores, shelves, watching, reporting in bad faith, cases, loyalty."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.errors import BadInputError
from simulation.platform.days import live
from simulation.platform.feedback import Docket
from simulation.platform.log.totals import sum_up
from simulation.platform.population import Plan, draw_population, everyone
from simulation.platform.sessions.watching import leave_chance, share_watched
from simulation.platform.settings import (
    BadFaithSettings,
    FeedbackSettings,
    ModelSettings,
    PlatformSettings,
    with_changes,
)
from simulation.platform.videos import Videos, binormal, draw_videos, lay_shelf, line_of, resampled
from simulation.platform.viewers import Experience, Standing, live_through
from tests.simulation.platform.worlds import SMALL, by_arm, by_relevance, world

CENTRAL = PlatformSettings()


def videos(*, violative: list[bool], score: list[float]) -> Videos:
    n = len(violative)
    return Videos(
        uploaded_on_M=np.zeros(n, np.int32),
        category_M=np.where(violative, 0, 15).astype(np.int8),
        toxicity_M=np.where(violative, 0.8, 0.1).astype(np.float32),
        score_M=np.array(score, np.float32),
        trend_M=np.full(n, -1, np.int8),
        topic_M=np.zeros(n, np.int8),
        appeal_M=np.full(n, 0.5, np.float32),
        popularity_M=np.ones(n),
        length_s_M=np.full(n, 10.0, np.float32),
    )


@pytest.mark.parametrize(("recall", "rate", "prevalence"), [(0.85, 0.02, 0.1), (0.5, 0.1, 0.3)])
def test_the_score_has_the_stated_recall_and_false_positives_at_its_line_and_is_calibrated(
    recall: float, rate: float, prevalence: float
) -> None:
    model = ModelSettings(recall=recall, false_positive_rate=rate)
    rng = np.random.default_rng(1)
    violative = rng.random(200_000) < prevalence
    score = binormal(model, prevalence)(violative, rng)
    line = line_of(model, prevalence)
    assert (score[violative] >= line).mean() == pytest.approx(recall, abs=0.01)
    assert (score[~violative] >= line).mean() == pytest.approx(rate, abs=0.003)
    for low in (0.1, 0.3, 0.5, 0.7):
        bin_ = (score >= low) & (score < low + 0.2)
        assert violative[bin_].mean() == pytest.approx(score[bin_].mean(), abs=0.03)


def test_real_scores_are_dealt_to_videos_of_their_kind() -> None:
    scorer = resampled(np.array([0.9], np.float32), np.array([0.2, 0.3], np.float32))
    found = scorer(np.array([True, False, False, True]), np.random.default_rng(0))
    assert found[[0, 3]].tolist() == pytest.approx([0.9, 0.9])
    assert set(found[[1, 2]].tolist()) <= {np.float32(0.2), np.float32(0.3)}
    with pytest.raises(BadInputError, match="if_violative: 0 scores"):
        resampled(np.array([], np.float32), np.array([0.2], np.float32))


def test_a_shelf_offers_the_living_videos_by_popularity_and_each_in_one_column() -> None:
    settings = replace(CENTRAL, candidates=4, page=2)
    drawn = draw_videos(settings, viewers=100, days=3, seed=1, scorer=binormal(settings.model, 0.1))
    shelf = lay_shelf(drawn, settings, day=1, seed=1)
    offered = [set(column.tolist()) for column in shelf.video_C_L]
    assert sum(len(one) for one in offered) == len(set().union(*offered))
    living = set(np.flatnonzero((drawn.uploaded_on_M <= 1) & (drawn.uploaded_on_M > 1 - 7)).tolist())
    assert set().union(*offered) <= living
    column = shelf.video_C_L[0]
    counts = np.bincount(column, minlength=len(drawn))
    mine = np.flatnonzero(counts)
    assert counts[mine] / counts.sum() == pytest.approx(
        drawn.popularity_M[mine] / drawn.popularity_M[mine].sum(), abs=0.002
    )


def test_share_watched_by_hand() -> None:
    # relevance 0.5: m = 0.15 + 0.7 * 0.5 = 0.5, so u^(1/0.5 - 1) = u
    half, quarter = np.float32(0.5), np.float32(0.25)
    no_excess = np.zeros(1, np.float32)
    found = share_watched(np.array([half]), no_excess, np.array([quarter]), CENTRAL.watching)
    assert found[0] == pytest.approx(0.25)
    # an excess of ln(2) / 2 halves m at aversion 2: u^(1/0.25 - 1) = u^3
    excess = np.array([np.log(2) / 2], np.float32)
    assert share_watched(np.array([half]), excess, np.array([half]), CENTRAL.watching)[0] == pytest.approx(0.125)
    u = np.linspace(0, 1, 10_001, dtype=np.float32)[1:]
    mean = share_watched(np.full_like(u, 0.8), np.zeros_like(u), u, CENTRAL.watching).mean()
    assert mean == pytest.approx(0.15 + 0.7 * 0.8, abs=1e-3)


def test_leaving_by_hand() -> None:
    fraction, excess = np.array([0.5, 0.0, 1.0, 0.5], np.float32), np.array([0, 0, 0, 0.5], np.float32)
    assert leave_chance(fraction, excess, CENTRAL.watching).tolist() == pytest.approx([0.09, 0.13, 0.05, 0.19])


def test_a_case_opens_at_the_third_report_and_its_ruling_removes_or_clears() -> None:
    settings = FeedbackSettings(case_at=3, ruling_days=1, ruling_accuracy=1.0)
    some = videos(violative=[True, False, True], score=[0.5, 0.5, 0.5])
    docket = Docket.empty(3)
    docket.close_day(np.array([0, 0, 1, 1, 2], np.int32), some, settings, day=0, seed=1)
    assert docket.opened_on_M.tolist() == [-1, -1, -1]
    # odds 1 * e^(0.7 * ln 3) = 3^0.7 = 2.158: two reports raise 0.5 to 0.683
    assert docket.features(some, settings)[:2].tolist() == pytest.approx([0.6833, 0.6833], abs=1e-4)
    docket.close_day(np.array([0, 1], np.int32), some, settings, day=1, seed=1)
    assert docket.opened_on_M.tolist() == [1, 1, -1]
    assert not docket.removed_M.any()
    docket.close_day(np.array([], np.int32), some, settings, day=2, seed=1)
    assert docket.removed_M.tolist() == [True, False, False]
    assert docket.cleared_M.tolist() == [False, True, False]
    assert docket.features(some, settings)[1] == pytest.approx(0.02)


def test_rulings_that_are_always_wrong_do_the_opposite() -> None:
    settings = FeedbackSettings(case_at=1, ruling_days=0, ruling_accuracy=0.0)
    some = videos(violative=[True, False], score=[0.5, 0.5])
    docket = Docket.empty(2)
    docket.close_day(np.array([0, 1], np.int32), some, settings, day=0, seed=1)
    assert (docket.removed_M.tolist(), docket.cleared_M.tolist()) == ([False, True], [True, False])


def test_without_feedback_reports_are_counted_and_change_nothing() -> None:
    settings = FeedbackSettings(on=False, case_at=1, ruling_days=0)
    some = videos(violative=[True], score=[0.5])
    docket = Docket.empty(1)
    docket.close_day(np.array([0, 0], np.int32), some, settings, day=0, seed=1)
    assert (docket.reports_M.tolist(), docket.removed_M.tolist()) == ([2], [False])
    assert docket.features(some, settings).tolist() == [0.5]


def test_satisfaction_moves_by_hand() -> None:
    standing = Standing.fresh(2)
    standing.satisfaction_N[:] = (0.4, 0.4)
    today = Experience(np.array([0]), np.array([0.65]), np.array([0.1]))
    live_through(standing, today, CENTRAL, day=0, seed=1)
    # felt 0.65 - 0.45 - 4 * 0.1 = -0.2: 0.4 + 0.05 * (-0.6) = 0.37; who stayed away: 0.4 - 0.05 * 0.4 = 0.38
    assert standing.satisfaction_N.tolist() == pytest.approx([0.37, 0.38])


def test_known_tolerance_is_the_smoothed_share_not_rejected() -> None:
    standing = Standing.fresh(2)
    standing.toxic_seen_N[:], standing.toxic_rejected_N[:] = (0, 6), (0, 5)
    assert standing.known_tolerance.tolist() == pytest.approx([0.5, 1 - 7 / 10])


def test_a_brigade_strikes_one_positive_video_on_its_day_and_a_ruling_clears_it() -> None:
    members = replace(
        CENTRAL,
        bad_faith=BadFaithSettings(brigades=1, brigade_share=0.2, brigade_every_days=7, brigade_zeal=1.0, lone_share=0),
        watching=replace(CENTRAL.watching, report_any=0.0, report_toxic=0.0),
        feedback=FeedbackSettings(ruling_accuracy=1.0, ruling_days=0),
    )
    population, days = world(members, ranker=by_relevance)
    struck = days[0].video_I[days[0].reported_I]
    present = np.unique(days[0].viewer_S)
    brigade = np.flatnonzero(population.viewers.brigade_N == 0)
    assert len(set(struck.tolist())) == 1
    assert not population.videos.violative[struck[0]]
    assert len(struck) == len(np.intersect1d(present, brigade)) > 10
    assert (days[0].position_I[days[0].reported_I] == 0).all()
    assert not any(day.reported_I.any() for day in days[1:7])
    later = np.concatenate([day.toxicity_I[day.video_I == struck[0]] for day in days[1:7]])
    assert later.size
    assert later == pytest.approx(0.02)


def test_lone_viewers_in_bad_faith_report_what_is_positive() -> None:
    bad = replace(
        CENTRAL,
        bad_faith=BadFaithSettings(lone_share=1.0, lone_report=0.5, brigades=0),
        watching=replace(CENTRAL.watching, report_any=0.0, report_toxic=0.0),
    )
    population, days = world(bad)
    for day in days:
        violative = population.videos.violative[day.video_I]
        assert not day.reported_I[violative].any()
        assert day.reported_I[~violative].mean() == pytest.approx(0.5, abs=0.03)


def test_the_report_rate_rises_with_the_toxicity_shown() -> None:
    plan = Plan(viewers=2_000, days=4, seed=3, starts_on=0)
    rates, shares = [], []
    for prevalence in (0.02, 0.10, 0.30):
        population = draw_population(plan, with_changes(prevalence=prevalence))
        totals = sum_up(live(population, by_relevance, everyone(0)), population)
        rates.append(totals.reports.sum() / totals.impressions.sum())
        shares.append(totals.violative_impressions.sum() / totals.impressions.sum())
    assert shares == sorted(shares)
    assert rates[0] < 0.7 * rates[1] < 0.7 * 0.7 * rates[2]


def test_an_arm_that_demotes_shows_less_violative_and_is_reported_less() -> None:
    plan = replace(SMALL, viewers=2_000)
    population = draw_population(plan, CENTRAL)
    control, treatment = (sum_up(live(population, by_arm, everyone(arm)), population) for arm in (0, 1))
    assert treatment.violative_impressions.sum() < 0.5 * control.violative_impressions.sum()
    assert treatment.reports.sum() < control.reports.sum()
