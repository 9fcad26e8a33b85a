"""Turn raw upload events into verdicts and dead letters: check, decode, preprocess, score, judge.

Nothing here knows Kafka, Triton or Feast: each part is an argument, described by a protocol. A failure of an
*event* becomes its dead letter; a failure of a *part* is raised as it came, and nothing is lost, because the
caller acknowledges only what it has kept.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from contracts.dead_letters import DeadLetter, DeadReason
from contracts.errors import PrecedentError, first_reason, place_of
from contracts.releases import InputShape, Pin, Release
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from serving.preprocess.inputs import ModelInputs
from serving.preprocess.media import Frames, MediaError
from serving.scorer import Scorer, Scores

log = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far ahead of this machine's clock an uploader's may be."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class RawEvent(Protocol):
    """What a topic holds; `timestamp` is when it was sent, in seconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None


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
    ) -> list[Verdict]: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The collaborators of moderation."""

    decoder: Decoder
    preprocess: Preprocess
    scorer: Scorer
    judge: Judge


@dataclass(frozen=True, slots=True)
class Policy:
    """The release that judges a batch, and the pinned model versions that score it."""

    release: Release
    pin: Pin


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

    def groups(self, media_at_once: int) -> Iterator[list[Accepted]]:
        """Those without media together, those with media a few at a time: nobody waits for a slow film."""
        text = [one for one in self.accepted if one.upload.media_url is None]
        media = [one for one in self.accepted if one.upload.media_url is not None]
        if text:
            yield text
        for start in range(0, len(media), media_at_once):
            yield media[start : start + media_at_once]


@dataclass(frozen=True, slots=True)
class Moderated:
    """A verdict for each event that was judged, a letter for each that was refused."""

    verdicts: list[Verdict]
    dead: list[DeadLetter]


def check(batch: Sequence[RawEvent], now: datetime) -> Checked:
    """Validate each event at the edge, against the contract and the clock."""
    validate = VideoUploaded.__pydantic_validator__.validate_json
    latest = now + CLOCK_TOLERANCE
    checked = Checked([], [], 0)
    accepted, dead, repeated = checked.accepted, checked.dead, 0
    by_event: dict[str, VideoUploaded] = {}
    for raw in batch:
        if not raw.value:
            dead.append(_bury(raw, DeadReason.EMPTY, "value", "the event has no bytes", now))
            continue
        try:
            upload: VideoUploaded = validate(raw.value)
        except ValidationError as error:
            dead.append(_bury(raw, *_contract_reason(raw.value, error), now))
            continue
        if not EARLIEST <= upload.occurred_at <= latest:
            text = (
                f"occurred_at == {upload.occurred_at.isoformat()}, must be from {EARLIEST.date()} to"
                f" {CLOCK_TOLERANCE.total_seconds():.0f} s after this clock's {now.isoformat()}"
            )
            dead.append(_bury(raw, DeadReason.CLOCK, "occurred_at", text, now))
        elif by_event.setdefault(upload.event_id, upload) is upload or by_event[upload.event_id] != upload:
            accepted.append(Accepted(raw, upload))
        else:
            repeated += 1
    return replace(checked, repeated=repeated)


async def moderate(
    accepted: Sequence[Accepted], parts: Parts, policy: Policy, *, now: Callable[[], datetime]
) -> Moderated:
    """Judge events by `policy`; raises `DependencyError` when a part does not answer."""
    sound, frames, refused = await _decode(accepted, parts.decoder, policy.release.inputs, now)
    verdicts, unexpected = await _judge(sound, frames, parts, policy, now)
    return Moderated(verdicts, refused + unexpected)


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
            dead.append(_bury(one.raw, DeadReason.MEDIA, clip.reason.value, str(clip), now()))
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
) -> tuple[list[Verdict], list[DeadLetter]]:
    """Score and judge; an event that alone breaks the code is refused, so that it cannot hold up the rest."""
    if not accepted:
        return [], []
    try:
        uploads = [one.upload for one in accepted]
        inputs = parts.preprocess(uploads, frames, policy.release.inputs)
        scores = await parts.scorer.score(inputs, policy.pin)
        return parts.judge(uploads, inputs.present, scores, policy.release, policy.pin, now=now()), []
    except PrecedentError:
        raise
    except Exception as error:
        if len(accepted) == 1:
            raise
        log.exception("a batch of %d broke, judging each of its events alone", len(accepted))
        whole_batch = error
    verdicts: list[Verdict] = []
    dead: list[DeadLetter] = []
    for one, clip in zip(accepted, frames, strict=True):
        try:
            alone, _ = await _judge([one], [clip], parts, policy, now)
            verdicts += alone
        except PrecedentError:
            raise
        except Exception as error:  # noqa: BLE001 - the event's own fault, if others of its batch pass
            text = f"{type(error).__name__}: {error}"
            dead.append(_bury(one.raw, DeadReason.UNEXPECTED, "moderation", text, now()))
    if not verdicts:
        raise whole_batch  # every event breaks it: the fault is ours, and no video may pass unscored
    return verdicts, dead


def _contract_reason(raw: bytes, error: ValidationError) -> tuple[DeadReason, str, str]:
    """Reason, place and words for what the contract refuses."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] != "json_invalid":
        return DeadReason.CONTRACT, place_of(first["loc"]), first_reason(error)
    try:
        raw.decode()
    except UnicodeDecodeError as undecodable:
        return DeadReason.INVALID_UTF8, f"byte {undecodable.start}", str(undecodable)
    return DeadReason.INVALID_JSON, "value", first["msg"]


def _bury(raw: RawEvent, reason: DeadReason, place: str, text: str, now: datetime) -> DeadLetter:
    return DeadLetter.bury(
        raw.value or b"",
        reason=reason,
        place=place,
        text=text,
        key=raw.key,
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        sent_at=_time_sent(raw.timestamp),
        refused_at=now,
    )


def _time_sent(timestamp_s: float | None) -> datetime | None:
    """The record's own time; None where it has none or one outside the calendar."""
    try:
        return datetime.fromtimestamp(timestamp_s, UTC) if timestamp_s and timestamp_s > 0 else None
    except (OverflowError, OSError, ValueError):
        return None
