"""Turn raw upload events into verdicts and dead letters: check, decode, preprocess, score, judge.

While a candidate release is a canary, its scores make the verdicts of its share of the videos, the live release's
those of all others; where the candidate does not answer, the live release judges them all.

Nothing here knows Kafka, Triton or Feast: each part is an argument, described by a protocol. A failure of an
*event* becomes its dead letter; a failure of a *part* is raised as it came, and nothing is lost, because the
caller acknowledges only what it has kept.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contracts.dead_letters import DeadLetter, DeadReason
from contracts.errors import PrecedentError
from contracts.records import Event
from contracts.releases import InputShape, Pin, Release
from contracts.topics import VIDEOS_UPLOADED
from contracts.verdicts import CandidateDecision, Verdict
from contracts.videos import VideoUploaded
from policy.rollout.canary import canary_rows
from serving.preprocess.inputs import ModelInputs
from serving.preprocess.media import Frames, MediaError
from serving.scorer import Scorer, Scores
from streams.edge import RawEvent, bury, read

log = logging.getLogger(__name__)


class Decoder(Protocol):
    """Decodes media addresses, each to uint8 [f, S, S, 3] of `shape`, or to the reason why not."""

    async def decode(self, urls: Sequence[str], shape: InputShape) -> Sequence[Frames | MediaError]: ...


class Preprocess(Protocol):
    """Makes the model inputs of B uploads and their frames."""

    def __call__(
        self, uploads: Sequence[VideoUploaded], frames: Sequence[Frames | None], shape: InputShape
    ) -> ModelInputs: ...


class Judge(Protocol):
    """Writes the verdicts of B uploads from their scores."""

    def __call__(
        self,
        uploads: Sequence[VideoUploaded],
        present_B_5: npt.NDArray[np.uint8],
        scores: Scores,
        release: Release,
        pin: Pin,
        *,
        now: datetime,
        candidates: Sequence[CandidateDecision] | None = None,
        leaves: Mapping[str, str] = ...,
    ) -> list[Verdict]: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """The release that judges a batch, the pinned models that score it, and the policy that is tried beside it.

    `canary_share`: the share of the videos, in [0, 1], of which the candidate decides. `leaves`: those of the pin's
    precedents, by case id.
    """

    release: Release
    pin: Pin
    candidate: "Policy | None" = None
    canary_share: float = 0.0
    leaves: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a candidate policy says of B uploads: its scores, and what it decides of each, in order."""

    scores: Scores
    decisions: Sequence[CandidateDecision]


class SecondOpinion(Protocol):
    """What a candidate policy says of B uploads; None where it does not say so soon. It never raises."""

    async def __call__(
        self,
        uploads: Sequence[VideoUploaded],
        frames: Sequence[Frames | None],
        inputs: ModelInputs,
        policy: Policy,
    ) -> Opinion | None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The collaborators of moderation; without a second opinion no candidate is asked."""

    decoder: Decoder
    preprocess: Preprocess
    scorer: Scorer
    judge: Judge
    second_opinion: SecondOpinion | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event that keeps the contract, and the upload that it is."""

    raw: RawEvent
    upload: VideoUploaded


@dataclass(frozen=True, slots=True)
class Checked:
    """What the edge made of a batch; `repeated` events were in it twice, byte for byte the same upload."""

    accepted: list[Accepted]
    dead: list[DeadLetter]
    repeated: int


@dataclass(frozen=True, slots=True)
class Moderated:
    """A verdict for each event that was judged, a letter for each that was refused.

    `fell_back` verdicts are the live release's, though the canary should have decided.
    """

    verdicts: list[Verdict]
    dead: list[DeadLetter]
    fell_back: int = 0


def check(batch: Sequence[RawEvent], now: datetime) -> Checked:
    """Let in what keeps the contract and the clock, each event once."""
    through = read(batch, VIDEOS_UPLOADED, now)
    accepted: list[Accepted] = []
    by_event: dict[str, Event] = {}
    for raw, upload in through.accepted:
        assert isinstance(upload, VideoUploaded)
        if by_event.setdefault(upload.event_id, upload) is upload or by_event[upload.event_id] != upload:
            accepted.append(Accepted(raw, upload))
    return Checked(accepted, through.dead, repeated=len(through.accepted) - len(accepted))


def groups(accepted: Sequence[Accepted], media_at_once: int) -> Iterator[Sequence[Accepted]]:
    """Those without media together, those with media a few at a time: nobody waits for a slow film."""
    text = [one for one in accepted if one.upload.media_url is None]
    media = [one for one in accepted if one.upload.media_url is not None]
    if text:
        yield text
    for start in range(0, len(media), media_at_once):
        yield media[start : start + media_at_once]


async def moderate(
    accepted: Sequence[Accepted], parts: Parts, policy: Policy, *, now: Callable[[], datetime]
) -> Moderated:
    """Judge events by `policy`; raises `DependencyError` when a part does not answer."""
    sound, frames, refused = await _decode(accepted, parts.decoder, policy.release.inputs, now)
    judged = await _judge(sound, frames, parts, policy, now)
    return Moderated(judged.verdicts, refused + judged.dead, judged.fell_back)


async def _decode(
    accepted: Sequence[Accepted], decoder: Decoder, shape: InputShape, now: Callable[[], datetime]
) -> tuple[Sequence[Accepted], list[Frames | None], list[DeadLetter]]:
    """Decode the media of those that have some; broken media refuses its event, text or not."""
    urls = [one.upload.media_url for one in accepted if one.upload.media_url is not None]
    if not urls:
        return accepted, [None] * len(accepted), []
    decoded = iter(await decoder.decode(urls, shape))
    kept: list[Accepted] = []
    frames: list[Frames | None] = []
    dead: list[DeadLetter] = []
    for one in accepted:
        clip = next(decoded) if one.upload.media_url is not None else None
        if isinstance(clip, MediaError):
            dead.append(bury(one.raw, DeadReason.MEDIA, clip.reason.value, str(clip), now()))
        else:
            kept.append(one)
            frames.append(clip)
    return kept, frames, dead


async def _judge(
    accepted: Sequence[Accepted],
    frames: list[Frames | None],
    parts: Parts,
    policy: Policy,
    now: Callable[[], datetime],
) -> Moderated:
    """Score and judge; an event that alone breaks the code is refused, so that it cannot hold up the rest."""
    if not accepted:
        return Moderated([], [])
    try:
        uploads = [one.upload for one in accepted]
        inputs = parts.preprocess(uploads, frames, policy.release.inputs)
        scores, opinion = await _score(uploads, frames, inputs, parts, policy)
        return _verdicts(uploads, inputs.present, scores, opinion, parts.judge, policy, now())
    except PrecedentError:
        raise
    except Exception as error:
        if len(accepted) == 1:
            raise
        log.exception(
            "a batch of %d broke, judging each of its events alone",
            len(accepted),
            extra={"events": len(accepted), "video_ids": [one.upload.video_id for one in accepted[:20]]},
        )
        whole_batch = error
    verdicts: list[Verdict] = []
    dead: list[DeadLetter] = []
    fell_back = 0
    for one, clip in zip(accepted, frames, strict=True):
        try:
            alone = await _judge([one], [clip], parts, policy, now)
            verdicts += alone.verdicts
            fell_back += alone.fell_back
        except PrecedentError:
            raise
        except Exception as error:  # noqa: BLE001 - the event's own fault, if others of its batch pass
            text = f"{type(error).__name__}: {error}"
            dead.append(bury(one.raw, DeadReason.UNEXPECTED, "moderation", text, now()))
    if not verdicts:
        raise whole_batch  # every event breaks it: the fault is ours, and no video may pass unscored
    return Moderated(verdicts, dead, fell_back)


def _verdicts(
    uploads: Sequence[VideoUploaded],
    present_B_5: npt.NDArray[np.uint8],
    scores: Scores,
    opinion: Opinion | None,
    judge: Judge,
    policy: Policy,
    now: datetime,
) -> Moderated:
    """The live release's verdicts, and in their places those of the videos that the canary decides of."""
    beside = None if opinion is None else opinion.decisions
    verdicts = judge(
        uploads, present_B_5, scores, policy.release, policy.pin, now=now, candidates=beside, leaves=policy.leaves
    )
    candidate = policy.candidate
    if candidate is None or not policy.canary_share:
        return Moderated(verdicts, [])
    chosen = canary_rows((upload.video_id for upload in uploads), candidate.pin, policy.canary_share)
    rows = np.flatnonzero(chosen)
    if opinion is None or not rows.size:
        return Moderated(verdicts, [], fell_back=len(rows))
    try:
        some = [uploads[row] for row in rows.tolist()]
        theirs = judge(
            some,
            present_B_5[rows],
            opinion.scores.take(rows),
            candidate.release,
            candidate.pin,
            now=now,
            leaves=candidate.leaves,
        )
        fell_back = 0
    except Exception:
        log.exception(
            "ALERT the live release judges %d videos of canary %r: its verdicts break",
            rows.size,
            candidate.pin,
            extra={
                "candidate_release": candidate.pin.release_version,
                "candidate_casebook": candidate.pin.casebook_version,
                "events": int(rows.size),
                "video_ids": [upload.video_id for upload in some[:20]],
            },
        )
        theirs = [verdicts[row].model_copy(update={"candidate": None}) for row in rows.tolist()]
        fell_back = len(rows)
    for row, verdict in zip(rows.tolist(), theirs, strict=True):
        verdicts[row] = verdict
    return Moderated(verdicts, [], fell_back)


async def _score(
    uploads: Sequence[VideoUploaded],
    frames: Sequence[Frames | None],
    inputs: ModelInputs,
    parts: Parts,
    policy: Policy,
) -> tuple[Scores, Opinion | None]:
    """Score by the live models and, while a candidate is tried, ask it at the same time."""
    if policy.candidate is None or parts.second_opinion is None:
        return await parts.scorer.score(inputs, policy.pin), None
    asked = asyncio.create_task(parts.second_opinion(uploads, frames, inputs, policy))
    try:
        return await parts.scorer.score(inputs, policy.pin), await asked
    finally:
        asked.cancel()
