"""A warehouse's address in, an insert for each topic out; it connects when it is first needed."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from contracts.records import Event
from contracts.topics import (
    CASES_APPEALS,
    CASES_OPENED,
    CASES_RULINGS,
    EXPERIMENTS_EXPOSURES,
    USERS_REPORTS,
    USERS_SESSIONS,
    VIDEOS_IMPRESSIONS,
    VIDEOS_UPLOADED,
    VIDEOS_VERDICTS,
    Topic,
)
from warehouse.address import WarehouseAddress, connect
from warehouse.sink import EventSink

Insert = Callable[[Sequence[Event]], int]
FREQUENT = (VIDEOS_UPLOADED, VIDEOS_VERDICTS, VIDEOS_IMPRESSIONS, USERS_SESSIONS)
"""What the bulk consumer copies."""
RARE = (USERS_REPORTS, EXPERIMENTS_EXPOSURES, CASES_OPENED, CASES_RULINGS, CASES_APPEALS)
"""What Faust agents record."""


class LateWarehouse:
    """Inserts over one connection, which is made with the first: a warehouse that is not there yet is waited for."""

    def __init__(self, address: WarehouseAddress) -> None:
        self._address = address
        self._client: Any = None

    def inserts(self, topics: Collection[Topic]) -> dict[Topic, Insert]:
        """An insert for each topic; it raises `DependencyError` while the warehouse is away or refuses."""
        return {topic: self._insert_of(topic) for topic in topics}

    def _insert_of(self, topic: Topic) -> Insert:
        sinks: list[EventSink[Any]] = []

        def insert(events: Sequence[Event]) -> int:
            if not sinks:
                self._client = self._client or connect(self._address)
                sinks.append(EventSink(self._client, topic.event))
            return sinks[0].insert(events)

        return insert
