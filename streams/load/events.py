"""An event's number in, topic, key and bytes out: uploads with a few holes, filled in two microseconds each."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.topics import USERS_REPORTS, VIDEOS_UPLOADED
from contracts.videos import VideoUploaded
from streams.load.plan import Drawn, Kind, LoadPlan

OLDER_BY_S = 3_600.0
"""How much older than its sending a late version says it is: older than any version of a shorter run."""
POISON = (
    (b"{", "invalid_json"),
    (b'{"title": "\xff\xfe"}', "invalid_utf8"),
    (b'{"event_id": "x", "surprise": 1}', "contract"),
    (b'{"video_id": 7}', "contract"),
    (b"[" * 5_000, "invalid_json"),
    (b"NaN", "contract"),
)
"""Bytes that break the contract, each with the reason that its dead letter must give."""


class Outgoing(NamedTuple):
    """One record to send."""

    topic: str
    key: bytes
    value: bytes


class Encoder:
    """Makes the records of a plan from uploads in turn: those with media for media, the others' words for the rest."""

    def __init__(self, plan: LoadPlan, drawn: Drawn, uploads: Sequence[VideoUploaded]) -> None:
        filmed = [upload for upload in uploads if upload.media_url]
        worded = [upload for upload in uploads if upload.title or upload.ocr or upload.asr]
        if plan.mix.shares.get(Kind.MEDIA) and not filmed:
            raise BadInputError("--mix: media has a share, but no upload of --uploads has media")
        if not worded:
            raise BadInputError("no upload of --uploads has words")
        self._drawn = drawn
        self._run = plan.run.encode()
        self._filmed = [_rest_of(upload) for upload in filmed]
        self._worded = [_rest_of(upload.model_copy(update={"media_url": None})) for upload in worded]
        self.mean_bytes = 150 + int(np.mean([len(rest) for rest in self._filmed or self._worded]))

    def __call__(self, number: int, intended_s: float) -> Outgoing:
        """The record of event `number`, which is meant to be sent at `intended_s` seconds since 1970.

        A repeat must be given the time of the event that it repeats.
        """
        kind, of = int(self._drawn.kind_N[number]), int(self._drawn.speaks_of_N[number])
        video = b"%b-%08d" % (self._run, of)
        if kind == Kind.POISON:
            return Outgoing(VIDEOS_UPLOADED.name, b"%b-%08d" % (self._run, number), POISON[number % len(POISON)][0])
        if kind == Kind.REPORT:
            return Outgoing(
                USERS_REPORTS.name,
                video,
                b'{"event_id":"%b-%08d","video_id":"%b","reporter_id":"%b-u%d","reported_at":"%b","surface":"search"}'
                % (self._run, number, video, self._run, number % 997, _time(intended_s)),
            )
        rests = self._filmed if kind == Kind.MEDIA else self._worded
        told = of if kind == Kind.REPEAT else number
        occurred_s = intended_s - OLDER_BY_S if kind == Kind.LATE else intended_s
        value = b'{"event_id":"%b-%08d","video_id":"%b","occurred_at":"%b",%b' % (
            self._run,
            told,
            video,
            _time(occurred_s),
            rests[told % len(rests)],
        )
        return Outgoing(VIDEOS_UPLOADED.name, video, value)


def _time(seconds: float) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").encode()


def _rest_of(upload: VideoUploaded) -> bytes:
    fields = upload.model_dump(mode="json", exclude={"event_id", "video_id", "occurred_at"}, exclude_none=True)
    return orjson.dumps(fields)[1:]


def read_uploads(path: Path) -> Iterator[VideoUploaded]:
    """Uploads of a JSONL file; raises `BadInputError` naming the line that breaks the contract."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield VideoUploaded.model_validate_json(line)
            except ValidationError as error:
                raise BadInputError(f"{path}:{number}: {first_reason(error)}") from error
