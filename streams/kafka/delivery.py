"""Records in, their confirmed delivery out: a producer whose batches are awaited, never fired and forgotten."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from confluent_kafka import KafkaException, Producer

from contracts.errors import DependencyError
from streams.kafka.connection import Connection
from streams.kafka.reaching import Reasons, metadata

log = logging.getLogger(__name__)


class OutgoingRecord(NamedTuple):
    """One record for a topic; records of one key keep their order."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] | None = None


class ConfirmedProducer:
    """Sends batches and returns only when the broker has confirmed every record of them.

    Idempotent unless the connection says otherwise: what librdkafka sends again is written once, in order. A broker
    that meets such a producer without its history (the embedded one, started again, remembers nobody) may refuse it
    for good, a fatal error in librdkafka's words. Then another producer takes its place: the batch in hand is refused
    as for any other reason, and the next one finds a producer that works. Whatever is sent twice that way
    is the same verdict to every sink. Without idempotence one request in flight keeps a key's order through retries.
    """

    def __init__(self, broker: Connection, *, client_id: str, deadline_s: float = 10.0) -> None:
        self._broker = broker
        self._client_id = client_id
        self._deadline_s = deadline_s
        self._turn = asyncio.Lock()
        self.renewals = 0
        self._open()

    def _open(self) -> None:
        self._reasons = Reasons()
        settings = {
            "client.id": self._client_id,
            "acks": "all",
            "linger.ms": 2,
            "enable.idempotence": self._broker.idempotent,
            "max.in.flight.requests.per.connection": 5 if self._broker.idempotent else 1,
            "delivery.timeout.ms": int(self._deadline_s * 1000),
            "socket.keepalive.enable": True,
            "log_level": 2,
            "error_cb": self._reasons.note,
        }
        self._producer = Producer(self._broker.client(settings), logger=log)

    async def reach(self) -> None:
        """Return when the broker answers; raises `DependencyError` when it does not within a second."""
        ask = partial(metadata, self._producer, self._reasons, self._broker.servers, within_s=1.0)
        await asyncio.get_running_loop().run_in_executor(None, ask)

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Deliver every record; raises `DependencyError` when one of them was not confirmed in time."""
        if records:
            async with self._turn:
                await asyncio.get_running_loop().run_in_executor(None, self.send_now, records)

    def send_now(self, records: Sequence[OutgoingRecord]) -> None:
        """The same for callers without an event loop; blocks until all is confirmed or refused."""
        tally = _Tally()
        try:
            self._send(records, tally)
        except KafkaException as error:
            why = error.args[0]
            if why.fatal():
                self._renew(why.str())
            raise DependencyError(f"broker refused a record: {why.str()}") from error
        except SystemError as error:
            # What the client makes of a fatal error that its poll raises with delivery reports still to be made.
            self._renew(str(error.__cause__ or error))
            raise DependencyError(f"broker refused this producer for good: {error.__cause__ or error}") from error
        if tally.refused:
            raise DependencyError(
                f"{tally.refused} of {len(records)} records were not delivered within {self._deadline_s:g} s:"
                f" {tally.reason}"
            )

    def _send(self, records: Sequence[OutgoingRecord], tally: "_Tally") -> None:
        produce, report = self._producer.produce, tally.report
        for topic, key, value, headers in records:
            while True:
                try:
                    produce(topic, value, key, on_delivery=report, headers=headers)
                    break
                except BufferError:
                    self._producer.poll(0.05)
        while tally.seen < len(records):
            # every record gets its report within `delivery.timeout.ms`, confirmed or not
            self._producer.flush(self._deadline_s)

    def _renew(self, why: str) -> None:
        """Put another producer in the place of one that the broker refuses for good."""
        log.warning("broker %s refused this producer for good, another takes its place: %s", self._broker.servers, why)
        self.renewals += 1
        with suppress(KafkaException, SystemError):  # it says once more that it is of no use
            self.close()
        self._open()

    def close(self) -> None:
        """Let go of the connection; what was not confirmed is not acknowledged and comes again."""
        self._producer.purge()
        self._producer.flush(0)


class _Tally:
    """Counts delivery reports of one batch."""

    def __init__(self) -> None:
        self.seen = 0
        self.refused = 0
        self.reason: object = None

    def report(self, error: object, _message: object) -> None:
        self.seen += 1
        if error is not None:
            self.refused += 1
            self.reason = error
