"""Carry a batch through: moderate it, write its features, deliver its verdicts and dead letters, then say yes.

The order is the promise: features first, then the verdict that announces them, then the acknowledgement.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.errors import BadInputError, DependencyError
from contracts.topics import DEAD_SUFFIX, VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from streams.kafka.delivery import OutgoingRecord
from streams.moderation import Moderated, Parts, Policy, RawEvent, moderate
from streams.worker.metrics import WorkerMetrics
from streams.worker.patience import (
    AbandonedError,
    FeatureWriter,
    Patience,
    PatientDecoder,
    PatientFeatureWriter,
    PatientProducer,
    PatientScorer,
    Producer,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where verdicts go: the features that the recommender reads, and the topics."""

    features: FeatureWriter
    producer: Producer


class Carrier:
    """Carries one batch at a time through the parts, each of which is waited for without bound."""

    def __init__(
        self,
        parts: Parts,
        outlets: Outlets,
        policy: Callable[[], Policy],
        metrics: WorkerMetrics,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._policy = policy
        self._metrics = metrics
        self._now = now
        self._ours: Callable[[], bool] = lambda: True
        self._patience = patience = Patience(metrics, abandoned=lambda: not self._ours())
        self._parts = Parts(
            PatientDecoder(parts.decoder, patience),
            parts.preprocess,
            PatientScorer(parts.scorer, patience),
            parts.judge,
        )
        self._features = PatientFeatureWriter(outlets.features, patience)
        self._producer = PatientProducer(outlets.producer, patience)

    async def carry(self, batch: Sequence[RawEvent], ours: Callable[[], bool]) -> bool:
        """Return True when the batch may be acknowledged, False when it was let go because it is not `ours`.

        Any other exception is a fault of this program: the worker must end without acknowledging.
        """
        self._ours = ours
        try:
            began = time.perf_counter()
            moderated = await self._patience.until_done("release", lambda: self._moderate(batch))
            judged = time.perf_counter()
            if moderated.verdicts:
                await self._features.write(moderated.verdicts)
            written, written_at = time.perf_counter(), self._now()
            await self._producer.send(_records(moderated))
            delivered = time.perf_counter()
        except AbandonedError as error:
            log.warning("let go of %d events: %s", len(batch), error)
            self._metrics.count_batch(verdicts=0, repeated=0, stale=len(batch))
            return False
        self._count(moderated, written_at)
        self._metrics.count_stage("moderate", judged - began)
        self._metrics.count_stage("features", written - judged)
        self._metrics.count_stage("deliver", delivered - written)
        return True

    async def _moderate(self, batch: Sequence[RawEvent]) -> Moderated:
        policy = self._policy()
        self._metrics.judged_by(policy.pin.release_version, policy.pin.casebook_version)
        try:
            return await moderate(batch, self._parts, policy, now=self._now)
        except BadInputError as error:  # the release's fault: wait for a pointer to a better one
            raise DependencyError(f"release {policy.pin} cannot judge: {error}") from error

    def _count(self, moderated: Moderated, written_at: datetime) -> None:
        metrics, verdicts = self._metrics, moderated.verdicts
        metrics.count_batch(verdicts=len(verdicts), repeated=moderated.repeated, stale=0)
        metrics.count_dead([letter.reason.value for letter in moderated.dead])
        metrics.observe_latency([(written_at - verdict.occurred_at).total_seconds() for verdict in verdicts])


def _records(moderated: Moderated) -> list[OutgoingRecord]:
    to_json = Verdict.__pydantic_serializer__.to_json
    topic = VIDEOS_VERDICTS.name
    records = [OutgoingRecord(topic, v.video_id.encode(), to_json(v)) for v in moderated.verdicts]
    letters = moderated.dead
    return records + [OutgoingRecord(m.topic + DEAD_SUFFIX, None, m.model_dump_json().encode()) for m in letters]
