"""Carry a batch through: moderate it, write its features, deliver its verdicts and dead letters, then say yes.

The order is the promise: features first, then the verdict that announces them, then the acknowledgement.
Events without media and small groups of those with media go side by side, so that a slow film delays itself.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.errors import BadInputError, DependencyError
from contracts.topics import VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from streams.edge import RawEvent
from streams.kafka.delivery import OutgoingRecord
from streams.kafka.records import of_letters
from streams.moderation import Accepted, Moderated, Parts, Policy, check, moderate
from streams.worker.metrics import WorkerMetrics
from streams.worker.patience import AbandonedError, Outlets, Patience

log = logging.getLogger(__name__)

MEDIA_AT_ONCE = 16


class Carrier:
    """Carries batches through the parts, each of which is waited for without bound."""

    def __init__(
        self,
        parts: Parts,
        outlets: Outlets,
        policy: Callable[[], Policy],
        metrics: WorkerMetrics,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._parts = parts
        self._outlets = outlets
        self._policy = policy
        self._metrics = metrics
        self._now = now

    async def carry(self, batch: Sequence[RawEvent], ours: Callable[[], bool]) -> bool:
        """Return True when the batch may be acknowledged, False when it was let go because it is not `ours`.

        Any other exception is a fault of this program: the worker must end without acknowledging.
        """
        patience = Patience(self._metrics, abandoned=lambda: not ours())
        trip = _Trip(
            patience.over_parts(self._parts),
            patience.over_outlets(self._outlets),
            patience,
            self._policy,
            self._metrics,
            self._now,
        )
        checked = check(batch, self._now())
        ways = [trip.deliver(Moderated([], checked.dead))] if checked.dead else []
        ways += [trip.take(group) for group in checked.groups(MEDIA_AT_ONCE)]
        outcomes = await asyncio.gather(*ways, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            if not isinstance(failure, AbandonedError):
                raise failure
        stale = len(batch) if failures else 0
        if stale:
            log.warning("let go of %d events: %s", stale, failures[0])
        self._metrics.count_batch(len(batch), repeated=checked.repeated, stale=stale)
        return not failures


@dataclass(frozen=True, slots=True)
class _Trip:
    """One batch's way through parts and outlets whose patience ends when the batch is not ours any more."""

    parts: Parts
    outlets: Outlets
    patience: Patience
    policy: Callable[[], Policy]
    metrics: WorkerMetrics
    now: Callable[[], datetime]

    async def take(self, group: Sequence[Accepted]) -> None:
        """Moderate a group and deliver what it became."""
        began = time.perf_counter()
        moderated = await self.patience.until_done("release", lambda: self._moderate(group))
        self.metrics.count_stage("moderate", time.perf_counter() - began)
        await self.deliver(moderated)

    async def deliver(self, moderated: Moderated) -> None:
        """Write features, then announce verdicts and dead letters; returns when all of it is kept."""
        began = time.perf_counter()
        if moderated.verdicts:
            await self.outlets.features.write(moderated.verdicts)
        written, written_at = time.perf_counter(), self.now()
        await self.outlets.producer.send(_records(moderated))
        metrics = self.metrics
        metrics.count_stage("features", written - began)
        metrics.count_stage("deliver", time.perf_counter() - written)
        metrics.count_dead([letter.reason.value for letter in moderated.dead])
        metrics.observe_verdicts([(written_at - v.occurred_at).total_seconds() for v in moderated.verdicts])

    async def _moderate(self, group: Sequence[Accepted]) -> Moderated:
        policy = self.policy()
        tried = policy.candidate.pin.release_version if policy.candidate else 0
        self.metrics.judged_by(policy.pin.release_version, policy.pin.casebook_version, candidate=tried)
        try:
            moderated = await moderate(group, self.parts, policy, now=self.now)
        except BadInputError as error:  # the release's fault: wait for a pointer to a better one
            raise DependencyError(f"release {policy.pin} cannot judge: {error}") from error
        if policy.candidate is not None:
            self.metrics.count_candidate(moderated.verdicts, tried=policy.candidate.pin, fell_back=moderated.fell_back)
        return moderated


def _records(moderated: Moderated) -> list[OutgoingRecord]:
    to_json = Verdict.__pydantic_serializer__.to_json
    topic = VIDEOS_VERDICTS.name
    verdicts = [OutgoingRecord(topic, v.video_id.encode(), to_json(v)) for v in moderated.verdicts]
    return verdicts + of_letters(moderated.dead)
