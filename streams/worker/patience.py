"""Keep asking a part that does not answer: wait, try again without bound, and say so in log and metric.

A worker that waits holds its batch, acknowledges nothing and still sends heartbeats (the consumer has a
thread of its own). It lets go of the batch when the batch is no longer its own to finish: after a
rebalance its partitions are read again from the last commit, here or elsewhere.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from contracts.errors import DependencyError, PrecedentError
from contracts.releases import InputShape, Pin
from contracts.verdicts import Verdict
from serving.preprocess.inputs import ModelInputs
from serving.preprocess.media import Frames, MediaError
from serving.scorer import Scorer, Scores
from streams.kafka.delivery import OutgoingRecord
from streams.moderation import Decoder, Parts

log = logging.getLogger(__name__)
T = TypeVar("T")


class AbandonedError(PrecedentError):
    """The batch in hand is not this worker's any more; nothing of it is acknowledged."""


class WaitingGauge(Protocol):
    """Shows which part is waited for."""

    def waiting(self, part: str, seconds: float) -> None: ...


@dataclass(slots=True)
class Patience:
    """How a worker waits: from `first_s` doubling to `longest_s`, an alert at once and every `alert_s`."""

    gauge: WaitingGauge
    abandoned: Callable[[], bool] = field(default=lambda: False)
    first_s: float = 0.1
    longest_s: float = 5.0
    alert_s: float = 10.0
    about: Callable[[], Mapping[str, object]] = dict
    """What waits, as fields of the log: asked only when there is something to say."""

    def over_parts(self, parts: Parts) -> Parts:
        """The same parts, waited for; a second opinion is not."""
        return replace(parts, decoder=PatientDecoder(parts.decoder, self), scorer=PatientScorer(parts.scorer, self))

    def over_outlets(self, outlets: "Outlets") -> "Outlets":
        """The same outlets, waited for."""
        return Outlets(PatientFeatureWriter(outlets.features, self), PatientProducer(outlets.producer, self))

    async def until_done(self, part: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return the attempt's result, however long its part is away; raises `AbandonedError`."""
        started = alerted = 0.0
        pause_s = self.first_s
        while True:
            try:
                result = await attempt()
            except DependencyError as error:
                now = time.monotonic()
                started = started or now
                if not alerted or now - alerted >= self.alert_s:
                    alerted = now
                    log.error(
                        "ALERT waiting for %s since %.1f s: %s",
                        part,
                        now - started,
                        error,
                        extra={**self.about(), "waits_for": part, "waited_s": round(now - started, 3)},
                    )
                self.gauge.waiting(part, max(now - started, 1e-3))
                await self._pause(part, pause_s)
                pause_s = min(2.0 * pause_s, self.longest_s)
                continue
            if started:
                self.gauge.waiting(part, 0.0)
                waited_s = time.monotonic() - started
                log.warning(
                    "%s is back after %.1f s",
                    part,
                    waited_s,
                    extra={**self.about(), "waits_for": part, "waited_s": round(waited_s, 3)},
                )
            return result

    async def _pause(self, part: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.abandoned():
                self.gauge.waiting(part, 0.0)
                raise AbandonedError(f"gave up waiting for {part}: the batch is not this worker's any more")
            await asyncio.sleep(min(left, 0.1))


class FeatureWriter(Protocol):
    """Keeps verdicts as features; an older one never replaces a newer one."""

    async def write(self, verdicts: Sequence[Verdict]) -> object: ...


class Producer(Protocol):
    """Delivers records; returns when all of them are confirmed."""

    async def send(self, records: Sequence[OutgoingRecord]) -> None: ...


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where verdicts go: the features that the recommender reads, and the topics."""

    features: FeatureWriter
    producer: Producer


@dataclass(frozen=True, slots=True)
class PatientDecoder:
    """A decoder that is waited for: its media store may be away."""

    decoder: Decoder
    patience: Patience

    async def decode(self, urls: Sequence[str], shape: InputShape) -> Sequence[Frames | MediaError]:
        return await self.patience.until_done("media", lambda: self.decoder.decode(urls, shape))


@dataclass(frozen=True, slots=True)
class PatientScorer:
    """A scorer that is waited for."""

    scorer: Scorer
    patience: Patience

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        return await self.patience.until_done("scorer", lambda: self.scorer.score(inputs, pin))

    async def ready(self, pin: Pin) -> bool:
        return await self.scorer.ready(pin)

    async def close(self) -> None:
        await self.scorer.close()


@dataclass(frozen=True, slots=True)
class PatientFeatureWriter:
    """A feature writer that is waited for."""

    writer: FeatureWriter
    patience: Patience

    async def write(self, verdicts: Sequence[Verdict]) -> object:
        return await self.patience.until_done("features", lambda: self.writer.write(verdicts))


@dataclass(frozen=True, slots=True)
class PatientProducer:
    """A producer that is waited for."""

    producer: Producer
    patience: Patience

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        await self.patience.until_done("broker", lambda: self.producer.send(records))
