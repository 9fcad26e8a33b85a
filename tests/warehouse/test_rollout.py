"""Figures of a release that is tried beside the live one, on a few events counted by hand."""

from datetime import timedelta

from contracts.taxonomy import Category
from contracts.verdicts import CandidateDecision, Decision, Verdict
from contracts.viewers import Impression, UserReport
from tests.warehouse.samples import START, verdict
from tests.warehouse.viewers import impression, report
from warehouse.address import Client
from warehouse.rollout import RolloutFigures, rollout_figures
from warehouse.sink import EventSink, VerdictSink

LIVE, TRIED = 3, 4


def decided(number: int, release: int, decision: Decision, beside: tuple[int, Decision] | None = None) -> Verdict:
    """The verdict of `release` on video `number`, and what another release would have decided."""
    other = beside and CandidateDecision(
        release_version=beside[0], casebook_version=7, toxicity=0.5, category=Category.PLAGIARISM, decision=beside[1]
    )
    return verdict(number, release_version=release, decision=decision, candidate=other)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def figures(client: Client) -> RolloutFigures:
    window = {"since": START - minutes(10), "as_of": START + minutes(10)}
    return rollout_figures(client, live=LIVE, candidate=TRIED, **window)


def test_impressions_count_for_the_release_that_they_name_and_reports_for_the_one_in_force(database: Client) -> None:
    verdicts = [decided(1, LIVE, Decision.ALLOW), decided(2, TRIED, Decision.ALLOW), decided(3, 2, Decision.ALLOW)]
    later = decided(1, TRIED, Decision.ALLOW).model_copy(
        update={"event_id": "again", "occurred_at": START + minutes(4), "scored_at": START + minutes(5)}
    )
    VerdictSink(database).insert([*verdicts, later])
    shown = [
        impression(n, shown_at=START + minutes(moment), release_version=release)
        for n, (moment, release) in enumerate([(1, LIVE), (2, LIVE), (2, TRIED), (3, None), (3, 2), (11, LIVE)])
    ]
    said = [
        report(n, video_id=f"video-{video}", reported_at=START + minutes(moment))
        for n, (video, moment) in enumerate([(1, 3), (1, 4), (1, 6), (2, 1), (2, 11), (3, 1), (9, 1), (2, -1)])
    ]
    for _ in range(2):
        EventSink(database, Impression).insert(shown)
        EventSink(database, UserReport).insert(said)
    assert figures(database) == RolloutFigures(2, 2, 1, 2, 0, 0, 0, 0)


def test_decisions_are_compared_whichever_of_the_two_was_in_force(database: Client) -> None:
    allow, demote, remove = Decision.ALLOW, Decision.DEMOTE, Decision.REMOVE
    given = [
        decided(1, LIVE, allow, (TRIED, allow)),
        decided(2, LIVE, allow, (TRIED, remove)),
        decided(3, LIVE, remove, (TRIED, demote)),
        decided(4, TRIED, demote, (LIVE, allow)),  # the canary decided of this one, and is the stricter
        decided(5, TRIED, allow, (LIVE, allow)),
        decided(6, LIVE, allow, (5, remove)),
        decided(7, LIVE, allow),
        decided(8, 2, allow, (TRIED, remove)),
    ]
    for _ in range(2):
        VerdictSink(database).insert(given)
    assert figures(database)[4:] == (5, 3, 2, 1)
    assert rollout_figures(
        database, live=LIVE, candidate=TRIED, since=START + minutes(1), as_of=START + minutes(9)
    ) == RolloutFigures(0, 0, 0, 0, 0, 0, 0, 0)
