"""Arms for many viewers at once rank as `rank` does for one, and give everyone the arm that the assignment says."""

from dataclasses import replace

import numpy as np
import pytest

from ab_tests.assignment import assign
from contracts.errors import BadInputError
from contracts.experiments import Subject, Variant
from features.lookup import Freshness, ViewerFeatures
from features.rank import Candidates, RankPolicy, rank
from simulation.platform.population import Plan
from simulation.platform.sessions.feeds import Feed
from simulation.platform.sessions.opening import OUTSIDE
from streams.feed.simulated import Arms, arms_of, toxicity_aware
from tests.features.test_rank import features

PLAN = Plan(viewers=50, days=4, seed=1, starts_on=2)
RELEVANCE = np.array([0.9, 0.8, 0.4, 0.7], np.float32)
TOXICITY = np.array([0.9, np.nan, 0.0, 0.3], np.float32)


def feed(*arms: int, tolerance: float = 0.2) -> Feed:
    n = len(arms)
    return Feed(
        np.tile(RELEVANCE, (n, 1)),
        np.tile(TOXICITY, (n, 1)),
        np.full(n, tolerance, np.float32),
        np.array(arms, np.int8),
    )


def ranked_alone(policy: RankPolicy, tolerance: float) -> list[int]:
    known = ~np.isnan(TOXICITY)
    found = features(
        TOXICITY.tolist(),
        decision=[-1] * 4,
        state=np.where(known, Freshness.FRESH, Freshness.UNKNOWN).tolist(),
    )
    viewer = replace(ViewerFeatures.unknown("u"), tolerance=tolerance)
    given = Candidates(found.video_ids, RELEVANCE.astype(np.float64))
    return rank(given, found, viewer, policy).order_K.tolist()


def test_each_arm_ranks_as_the_ranker_of_one_viewer_does() -> None:
    scores = toxicity_aware(PLAN).rank(feed(0, 1))
    assert np.argsort(-scores[0]).tolist() == ranked_alone(RankPolicy(strength=0.0), 0.2) == [0, 1, 3, 2]
    assert np.argsort(-scores[1]).tolist() == ranked_alone(RankPolicy(), 0.2)
    assert scores[1, 0] == pytest.approx(0.9 * np.exp(-4 * 0.8 * 0.9))
    assert scores[1, 1] == pytest.approx(0.8 * np.exp(-4 * 0.8 * 0.2))  # unknown: the policy's default toxicity


def test_who_is_in_no_experiment_is_ranked_as_the_control() -> None:
    scores = toxicity_aware(PLAN).rank(feed(OUTSIDE, 0))
    assert np.array_equal(scores[0], scores[1])


def test_what_a_policy_drops_is_not_shown() -> None:
    experiment = toxicity_aware(PLAN).experiment
    drops = experiment.model_copy(
        update={"variants": (Variant(name="a", share=0.5), Variant(name="b", share=0.5, ranking={"unknown": "drop"}))}
    )
    scores = arms_of(drops).rank(feed(0, 1))
    assert (scores == -np.inf).tolist() == [[False] * 4, [False, True, False, False]]


def test_users_have_the_arms_that_the_assignment_gives() -> None:
    arms: Arms = toxicity_aware(PLAN)
    assert np.array_equal(arms.assign(PLAN.user_ids), assign(arms.experiment, PLAN.user_ids))


def test_the_experiment_runs_on_the_days_of_the_plan() -> None:
    experiment = toxicity_aware(PLAN).experiment
    assert (experiment.starts_on - PLAN.begins).days == PLAN.starts_on == experiment.pre_period_days
    assert experiment.days == PLAN.days - PLAN.starts_on


def test_a_variant_that_overrides_what_is_no_field_is_refused() -> None:
    experiment = toxicity_aware(PLAN).experiment
    wrong = (Variant(name="a", share=0.5), Variant(name="b", share=0.5, ranking={"strenght": 1.0}))
    with pytest.raises(BadInputError, match=r"strenght.*toxicity-aware-ranking, variant b"):
        arms_of(experiment.model_copy(update={"variants": wrong}))


@pytest.mark.parametrize("plan", [replace(PLAN, starts_on=4), replace(PLAN, days=100, starts_on=91)])
def test_a_plan_without_a_day_for_the_experiment_or_with_too_long_a_past_is_refused(plan: Plan) -> None:
    with pytest.raises(BadInputError, match="experiment of"):
        toxicity_aware(plan)


def test_an_experiment_on_moderation_is_refused() -> None:
    experiment = toxicity_aware(PLAN).experiment.model_copy(update={"subject": Subject.MODERATION})
    with pytest.raises(BadInputError, match="subject == 'moderation', must be 'ranking'"):
        arms_of(experiment)
