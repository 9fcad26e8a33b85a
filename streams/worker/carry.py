"""Carry a batch through: moderate it, write its features, deliver its verdicts and dead letters, then say yes.

The order is the promise: features first, then the verdict that announces them, then the acknowledgement.
Nothing is written while the group has not confirmed for a session's time that we are a member: a process that stood
still for so long must not write before it knows whether its partitions have moved. What it judged before it stood still
is older to the stores than what another judged meanwhile, what it judges afterwards is not, hence the question between.
Events without media and small groups of those with media go side by side, so that a slow film delays itself; events of
one video go one after the other, in whatever batches they are (`streams.worker.turns`).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.errors import BadInputError, DependencyError
from contracts.records import is_id
from contracts.topics import VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from streams.edge import RawEvent
from streams.kafka.delivery import OutgoingRecord
from streams.kafka.records import of_letters
from streams.moderation import Accepted, Moderated, Parts, Policy, check, groups, moderate
from streams.watching.letters import LetterLog
from streams.watching.traces import UNTRACED, Attributes, BatchTrace, Headers, Journey, Tracing, headers_of
from streams.worker.metrics import WorkerMetrics
from streams.worker.patience import AbandonedError, Outlets, Patience
from streams.worker.stages import Stages
from streams.worker.turns import Turns, ended, waves

log = logging.getLogger(__name__)

MEDIA_AT_ONCE = 16
CONFIRMED_EVERY_S = 0.1
NAMED = 20
"""Videos of a batch that a line of the log names."""


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
        confirmed: Callable[[], bool] = lambda: True,
        stopping: Callable[[], bool] = lambda: False,
        tracing: Tracing = UNTRACED,
    ) -> None:
        self._parts = parts
        self._outlets = outlets
        self._policy = policy
        self._metrics = metrics
        self._now = now
        self._confirmed = confirmed
        self._stopping = stopping
        self._tracing = tracing
        self._letters = LetterLog()
        self._turns = Turns()

    async def carry(self, batch: Sequence[RawEvent], ours: Callable[[], bool]) -> bool:
        """Return True when the batch may be acknowledged, False when it was let go because it is not `ours`.

        Once we are `stopping`, what waits for a part is let go as well, and what waits for nothing is finished.
        Any other exception is a fault of this program: the worker must end without acknowledging.
        """
        with self._metrics.under_way(), self._tracing.batch("moderate", len(batch)) as trace:
            return await self._carry(batch, ours, trace)

    async def _carry(self, batch: Sequence[RawEvent], ours: Callable[[], bool], trace: BatchTrace) -> bool:
        def tell(stage: str, began_s: float, ended_s: float) -> None:
            self._metrics.count_stage(stage, ended_s - began_s)
            trace.stage(stage, began_s, ended_s)

        def abandoned() -> bool:
            return self._stopping() or not ours()

        stages = Stages(tell)
        patience = Patience(self._metrics, abandoned=abandoned, about=lambda: _about(batch))
        member = _Member(self._outlets, patience, ours, self._confirmed)
        trip = _Trip(
            stages.over_parts(patience.over_parts(self._parts)),
            patience.over_outlets(Outlets(member, member)),
            patience,
            self._policy,
            self._metrics,
            stages,
            trace,
            self._letters,
            self._now,
        )
        with stages.timed("check"):
            checked = check(batch, self._now())
        accepted = checked.accepted
        trace.follow(
            len(accepted), lambda row: headers_of(accepted[row].raw), lambda row: _journey(accepted[row]), begins=True
        )
        ways = [asyncio.create_task(trip.deliver(Moderated([], checked.dead)))] if checked.dead else []
        for wave in waves(accepted, self._turns.busy):
            ways += [
                self._turns.begin(group, trip.take, lambda: not abandoned()) for group in groups(wave, MEDIA_AT_ONCE)
            ]
        let_go = await ended(ways)
        stale = len(batch) if let_go else 0
        if let_go:
            log.warning("let go of %d events: %s", stale, let_go, extra=_about(batch))
        self._metrics.count_batch(len(batch), repeated=checked.repeated, stale=stale)
        return let_go is None


@dataclass(frozen=True, slots=True)
class _Member:
    """Outlets that are written to, each time that it is tried, only while the group takes us for a member.

    Whoever was cut off from the group as well as from an outlet would else write first and be told afterwards.
    """

    outlets: Outlets
    patience: Patience
    ours: Callable[[], bool]
    confirmed: Callable[[], bool]

    async def write(self, verdicts: Sequence[Verdict]) -> object:
        await self._membership()
        return await self.outlets.features.write(verdicts)

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        await self._membership()
        await self.outlets.producer.send(records)

    async def _membership(self) -> None:
        """Return as soon as the group has lately confirmed us; raises `AbandonedError` when the batch is not ours."""

        async def ask() -> None:
            if not self.ours():
                raise AbandonedError("the batch is not this worker's any more")
            if not self.confirmed():
                raise DependencyError("the group has not confirmed for a session's time that this worker is a member")

        await replace(self.patience, longest_s=CONFIRMED_EVERY_S).until_done("group", ask)


@dataclass(frozen=True, slots=True)
class _Trip:
    """One batch's way through parts and outlets whose patience ends when the batch is not ours any more."""

    parts: Parts
    outlets: Outlets
    patience: Patience
    policy: Callable[[], Policy]
    metrics: WorkerMetrics
    stages: Stages
    trace: BatchTrace
    letters: LetterLog
    now: Callable[[], datetime]

    async def take(self, group: Sequence[Accepted]) -> None:
        """Moderate a group and deliver what it became."""
        await self.deliver(await self.patience.until_done("release", lambda: self._moderate(group)))

    async def deliver(self, moderated: Moderated) -> None:
        """Write features, then announce verdicts and dead letters; returns when all of it is kept."""
        if moderated.verdicts:
            with self.stages.timed("features"):
                await self.outlets.features.write(moderated.verdicts)
        written_at = self.now()
        onward = self.trace.onward
        for verdict in moderated.verdicts if onward else ():
            if verdict.event_id in onward:
                self.trace.arrived(verdict.event_id, written_at, _outcome(verdict))
        with self.stages.timed("deliver"):
            await self.outlets.producer.send(_records(moderated, onward))
        self.metrics.count_dead([letter.reason.value for letter in moderated.dead])
        self.letters.tell(moderated.dead)
        self.metrics.observe_verdicts([(written_at - v.occurred_at).total_seconds() for v in moderated.verdicts])

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


def _records(moderated: Moderated, onward: Mapping[str, Headers]) -> list[OutgoingRecord]:
    to_json = Verdict.__pydantic_serializer__.to_json
    topic = VIDEOS_VERDICTS.name
    verdicts = [OutgoingRecord(topic, v.video_id.encode(), to_json(v)) for v in moderated.verdicts]
    if onward:
        pairs = zip(verdicts, moderated.verdicts, strict=True)
        verdicts = [record._replace(headers=onward.get(verdict.event_id)) for record, verdict in pairs]
    return verdicts + of_letters(moderated.dead)


def _journey(one: Accepted) -> Journey:
    """What a trace says of an upload; its journey began when the upload came to be."""
    upload, raw = one.upload, one.raw
    about = {"precedent.video_id": upload.video_id, "precedent.event_id": upload.event_id}
    place = {"messaging.kafka.partition": raw.partition, "messaging.kafka.offset": raw.offset}
    return Journey(upload.event_id, upload.occurred_at, {**about, **place})


def _outcome(verdict: Verdict) -> Attributes:
    return {
        "precedent.decision": verdict.decision.value,
        "precedent.release": verdict.release_version,
        "precedent.casebook": verdict.casebook_version,
    }


def _about(batch: Sequence[RawEvent]) -> Mapping[str, object]:
    """A batch's fields in a log: how many events, where they lay, the first of its videos."""
    places: dict[str, list[int]] = {}
    for raw in batch:
        places.setdefault(f"{raw.topic}/{raw.partition}", [raw.offset, raw.offset])[1] = raw.offset
    keys = [raw.key.decode("latin-1") for raw in batch[:NAMED] if raw.key]
    return {"events": len(batch), "offsets": places, "video_ids": [key for key in keys if is_id(key)]}
