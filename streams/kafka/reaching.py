"""A client in, what the cluster is like out, or its own reason not to let us in: no endless silent wait.

librdkafka tries again for ever and says why only to a callback. A cluster that is away is waited for; one that refuses
us is not: a wrong password or an authority that is not trusted is bad input, and an operator must read so in the
first line, not guess it from "transport failure".
"""

import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from contracts.errors import BadInputError, DependencyError
from streams.kafka.connection import Connection

ROUND_S = 0.5
_REFUSALS = (KafkaError._AUTHENTICATION, KafkaError._SSL)


class Reasons:
    """What a client's connections last failed with: `note` is its `error_cb`, which its `poll` calls."""

    def __init__(self) -> None:
        self._last: KafkaError | None = None

    def note(self, error: KafkaError) -> None:
        """Keep an error, unless it says less than the one that is kept."""
        if self._last is None or _telling(error) >= _telling(self._last):
            self._last = error

    def forget(self) -> None:
        """All is well again."""
        self._last = None

    @property
    def refused(self) -> bool:
        """Whether the cluster was reached and did not let us in, or we did not believe it."""
        return self._last is not None and self._last.code() in _REFUSALS

    def sentence(self, servers: str, error: KafkaException) -> str:
        """Why the servers do not answer, in one line."""
        why = self._last if self._last is not None else error.args[0]
        words = " ".join(why.str().split())
        if self.refused:
            return f"broker {servers} and what PRECEDENT_KAFKA_* say do not go together: {words}"
        return f"broker {servers} does not answer: {words}"


def _telling(error: KafkaError) -> int:
    return 0 if error.code() == KafkaError._ALL_BROKERS_DOWN else 2 if error.code() in _REFUSALS else 1


def metadata(client: Any, reasons: Reasons, servers: str, *, within_s: float) -> Any:
    """What a client is told of brokers and topics.

    Raises `BadInputError` as soon as the cluster refuses us, `DependencyError` when it does not answer in time.
    """
    until = time.monotonic() + within_s
    while True:
        try:
            told = client.list_topics(timeout=max(0.01, min(ROUND_S, until - time.monotonic())))
        except KafkaException as error:
            client.poll(0)
            if reasons.refused:
                raise BadInputError(reasons.sentence(servers, error)) from error
            if time.monotonic() >= until:
                raise DependencyError(reasons.sentence(servers, error)) from error
        else:
            reasons.forget()
            return told


def reach(connection: Connection, *, within_s: float = 10.0) -> None:
    """Return when the cluster answers us; raises as `metadata` does."""
    reasons = Reasons()
    admin = AdminClient(connection.client({"log_level": 0, "error_cb": reasons.note}))
    metadata(admin, reasons, connection.servers, within_s=within_s)
