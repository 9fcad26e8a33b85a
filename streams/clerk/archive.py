"""The warehouse as the clerk, and who writes features anew, read it: connects when first asked, and when it is back."""

import threading
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from warehouse.address import Client, WarehouseAddress, connect
from warehouse.feedback import ReporterRecord, VideoFeedback, reporter_records, video_feedback
from warehouse.impressions import impressions_of
from warehouse.uploads import recent_uploads, uploads_of
from warehouse.verdict_history import (
    Arrived,
    Hour,
    hours_of_verdicts,
    latest_verdicts,
    verdicts_of_hour,
    verdicts_since,
)


class Archive:
    """Questions over one connection, which several threads share; all raise `DependencyError` while it is away."""

    def __init__(self, address: WarehouseAddress) -> None:
        self._address = address
        self._turn = threading.Lock()
        self._connected: Client | None = None

    @property
    def client(self) -> Client:
        """The client; made with the first question."""
        with self._turn:
            if self._connected is None:
                self._connected = connect(self._address)
            return self._connected

    def arrived(self, *, after: datetime, until: datetime) -> Iterator[Arrived]:
        return verdicts_since(self.client, after=after, until=until)

    def latest(self, video_ids: Collection[str]) -> Mapping[str, Verdict]:
        return latest_verdicts(self.client, video_ids)

    def hours(self, *, since: datetime, until: datetime) -> list[Hour]:
        return hours_of_verdicts(self.client, since=since, until=until)

    def of_hour(self, start: datetime) -> Iterator[list[Verdict]]:
        return verdicts_of_hour(self.client, start)

    def uploads(self, video_ids: Collection[str]) -> Mapping[str, VideoUploaded]:
        return uploads_of(self.client, video_ids)

    def recent(self, *, since: datetime, until: datetime, at_most: int) -> list[VideoUploaded]:
        return recent_uploads(self.client, since=since, until=until, at_most=at_most)

    def videos(self, *, since: datetime, as_of: datetime) -> Iterator[list[VideoFeedback]]:
        return video_feedback(self.client, since=since, as_of=as_of)

    def reporters(self, *, as_of: datetime) -> Iterator[list[ReporterRecord]]:
        return reporter_records(self.client, as_of=as_of)

    def impressions(self, video_ids: Collection[str], *, since: datetime, as_of: datetime) -> Mapping[str, int]:
        return impressions_of(self.client, video_ids, since=since, as_of=as_of)
