"""A feed under experiments: who is ranked for how, and who counts as exposed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ab_tests.assignment import assign
from contracts.errors import BadInputError
from contracts.experiments import Experiment, Experiments
from contracts.viewers import ExperimentExposure, Surface
from features.lookup import ViewerFeatures
from features.rank import RankPolicy
from streams.feed.arms import Feed, Served, Unsent
from tests.ab_tests.samples import MODERATION, experiment, fields, moderation
from tests.features.test_rank import INTOLERANT, candidates, features

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
RELEVANT_BUT_TOXIC = (candidates(1.0, 0.5), features([0.5, 0.0]))
CLEAN = (candidates(1.0, 0.5), features([0.0, 0.0]))


def everybody_in(place: int) -> Any:
    return lambda _experiment, user_ids: np.full(len(user_ids), place, np.int8)


def serve(
    place: int, offered: Any = RELEVANT_BUT_TOXIC, *declared: Experiment, now: datetime = NOON, **options: Any
) -> Served:
    feed = Feed(Experiments(experiments=declared or (experiment(),)), everybody_in(place))
    return feed.serve(*offered, INTOLERANT, surface=Surface.RECOMMEND, now=now, **options)


def test_each_arm_ranks_by_its_own_policy() -> None:
    assert serve(0).ranked.video_ids == ("v0", "v1")  # control: strength 0
    assert serve(1).ranked.video_ids == ("v1", "v0")  # treatment: strength 4


@pytest.mark.parametrize(("place", "variant"), [(0, "control"), (1, "treatment")])
def test_viewers_of_every_arm_are_exposed_where_the_arms_would_differ(place: int, variant: str) -> None:
    [exposure] = serve(place).exposures
    assert (exposure.user_id, exposure.experiment_id, exposure.variant) == ("user-1", "one", variant)
    assert (exposure.exposed_at, exposure.surface) == (NOON, Surface.RECOMMEND)


@pytest.mark.parametrize("place", [0, 1])
def test_nobody_is_exposed_by_a_list_that_no_arm_could_change(place: int) -> None:
    assert serve(place, CLEAN).exposures == ()
    assert serve(place, CLEAN).ranked.video_ids == ("v0", "v1")


@pytest.mark.parametrize("place", [0, 1])
def test_a_difference_below_what_the_viewer_can_see_exposes_nobody(place: int) -> None:
    offered = (candidates(1.0, 0.5, 0.4), features([0.0, 0.5, 0.0]))
    assert serve(place, offered, length=1).exposures == ()
    assert len(serve(place, offered, length=2).exposures) == 1


def test_who_is_outside_of_the_buckets_is_ranked_by_the_base_policy_and_not_exposed() -> None:
    served = serve(-1)
    assert served.exposures == ()
    assert served.ranked.video_ids == ("v1", "v0")


@pytest.mark.parametrize("days", [-2, 13])
def test_before_and_after_its_days_an_experiment_changes_nothing(days: int) -> None:
    served = serve(0, now=NOON + timedelta(days=days))
    assert served.exposures == ()
    assert served.ranked.video_ids == ("v1", "v0")


def test_a_day_is_a_day_in_utc() -> None:
    last = datetime.fromisoformat("2026-11-15T01:00:00+02:00")
    assert len(serve(0, now=last).exposures) == 1


def test_an_experiment_acts_on_its_own_surfaces_only() -> None:
    served = serve(0, RELEVANT_BUT_TOXIC, experiment(surfaces=["search"]))
    assert served.exposures == ()
    assert served.ranked.video_ids == ("v1", "v0")


def test_experiments_of_two_layers_act_together_and_each_exposes_for_itself() -> None:
    other = experiment(
        "two",
        layer="other",
        variants=[
            {"name": "a", "share": 0.5, "ranking": {"review": "keep"}},
            {"name": "b", "share": 0.5, "ranking": {"review": "drop"}},
        ],
    )
    offered = (candidates(1.0, 0.5), features([0.5, 0.0], decision=[0, 2]))
    served = serve(1, offered, experiment(), other)
    assert served.ranked.video_ids == ("v0",)
    assert [exposure.experiment_id for exposure in served.exposures] == ["two"]  # strength could change nothing
    assert [exposure.experiment_id for exposure in serve(0, offered, experiment(), other).exposures] == ["one", "two"]


MODERATED = experiment("release", **moderation(layer="moderation", primary="toxic_share", metrics=["toxic_share"]))


@pytest.mark.parametrize(("place", "shown"), [(0, ("v0", "v1")), (1, ("v1",))])
def test_arms_of_an_experiment_on_moderation_obey_one_release_each(place: int, shown: tuple[str, ...]) -> None:
    offered = (candidates(1.0, 0.5), features([0.0, 0.0], candidate=[(0.0, 3), (0.0, 0)]))
    served = serve(place, offered, MODERATED)
    assert served.ranked.video_ids == shown
    assert [exposure.variant for exposure in served.exposures] == [MODERATION[place]["name"]]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("tried", [None, [(0.25, 0), (0.0, 0)]])
def test_where_the_releases_agree_or_no_candidate_was_asked_nobody_is_exposed(place: int, tried: Any) -> None:
    offered = (candidates(1.0, 0.5), features([0.25, 0.0], candidate=tried))
    assert serve(place, offered, MODERATED).exposures == ()
    assert serve(place, offered, MODERATED).ranked.video_ids == ("v1", "v0")


@pytest.mark.parametrize("place", [0, 1])
def test_the_decisions_of_a_candidate_that_the_experiment_does_not_name_are_not_obeyed(place: int) -> None:
    other = MODERATED.model_copy(update={"candidate_release": 3})
    offered = (candidates(1.0, 0.5), features([0.0, 0.0], candidate=[(0.0, 3), (0.0, 0)]))  # by release 2
    served = serve(place, offered, other)
    assert (served.ranked.video_ids, served.exposures) == (("v0", "v1"), ())


def test_real_assignment_serves_both_arms_and_exposes_users_outside_to_nothing() -> None:
    one = experiment(buckets=[0, 5_000])
    feed = Feed(Experiments(experiments=(one,)), assign)
    users = [f"user-{i}" for i in range(60)]
    for user_id, place in zip(users, assign(one, users).tolist(), strict=True):
        viewer: ViewerFeatures = replace(INTOLERANT, user_id=user_id)
        served = feed.serve(*RELEVANT_BUT_TOXIC, viewer, surface=Surface.SEARCH, now=NOON)
        assert [exposure.variant for exposure in served.exposures] == ([one.variants[place].name] if place >= 0 else [])


def test_an_override_that_the_ranker_does_not_know_is_refused_before_anything_is_served() -> None:
    wrong = fields(variants=[{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "ranking": {"strenght": 1.0}}])
    with pytest.raises(BadInputError, match=r"ranking\.strenght == 1\.0, .* \(experiment 'one', variant 'b'\)"):
        Feed(Experiments.model_validate({"experiments": [wrong]}), assign)


def test_the_base_policy_holds_where_no_arm_overrides_it() -> None:
    feed = Feed(Experiments(experiments=()), assign, policy=RankPolicy(strength=0.0))
    served = feed.serve(*RELEVANT_BUT_TOXIC, INTOLERANT, surface=Surface.RECOMMEND, now=NOON)
    assert served.ranked.video_ids == ("v0", "v1")


def exposure(user_id: str = "u", experiment_id: str = "e", at: datetime = NOON, **changed: Any) -> ExperimentExposure:
    given: dict[str, Any] = {"variant": "a", "surface": Surface.SEARCH} | changed
    return ExperimentExposure.once_a_day(user_id=user_id, experiment_id=experiment_id, exposed_at=at, **given)


def test_exposures_of_one_user_experiment_and_day_are_one_event() -> None:
    assert exposure().event_id == exposure(at=NOON + timedelta(hours=11), surface=Surface.FOLLOWING).event_id
    others = [exposure("v"), exposure("u", "f"), exposure(at=NOON + timedelta(hours=12)), exposure("u:e", "e")]
    others.append(exposure(variant="b"))
    assert len({exposure().event_id, *(one.event_id for one in others)}) == 6
    # Golden: a replay of an old day must find its events again.
    assert exposure().event_id == "exposure-f61619e528c747229b2acc0145033665"


def test_an_exposure_is_sent_once_while_it_is_remembered() -> None:
    unsent = Unsent(remembered=2)
    assert unsent.of([exposure("a"), exposure("a"), exposure("b")]) == [exposure("a"), exposure("b")]
    assert unsent.of([exposure("a"), exposure("c")]) == [exposure("c")]  # b was met longest ago and is forgotten
    assert unsent.of([exposure("a"), exposure("b")]) == [exposure("b")]
