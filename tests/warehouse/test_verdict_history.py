"""Verdicts as they were given, followed by when they arrived; those in force; those that cite a case."""

from datetime import datetime, timedelta

from contracts.taxonomy import Category
from contracts.verdicts import Citation, Verdict
from tests.warehouse.samples import START, verdict, verdicts
from warehouse.address import Client
from warehouse.sink import VerdictSink
from warehouse.verdict_history import (
    Arrived,
    Hour,
    hours_of_verdicts,
    latest_verdicts,
    verdicts_citing,
    verdicts_of_hour,
    verdicts_since,
)

EVER = START - timedelta(days=1)
TOMORROW = START + timedelta(days=1)


def followed(client: Client, *, after: datetime = EVER, at_most: int = 100) -> list[Arrived]:
    return list(verdicts_since(client, after=after, until=TOMORROW, at_most=at_most))


def test_what_arrived_is_given_whole_and_going_on_gives_what_came_since(database: Client) -> None:
    VerdictSink(database).insert(verdicts(0, 3))
    [first] = followed(database)
    assert list(first.verdicts) == verdicts(0, 3)
    assert followed(database, after=first.through) == []
    VerdictSink(database).insert([verdict(9, occurred_at=START - timedelta(hours=2))])  # late: arrived is what counts
    [second] = followed(database, after=first.through)
    assert [one.event_id for one in second.verdicts] == ["upload-9"]
    assert second.through > first.through


def test_a_block_never_parts_what_arrived_at_one_moment(database: Client) -> None:
    sink = VerdictSink(database)
    for batch in (verdicts(0, 5), verdicts(5, 7), verdicts(7, 8)):
        sink.insert(batch)
    blocks = followed(database, at_most=2)
    assert [[one.event_id for one in block.verdicts] for block in blocks] == [
        [f"upload-{n}" for n in range(5)],
        ["upload-5", "upload-6"],
        ["upload-7"],
    ]
    assert [len(block.verdicts) for block in followed(database, at_most=6)] == [7, 1]


def test_nothing_later_than_until_is_given_and_a_replay_comes_again_once(database: Client) -> None:
    sink = VerdictSink(database)
    sink.insert(verdicts(0, 2))
    [block] = followed(database)
    sink.insert(verdicts(0, 3))
    sink.insert(verdicts(0, 1))
    assert list(verdicts_since(database, after=EVER, until=EVER)) == []
    assert [len(one.verdicts) for one in followed(database)] == [3]
    assert [len(one.verdicts) for one in followed(database, after=block.through)] == [3]


def rescored(number: int, *, hours: float, **replaced: object) -> Verdict:
    """The verdict on a version of video `number` that came so much later."""
    at = START + timedelta(hours=hours)
    return verdict(number, event_id=f"upload-{number}-{hours}", occurred_at=at, scored_at=at, **replaced)


def test_the_verdict_in_force_is_that_on_the_latest_version(database: Client) -> None:
    old = verdict(1, event_id="old", scored_at=START + timedelta(hours=9))
    VerdictSink(database).insert([rescored(1, hours=3), old, verdict(2)])
    assert latest_verdicts(database, ["video-1", "video-2", "video-3"]) == {
        "video-1": rescored(1, hours=3),
        "video-2": verdict(2),
    }
    assert latest_verdicts(database, []) == {}


def test_only_verdicts_in_force_cite(database: Client) -> None:
    cited = (Citation(case_id="case-7", category=Category.PLAGIARISM, similarity=0.5),)
    both = (Citation(case_id="case-70", category=Category.PLAGIARISM, similarity=0.25), *cited)
    given = [
        verdict(1, citations=cited),
        rescored(1, hours=1, citations=()),
        verdict(2, citations=both[:1]),
        verdict(3, citations=both),
        rescored(4, hours=1, citations=cited),
        rescored(5, hours=-5, citations=cited),
    ]
    VerdictSink(database).insert(given)
    assert verdicts_citing(database, "case-7", since=START - timedelta(hours=1)) == [given[4], given[3]]
    assert verdicts_citing(database, "case-70", since=START - timedelta(hours=1)) == [given[3], given[2]]
    assert verdicts_citing(database, "case-1", since=EVER) == []


def test_a_row_as_json_is_the_verdict_again(database: Client) -> None:
    VerdictSink(database).insert(verdicts(0, 3))
    fields = ", ".join(Verdict.model_fields)
    lines = database.raw_query(
        f"SELECT {fields} FROM verdicts FINAL ORDER BY event_id",
        fmt="JSONEachRow",
        settings={"date_time_output_format": "iso"},
    )
    assert [Verdict.model_validate_json(line) for line in lines.splitlines()] == verdicts(0, 3)


def test_all_verdicts_are_given_by_the_hour_of_their_versions_the_newest_hour_first(database: Client) -> None:
    first, second = verdicts(0, 3), [rescored(0, hours=1.5), rescored(9, hours=1.9)]
    VerdictSink(database).insert(first + second)
    top = START.replace(minute=0, second=0, microsecond=0)
    hours = hours_of_verdicts(database, since=START, until=TOMORROW)
    assert sum(hour.rows for hour in hours) == 5
    assert [hour.start for hour in hours] == sorted((hour.start for hour in hours), reverse=True)
    assert Hour(top, 3) in hours
    given = {hour.start: [one for block in verdicts_of_hour(database, hour.start) for one in block] for hour in hours}
    assert sorted(given[top], key=lambda one: one.event_id) == first
    assert {one.event_id for some in given.values() for one in some} == {one.event_id for one in first + second}
    assert hours_of_verdicts(database, since=TOMORROW, until=TOMORROW + timedelta(days=1)) == []
