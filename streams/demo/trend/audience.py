"""Videos in, what their viewers did out: impressions, and reports of what offends them, sent as events."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from contracts.cases import DecidedCase
from contracts.taxonomy import Category
from contracts.topics import USERS_REPORTS, VIDEOS_IMPRESSIONS
from contracts.viewers import Impression, Surface, UserReport
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer, OutgoingRecord

IMPRESSIONS = 120
REPORTS_IF_VIOLATIVE, REPORTS_IF_GOOD = 8, 1
_USERS = 2_000


def watch_and_report(broker: Connection, videos: Sequence[DecidedCase], *, now: datetime, seed: int) -> tuple[int, int]:
    """Every video is shown to some viewers, of whom a few report it; returns how many impressions and reports went."""
    rng = np.random.default_rng([seed, 8])
    impressions, reports = list[OutgoingRecord](), list[OutgoingRecord]()
    for case in videos:
        video_id = case.upload.video_id
        viewers = rng.choice(_USERS, IMPRESSIONS, replace=False)
        for place, viewer in enumerate(viewers.tolist()):
            shown = Impression(
                event_id=f"i-{video_id}-{place}",
                user_id=f"viewer-{viewer}",
                video_id=video_id,
                session_id=f"s-{viewer}",
                shown_at=now - timedelta(milliseconds=int(rng.integers(1, 500))),
                surface=Surface.RECOMMEND,
                watch_ms=int(rng.integers(500, 15_000)),
            )
            impressions.append(_record(VIDEOS_IMPRESSIONS.name, shown.user_id, shown))
        violative = case.category is not Category.POSITIVE
        for viewer in viewers[: REPORTS_IF_VIOLATIVE if violative else REPORTS_IF_GOOD].tolist():
            told = UserReport(
                event_id=f"r-{video_id}-{viewer}",
                video_id=video_id,
                reporter_id=f"viewer-{viewer}",
                reported_at=now,
                surface=Surface.RECOMMEND,
            )
            reports.append(_record(USERS_REPORTS.name, video_id, told))
    producer = ConfirmedProducer(broker, client_id="demo-viewers")
    try:
        producer.send_now([*impressions, *reports])
    finally:
        producer.close()
    return len(impressions), len(reports)


def _record(topic: str, key: str, event: Impression | UserReport) -> OutgoingRecord:
    return OutgoingRecord(topic, key.encode(), event.model_dump_json().encode())
