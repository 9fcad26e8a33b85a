"""How a release that is tried compares with the live one: what viewers saw and said of either, where the two differ."""

from datetime import datetime
from typing import Any, NamedTuple, Protocol

from contracts.verdicts import Decision
from warehouse.address import asking

_STRICTNESS = f"indexOf({[decision.value for decision in Decision]}, {{}})"
_SERVED = """
    SELECT countIf(release_version = {live:UInt32}), countIf(release_version = {candidate:UInt32})
    FROM impressions FINAL
    WHERE shown_at > {since:DateTime64(6, 'UTC')} AND shown_at <= {as_of:DateTime64(6, 'UTC')}
"""
# A report is on the release whose verdict was in force when it was made, the last one scored before it.
_SAID = """
    SELECT countIf(release_version = {live:UInt32}), countIf(release_version = {candidate:UInt32})
    FROM
    (
        SELECT video_id, reported_at FROM reports FINAL
        WHERE reported_at > {since:DateTime64(6, 'UTC')} AND reported_at <= {as_of:DateTime64(6, 'UTC')}
    ) AS said
    ASOF INNER JOIN
    (
        SELECT video_id, scored_at, release_version FROM verdicts FINAL
        WHERE scored_at <= {as_of:DateTime64(6, 'UTC')} AND video_id IN
        (
            SELECT video_id FROM reports
            WHERE reported_at > {since:DateTime64(6, 'UTC')} AND reported_at <= {as_of:DateTime64(6, 'UTC')}
        )
    ) AS judged
    ON said.video_id = judged.video_id AND judged.scored_at <= said.reported_at
"""
# Of a video that the candidate decided, the verdict is the candidate's and what stands beside it is the live one's.
_COMPARED = f"""
    SELECT count(), countIf(tried != stood), countIf(tried > stood), countIf(tried < stood)
    FROM
    (
        SELECT {_STRICTNESS.format("decision")} AS said,
               {_STRICTNESS.format("assumeNotNull(candidate.decision)")} AS beside,
               release_version = {{live:UInt32}} AS as_usual,
               if(as_usual, beside, said) AS tried, if(as_usual, said, beside) AS stood
        FROM verdicts FINAL
        WHERE scored_at > {{since:DateTime64(6, 'UTC')}} AND scored_at <= {{as_of:DateTime64(6, 'UTC')}}
            AND (release_version, candidate.release_version) IN
                (({{live:UInt32}}, {{candidate:UInt32}}), ({{candidate:UInt32}}, {{live:UInt32}}))
    )
"""


class RolloutFigures(NamedTuple):
    """Counts of a window: impressions and reports by release, and verdicts of which both releases' decision is known.

    An impression is of the release that it names; a report is of the release whose verdict on the video was in force
    when it was made. Of `compared` verdicts the decisions differ in `disagreeing`, in `stricter` of them the
    candidate's being the stricter one, in `milder` the live one's.
    """

    impressions_live: int
    reports_live: int
    impressions_candidate: int
    reports_candidate: int
    compared: int
    disagreeing: int
    stricter: int
    milder: int


class Queries(Protocol):
    """The part of a client that this function uses."""

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any: ...


def rollout_figures(client: Queries, *, live: int, candidate: int, since: datetime, as_of: datetime) -> RolloutFigures:
    """The figures of the release `candidate` beside the release `live`, after `since` and up to `as_of`.

    Raises `DependencyError` when the warehouse does not answer.
    """
    given = {"live": live, "candidate": candidate, "since": since, "as_of": as_of}
    with asking(f"figures of releases {live} and {candidate}"):
        [shown], [said], [compared] = (client.query(sql, given).result_rows for sql in (_SERVED, _SAID, _COMPARED))
    return RolloutFigures(shown[0], said[0], shown[1], said[1], *compared)
