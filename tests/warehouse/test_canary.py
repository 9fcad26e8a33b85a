"""Reports by video of the releases that the hash gave them to, counted by hand in a real warehouse."""

from datetime import timedelta

from contracts.releases import Pin
from contracts.verdicts import Decision
from contracts.viewers import Impression, UserReport
from policy.rollout.figures import Reported
from policy.rollout.from_warehouse import figures_from
from tests.warehouse.samples import START
from tests.warehouse.test_rollout import LIVE, TRIED, decided, minutes
from tests.warehouse.viewers import impression, report
from warehouse.address import Client
from warehouse.sink import EventSink, VerdictSink


def test_videos_since_the_seat_count_for_the_release_of_their_first_verdict(database: Client) -> None:
    allow = Decision.ALLOW
    old = decided(9, TRIED, allow).model_copy(update={"occurred_at": START - timedelta(days=1), "scored_at": START})
    again = decided(1, TRIED, allow).model_copy(
        update={"event_id": "again", "occurred_at": START + minutes(4), "scored_at": START + minutes(5)}
    )
    silent = decided(5, LIVE, allow).model_copy(update={"scored_at": START + minutes(3)})
    given = [
        decided(1, LIVE, allow, (TRIED, allow)),
        decided(2, TRIED, allow),
        decided(3, TRIED, allow),
        decided(4, 2, allow),
        silent,
        old,
        again,
    ]
    # video: impressions / reports. live: 1: 3/2, 5: 0/0; tried: 2: 2/0, 3: 1/1; not counted: 4, 9
    shown = [
        impression(n, video_id=f"video-{video}", shown_at=START + minutes(1)) for n, video in enumerate("111223499")
    ]
    said = [report(n, video_id=f"video-{video}", reported_at=START + minutes(2)) for n, video in enumerate("113499")]
    for _ in range(2):
        VerdictSink(database).insert(given)
        EventSink(database, Impression).insert(shown)
        EventSink(database, UserReport).insert(said)
    figures = figures_from(database)(
        live=Pin(release_version=LIVE, casebook_version=7),
        candidate=Pin(release_version=TRIED, casebook_version=7),
        since=START - minutes(1),
        now=START + minutes(10),
    )
    assert figures.live == Reported(2, 3, 2, 9.0, 4.0, 6.0)
    assert figures.candidate == Reported(2, 3, 1, 5.0, 1.0, 1.0)
    assert (figures.compared, figures.disagreeing, figures.stricter, figures.unanswered) == (1, 0, 0, 1)
