"""One row per user of an experiment, each worked out by hand.

The experiment runs from day 10 to day 19 after a pre-period of 8 days: days 2 to 9.
"""

import pytest

from contracts.cases import Ruling
from contracts.experiments import MetricName, Subject, Variant
from contracts.taxonomy import Category
from contracts.verdicts import Decision
from contracts.viewers import Surface
from tests.warehouse.experiment_log import Log, day
from tests.warehouse.samples import candidate, verdict
from tests.warehouse.viewers import at, ruling
from warehouse.address import Client
from warehouse.experiments import VariantUsers
from warehouse.sink import EventSink, VerdictSink


def test_a_user_counts_from_the_day_of_the_first_exposure_on(log: Log) -> None:
    """Exposed on day 12: an impression on day 11 counts for nothing, one earlier on day 12 counts."""
    log.seen("ann", 11.0)
    log.seen("ann", 12.1, toxicity=0.5, watch_ms=1_500)
    log.exposed("ann", 12.5, "treatment")
    log.exposed("ann", 14.0, "treatment")
    log.seen("ann", 14.0, toxicity=None, watch_ms=500)
    log.seen("ann", 14.2, toxicity=0.49)
    log.reported("ann", 14.3)
    log.visited("ann", 12.1, seconds=90)
    log.visited("ann", 18.0, seconds=30)
    log.done()
    log.build()
    columns = "variant, variants_seen, first_exposed_on, impressions, scored_impressions, toxic_impressions, reports"
    assert log.row("ann", columns) == ("treatment", 1, day(12), 3, 2, 1, 1)
    # active on days 12, 14, 18; followed on days 12 to 19; day 18 is less than 7 days after day 12
    columns = "active_days, usage_s, watch_s, retained, followed_days"
    assert log.row("ann", columns) == (3, 120.0, 3.0, 0, 8)


def test_the_pre_period_is_the_days_before_the_experiment_and_no_others(log: Log) -> None:
    log.seen("ann", 1.9)  # before the pre-period
    log.seen("ann", 2.0, toxicity=0.9)
    log.seen("ann", 9.9, toxicity=None)
    log.reported("ann", 9.0)
    log.visited("ann", 5.0, seconds=45)
    log.seen("ann", 10.0)  # the experiment runs, the user is not exposed yet
    log.exposed("ann", 11.0)
    log.done()
    log.build()
    columns = (
        "pre_impressions, pre_scored_impressions, pre_toxic_impressions, pre_reports, pre_active_days, pre_usage_s"
    )
    assert log.row("ann", columns) == (2, 1, 1, 1, 3, 45.0)
    assert log.row("ann", "impressions, active_days, activity") == (0, 0, "medium")


@pytest.mark.parametrize(
    ("active_days", "activity"), [(0, "new"), (1, "light"), (2, "light"), (3, "medium"), (6, "medium"), (7, "heavy")]
)
def test_activity_is_the_share_of_active_days_of_the_pre_period(log: Log, active_days: int, activity: str) -> None:
    """A quarter of the 8 days is 2, three quarters are 6."""
    for number in range(active_days):
        log.visited("ann", 2.0 + number)
    log.exposed("ann", 10.0)
    log.done()
    log.build()
    assert log.row("ann", "pre_active_days, activity") == (active_days, activity)


def test_without_a_pre_period_everyone_is_new(log: Log) -> None:
    log.visited("ann", 9.0)
    log.exposed("ann", 10.0)
    log.done()
    log.build(pre_period_days=0)
    assert log.row("ann", "pre_active_days, pre_usage_s, activity") == (0, 0.0, "new")


def test_a_user_seen_in_two_variants_keeps_the_first_and_is_counted_apart(log: Log) -> None:
    log.exposed("ann", 12.0, "treatment")
    log.exposed("ann", 13.0, "control")
    log.exposed("bob", 12.0, "control")
    log.done()
    table = log.build()
    assert log.row("ann", "variant, variants_seen") == ("treatment", 2)
    assert (table.variants, table.in_several) == ((VariantUsers("control", 1), VariantUsers("treatment", 0)), 1)
    assert table.users == 2


def test_a_user_without_any_activity_has_a_row_of_zeros(log: Log) -> None:
    log.exposed("ann", 19.9)
    log.done()
    log.build()
    columns = "impressions, reports, active_days, usage_s, retained, followed_days, pre_impressions, activity"
    assert log.row("ann", columns) == (0, 0, 0, 0.0, 0, 1, 0, "new")


def test_an_impression_without_a_session_is_an_active_day_without_usage(log: Log) -> None:
    log.exposed("ann", 10.0)
    log.seen("ann", 10.0)
    log.visited("bob", 10.0)
    log.exposed("bob", 10.0)
    log.reported("eve", 10.0)
    log.exposed("eve", 10.0)
    log.done()
    log.build()
    columns = "active_days, usage_s, impressions, reports"
    assert log.row("ann", columns) == (1, 0.0, 1, 0)
    assert log.row("bob", columns) == (1, 60.0, 0, 0)
    assert log.row("eve", columns) == (0, 0.0, 0, 1)


def test_who_comes_back_seven_days_after_the_first_exposure_is_retained(log: Log) -> None:
    for user, back in (("ann", 17.0), ("bob", 16.9)):
        log.exposed(user, 10.9)
        log.visited(user, back)
    log.done()
    log.build()
    assert [log.row(user, "retained, active_days") for user in ("ann", "bob")] == [(1, 1), (0, 1)]


def test_exposures_outside_of_the_window_make_nobody_a_user(log: Log) -> None:
    log.exposed("early", 9.9)
    log.exposed("late", 15.0)
    log.exposed("other", 12.0, experiment_id="another")
    log.exposed("ann", 12.0)
    log.done()
    assert log.build(through=day(14)).variants == (VariantUsers("control", 1), VariantUsers("treatment", 0))
    assert log.build().variants == (VariantUsers("control", 2), VariantUsers("treatment", 0))


def test_an_exposure_before_the_experiment_does_not_choose_the_arm(log: Log) -> None:
    log.exposed("ann", 9.0, "treatment")
    log.exposed("ann", 11.0, "control")
    log.done()
    log.build()
    assert log.row("ann", "variant, variants_seen, first_exposed_on") == ("control", 1, day(11))


def test_with_a_surface_only_what_happened_there_is_counted_wherever_users_were_exposed(log: Log) -> None:
    log.seen("ann", 5.0, surface=Surface.SEARCH)
    log.seen("ann", 5.0)
    log.exposed("ann", 10.0, surface=Surface.FOLLOWING)
    log.seen("ann", 10.0, surface=Surface.SEARCH, toxicity=0.9, watch_ms=250)
    log.seen("ann", 10.0)
    log.reported("ann", 10.0, surface=Surface.SEARCH)
    log.reported("ann", 10.0)
    log.visited("ann", 10.0)
    log.done()
    log.build(surface=Surface.SEARCH)
    log.build()
    columns = "impressions, toxic_impressions, reports, watch_s, active_days, usage_s, pre_impressions, pre_active_days"
    assert log.row("ann", columns, surface="search") == (1, 1, 1, 0.25, 1, 60.0, 1, 1)
    assert log.row("ann", columns) == (2, 1, 2, 1.25, 1, 60.0, 2, 1)


def test_exposure_counts_violative_videos_while_the_arm_s_decisions_let_them_through(
    log: Log, database: Client
) -> None:
    """Both saw video "bad" three times: unjudged, when only release 4 demoted it, and when both releases did."""
    arms = (Variant(name="control", share=0.5), Variant(name="treatment", share=0.5, decisions="candidate"))
    metrics = (MetricName.REPORT_RATE, MetricName.TOXIC_EXPOSURE)
    changed = {"subject": Subject.MODERATION, "candidate_release": 4, "variants": arms, "metrics": metrics}
    stricter = candidate(1).model_copy(update={"decision": Decision.DEMOTE})
    other = stricter.model_copy(update={"release_version": 5, "decision": Decision.ALLOW})
    told = [(11.1, Decision.ALLOW, stricter), (11.5, Decision.DEMOTE, other)]
    VerdictSink(database).insert(
        [
            verdict(
                1, event_id=f"v-{n}", video_id="bad", occurred_at=at(n), scored_at=at(n), decision=said, candidate=by
            )
            for n, said, by in told
        ]
    )
    EventSink(database, Ruling).insert([ruling(1, video_id="bad", ruled_at=at(30.0)), ruling(2, video_id="fine")])
    EventSink(database, Ruling).insert([ruling(3, video_id="fine", ruled_at=at(1.0), category=Category.POSITIVE)])
    for user, arm in (("ann", "control"), ("bob", "treatment")):
        log.exposed(user, 11.0, arm)
        for moment in (10.5, 11.0, 11.2, 11.6):  # the first before the user's exposure
            log.seen(user, moment, video_id="bad", surface=Surface.SEARCH)
        log.seen(user, 12.0, video_id="fine")
    log.exposed("eve", 11.0, "control")
    log.done()
    for surface in (None, Surface.SEARCH, Surface.RECOMMEND):
        log.build(surface=surface, **changed)
    columns = "impressions, exposed_impressions"
    assert [log.row(user, columns) for user in ("ann", "bob", "eve")] == [(4, 2), (4, 1), (0, 0)]
    assert [log.row("ann", columns, surface=name) for name in ("search", "recommend")] == [(3, 2), (1, 0)]
    log.build()
    assert log.row("ann", columns) == (4, 0)  # not measured by this experiment
