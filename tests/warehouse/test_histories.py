"""The past of authors and viewers, on a few events counted by hand."""

from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest

from contracts.taxonomy import Category
from contracts.verdicts import Decision
from contracts.viewers import Impression, Surface, UserReport
from tests.warehouse.samples import START, verdict
from warehouse.address import Client
from warehouse.histories import VIEWER_WINDOW, author_histories, viewer_sensitivities
from warehouse.sink import EventSink, VerdictSink

NOW = datetime.now(UTC)


def judged(number: int, author: str, decision: Decision, category: Category, **more: Any) -> Any:
    return verdict(number, author_id=author, decision=decision, category=category, candidate=None, **more)


def shown(number: int, user: str, video: str, watch_ms: int, toxicity: float | None, **more: Any) -> Impression:
    fields = {"shown_at": START, **more}
    return Impression(
        event_id=f"i-{number}",
        user_id=user,
        video_id=video,
        session_id="s",
        surface=Surface.RECOMMEND,
        watch_ms=watch_ms,
        toxicity=toxicity,
        **fields,
    )


def test_an_author_counts_each_video_once_by_its_latest_verdict(database: Client) -> None:
    later = START + timedelta(minutes=5)
    VerdictSink(database).insert(
        [
            judged(1, "a", Decision.REMOVE, Category.PLAGIARISM),
            judged(2, "a", Decision.ALLOW, Category.POSITIVE),
            judged(3, "a", Decision.REVIEW, Category.PLAGIARISM),
            judged(4, "a", Decision.ALLOW, Category.POSITIVE, video_id="video-3", occurred_at=later, scored_at=later),
            judged(5, "b", Decision.DEMOTE, Category.POSITIVE),
            judged(6, "b", Decision.REMOVE, Category.POSITIVE, occurred_at=later, scored_at=later),
        ]
    )
    as_of = START + timedelta(minutes=1)
    early = list(chain.from_iterable(author_histories(database, as_of=as_of, now=NOW)))
    late = list(chain.from_iterable(author_histories(database, as_of=NOW, now=NOW)))
    assert [(h.author_id, h.verdicts, h.violative, h.removed) for h in early] == [("a", 3, 2, 1), ("b", 1, 0, 0)]
    assert [(h.author_id, h.verdicts, h.violative, h.removed) for h in late] == [("a", 3, 1, 1), ("b", 2, 1, 1)]
    assert [h.last_removed_at for h in late] == [START + timedelta(milliseconds=1), later]
    assert late[0].violative_share == pytest.approx((1 + 1) / (3 + 20))


def test_a_viewer_rejects_toxic_videos_by_leaving_or_reporting_them(database: Client) -> None:
    impressions = [
        shown(1, "u", "toxic-left", 500, 0.9),
        shown(2, "u", "toxic-watched", 9_000, 0.9),
        shown(3, "u", "toxic-watched-and-reported", 9_000, 0.5),
        shown(4, "u", "harmless-left", 500, 0.1),
        shown(5, "u", "never-scored", 500, None),
        shown(6, "w", "toxic-watched", 9_000, 0.9),
        shown(7, "u", "long-ago", 500, 0.9, shown_at=NOW - VIEWER_WINDOW - timedelta(hours=1)),
    ]
    report = UserReport(
        event_id="r-1",
        video_id="toxic-watched-and-reported",
        reporter_id="u",
        reported_at=START,
        surface=Surface.RECOMMEND,
    )
    EventSink(database, Impression).insert(impressions)
    EventSink(database, Impression).insert(impressions)
    EventSink(database, UserReport).insert([report])
    found = list(chain.from_iterable(viewer_sensitivities(database, as_of=NOW, now=NOW)))
    counts = [(v.user_id, v.impressions, v.reports, v.toxic_impressions, v.toxic_skips) for v in found]
    assert counts == [("u", 5, 1, 3, 1), ("w", 1, 0, 1, 0)]
    assert [v.tolerance for v in found] == [pytest.approx(1 - (2 + 2) / (3 + 4)), pytest.approx(1 - 2 / (1 + 4))]


def test_nobody_has_a_history_in_an_empty_warehouse(database: Client) -> None:
    assert list(author_histories(database, as_of=NOW, now=NOW)) == []
    assert list(viewer_sensitivities(database, as_of=NOW, now=NOW)) == []
