"""Rulings, verdicts and impressions in; how often videos ruled violative were served before they were demoted out.

A video is violative when the ruling in force, its latest, says so. It is demoted while the verdict in force says other
than allow: that is what the feed reads, so an impression before the first verdict, or after one that lets the video
through again, is exposure. A ruling alone demotes nobody: what was served after it and before a verdict followed it
is exposure too, and counted as `known`, apart. In force is the last scored verdict on the newest version scored so far.

All is computed when it is asked for, from impressions and not from daily tables: the truth of a day changes whenever a
video that it showed is ruled on, weeks later perhaps, so that a table of days would have to be rebuilt again and again,
and within the day of its demotion only impressions tell before from after. Ruled videos are few: one pass over the
days' impressions picks theirs.

What nobody ruled on is not in here, so these are lower bounds; `AuditEstimate` says how much is unseen.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from contracts.errors import BadInputError
from contracts.verdicts import Decision
from warehouse.address import asking
from warehouse.daily import KEPT_DAYS, closed_days

_Z = 1.959964
_ONCE = "SETTINGS do_not_merge_across_partitions_select_final = 1"
_RULED = """
    SELECT video_id, argMax(category, (ruled_at, event_id)) AS category, max(ruled_at) AS last_ruled_at
    FROM rulings FINAL GROUP BY video_id
"""
_VIOLATIVE = f"SELECT video_id, last_ruled_at FROM ({_RULED}) WHERE category != 'positive'"
_OF_VIOLATIVE = f"video_id IN (SELECT video_id FROM ({_VIOLATIVE}))"
# Verdicts when they came into force: one on an older version than was judged before never does.
_IN_FORCE = f"""
    SELECT video_id, scored_at, decision, candidate
    FROM
    (
        SELECT video_id, scored_at, decision, candidate, occurred_at, max(occurred_at) OVER
            (PARTITION BY video_id ORDER BY scored_at, occurred_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
            AS newest
        FROM verdicts FINAL WHERE {_OF_VIOLATIVE}
    )
    WHERE occurred_at = newest
"""
_LET_THROUGH = f"IN ('', '{Decision.ALLOW}')"
SERVED_VIOLATIVE = f"""
    SELECT user_id, video_id, surface, shown_at,
           decision {_LET_THROUGH} AS let_through,
           ifNull(if({{candidate:UInt32}} IN (0, candidate.release_version), candidate.decision, NULL), decision)
               {_LET_THROUGH} AS let_through_by_candidate
    FROM
    (
        SELECT user_id, video_id, surface, shown_at FROM impressions FINAL
        WHERE toDate(shown_at) BETWEEN {{since:Date}} AND {{through:Date}} AND {_OF_VIOLATIVE}
    ) AS shown
    ASOF LEFT JOIN ({_IN_FORCE}) AS judged ON shown.video_id = judged.video_id AND shown.shown_at >= judged.scored_at
"""
"""Impressions of violative videos on the days {since} to {through}, and whether the video was then let through: by the
decision in force, or by that of release {candidate} (0: of any candidate) beside it, where there is one."""
_BY_DAY = f"""
    SELECT day, all_shown, violative, exposed, known
    FROM
    (
        SELECT toDate(shown_at) AS day, count() AS all_shown FROM impressions FINAL
        WHERE toDate(shown_at) BETWEEN {{since:Date}} AND {{through:Date}} GROUP BY day
    ) AS every
    LEFT JOIN
    (
        SELECT toDate(shown_at) AS day, count() AS violative, countIf(let_through) AS exposed,
               countIf(let_through AND shown_at >= last_ruled_at) AS known
        FROM ({SERVED_VIOLATIVE}) AS served INNER JOIN ({_VIOLATIVE}) AS ruled ON served.video_id = ruled.video_id
        GROUP BY day
    ) AS toxic USING day
    ORDER BY day
    {_ONCE}
"""
_BY_KIND = f"""
    SELECT category, leaf, uniqExact(video_id), count() AS violative, countIf(let_through) AS exposed,
           countIf(let_through AND shown_at >= last_ruled_at)
    FROM ({SERVED_VIOLATIVE}) AS served INNER JOIN
    (
        SELECT video_id, argMax(category, (ruled_at, event_id)) AS category, argMax(leaf, (ruled_at, event_id)) AS leaf,
               max(ruled_at) AS last_ruled_at
        FROM rulings FINAL GROUP BY video_id
    ) AS ruled USING video_id
    WHERE category != 'positive'
    GROUP BY category, leaf
    ORDER BY exposed DESC, violative DESC, category, leaf
    {_ONCE}
"""
_DEMOTIONS = f"""
    SELECT count(), countIf(was_demoted), quantilesExactLow(0.5, 0.9)(
        if(was_demoted, dateDiff('microsecond', uploaded_at, demoted_at) / 1e6, inf))
    FROM
    (
        SELECT video_id, min(came_at) AS uploaded_at
        FROM
        (
            SELECT video_id, min(occurred_at) AS came_at FROM uploads WHERE {_OF_VIOLATIVE} GROUP BY video_id
            UNION ALL
            SELECT video_id, min(occurred_at) FROM verdicts WHERE {_OF_VIOLATIVE} GROUP BY video_id
        )
        GROUP BY video_id
        HAVING toDate(uploaded_at) BETWEEN {{since:Date}} AND {{through:Date}}
    ) AS came
    LEFT JOIN
    (
        SELECT video_id, min(scored_at) AS demoted_at, 1 AS was_demoted FROM ({_IN_FORCE})
        WHERE decision != '{Decision.ALLOW}' GROUP BY video_id
    ) AS demoted USING video_id
"""
_AUDITED = f"""
    SELECT count(), countIf(category != ''), sumIf(weight, category != ''), sumIf(weight * weight, category != ''),
           sumIf(weight, category NOT IN ('', 'positive'))
    FROM
    (
        SELECT video_id, 1 / selection_probability AS weight FROM cases FINAL
        WHERE reason = 'audit' AND evidence.decision = '{Decision.ALLOW}'
            AND toDate(opened_at) BETWEEN {{since:Date}} AND {{through:Date}}
    ) AS audited
    LEFT JOIN ({_RULED}) AS ruled USING video_id
"""


class Queries(Protocol):
    """The part of a client that these functions use."""

    def command(self, cmd: str, parameters: dict[str, Any] | None = None, *, settings: Any = None) -> Any: ...

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any: ...


@dataclass(frozen=True, slots=True)
class DayExposure:
    """A day's impressions: all, those of violative videos, of these while not demoted, and of these after the ruling.

    `known` is contained in `exposed`, `exposed` in `violative`, and that in `impressions`.
    """

    day: date
    impressions: int
    violative: int
    exposed: int
    known: int


@dataclass(frozen=True, slots=True)
class KindExposure:
    """Videos ruled to be of a category, and of a leaf below it (empty: of none), that were shown on these days.

    Counts as of a day: `known` in `exposed`, `exposed` in `violative`.
    """

    category: str
    leaf: str
    videos: int
    violative: int
    exposed: int
    known: int


@dataclass(frozen=True, slots=True)
class Demotions:
    """Of the violative videos that were uploaded on these days: how many were demoted, and how soon after the upload.

    A quantile is None where it lies among those that were not demoted yet, or there are no videos.
    """

    videos: int
    demoted: int
    p50_s: float | None
    p90_s: float | None


@dataclass(frozen=True, slots=True)
class AuditEstimate:
    """The share of violative videos among those allowed that nothing else asked about, from the audit's cases.

    `share` weighs each ruled case by 1 / selection_probability and divides by the sum of the weights (Hajek, 1971).
    `low` and `high` are Wilson's 95% interval at the effective number of cases (Kish, 1965). None without ruled cases.
    Cases that wait for a ruling count as if they were like the others: true when the docket takes audits in any order.
    """

    cases: int
    ruled: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is known of a window when it is asked for; days without impressions are left out."""

    since: date
    through: date
    days: tuple[DayExposure, ...]
    demotions: Demotions
    unseen: AuditEstimate


def exposure(client: Queries, *, since: date, through: date) -> Exposure:
    """Exposure to violative videos from `since` through `through`, days of UTC, by the rulings made until now.

    Raises `BadInputError` for a window that ends before it begins or reaches back to days whose impressions leave,
    `DependencyError` when the warehouse does not answer.
    """
    _check_window(client, since, through)
    given = {"since": since, "through": through}
    with asking(f"exposure from {since} through {through}"):
        days = client.query(_BY_DAY, {**given, "candidate": 0}).result_rows
        [[videos, demoted, (p50, p90)]] = client.query(_DEMOTIONS, given).result_rows
        [audited] = client.query(_AUDITED, given).result_rows
    return Exposure(
        since,
        through,
        tuple(DayExposure(*row) for row in days),
        Demotions(videos, demoted, *(_known(seconds, videos) for seconds in (p50, p90))),
        audit_estimate(*audited),
    )


def exposure_by_leaf(client: Queries, *, since: date, through: date) -> tuple[KindExposure, ...]:
    """Which categories, and which leaves below them, the exposure of a window is of, the most exposed first.

    By the rulings made until now, and the leaves named until now. Raises as `exposure`.
    """
    _check_window(client, since, through)
    with asking(f"exposure by leaf from {since} through {through}"):
        rows = client.query(_BY_KIND, {"since": since, "through": through, "candidate": 0}).result_rows
    return tuple(KindExposure(*row) for row in rows)


def kind_lines(kinds: Sequence[KindExposure], names: Mapping[str, str]) -> Iterator[str]:
    """The kinds as lines for a terminal; `names` are labels by leaf id, an id stands for a leaf without one."""
    shown = [names.get(kind.leaf, kind.leaf) or "-" for kind in kinds]
    width = max(map(len, [*shown, "leaf"]))
    yield f"{'category':<22} {'leaf':<{width}} {'videos':>8} {'violative':>10} {'exposed':>10} {'known':>8}"
    for kind, leaf in zip(kinds, shown, strict=True):
        yield (
            f"{kind.category:<22} {leaf:<{width}} {kind.videos:>8,} {kind.violative:>10,} {kind.exposed:>10,} "
            f"{kind.known:>8,}"
        )


def audit_estimate(cases: int, ruled: int, weight: float, weight_squared: float, violative: float) -> AuditEstimate:
    """The estimate from sums over ruled cases of weights, their squares, and the weights of the violative ones."""
    if not ruled:
        return AuditEstimate(cases, 0, None, None, None)
    share, n = violative / weight, weight**2 / weight_squared
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return AuditEstimate(cases, ruled, share, max(middle - half, 0.0), min(middle + half, 1.0))


def _check_window(client: Queries, since: date, through: date) -> None:
    if since > through:
        raise BadInputError(f"since == {since}, must not be after through == {through}")
    if closed := [day for day in closed_days(client) if since <= day <= through]:
        rule = f"must be younger: impressions are kept for {KEPT_DAYS} days"
        raise BadInputError(f"since == {since}: impressions of {max(closed)} have begun to leave, {rule}")


def _known(seconds: float, videos: int) -> float | None:
    return seconds if videos and math.isfinite(seconds) else None


def exposure_lines(found: Exposure) -> Iterator[str]:
    """The figures as lines for a terminal."""
    yield f"{'day':<10} {'impressions':>12} {'violative':>10} {'exposed':>10} {'known':>8} {'per 1,000':>10}"
    for day in found.days:
        yield _line(str(day.day), day.impressions, day.violative, day.exposed, day.known)
    sums = [sum(getattr(day, name) for day in found.days) for name in ("impressions", "violative", "exposed", "known")]
    yield _line("together", *sums)
    yield "exposed: of videos ruled violative, before they were demoted; known: of these, after the ruling"
    demotions = found.demotions
    yield (
        f"{demotions.videos:,} violative videos uploaded on these days, {demotions.demoted:,} demoted: "
        f"half of all within {_duration(demotions.p50_s)}, nine in ten within {_duration(demotions.p90_s)}"
    )
    yield "a lower bound: violative videos that nobody ruled on are not in it"
    unseen = found.unseen
    if unseen.share is None or unseen.low is None or unseen.high is None:
        yield f"how much is unseen is not known: none of {unseen.cases:,} audited videos that were allowed is ruled on"
        return
    yield (
        f"of videos allowed and not asked about, {unseen.share:.2%} [{unseen.low:.2%}, {unseen.high:.2%}] are "
        f"violative, by {unseen.ruled:,} of {unseen.cases:,} audited cases that are ruled on"
    )


def _line(name: str, impressions: int, violative: int, exposed: int, known: int) -> str:
    rate = f"{1_000 * exposed / impressions:.3f}" if impressions else "-"
    return f"{name:<10} {impressions:>12,} {violative:>10,} {exposed:>10,} {known:>8,} {rate:>10}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "no time known yet"
    for unit, size in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
