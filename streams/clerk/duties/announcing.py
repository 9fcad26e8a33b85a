"""The docket's outbox in, confirmed records on Kafka out: at least once, each event the same every time."""

from collections.abc import Sequence
from typing import Protocol

from streams.kafka.delivery import OutgoingRecord


class Letter(Protocol):
    """An event that waits in the outbox, and the key that its topic is divided by."""

    @property
    def sequence(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def value(self) -> bytes: ...


class Outbox(Protocol):
    """Keeps events until they are confirmed, in the order in which they happened."""

    def outbox(self, *, at_most: int) -> Sequence[Letter]: ...
    def sent(self, sequences: Sequence[int]) -> None: ...


class Delivery(Protocol):
    """Delivers records and returns when all are confirmed; raises `DependencyError`."""

    def send_now(self, records: Sequence[OutgoingRecord]) -> None: ...


def announce(outbox: Outbox, delivery: Delivery, *, at_once: int = 500) -> int:
    """Send what waits, and mark it as sent only after its confirmation; returns how many events were sent.

    What was sent and not marked, because the clerk ended between the two, is sent again: the same event by its id.
    """
    announced = 0
    while waiting := outbox.outbox(at_most=at_once):
        delivery.send_now([OutgoingRecord(one.topic, one.key.encode(), one.value) for one in waiting])
        outbox.sent([one.sequence for one in waiting])
        announced += len(waiting)
    return announced
