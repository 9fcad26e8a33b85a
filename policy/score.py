"""Files in, verdicts out: what `precedent score` does, by the same steps as the online path."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path

import orjson
from pydantic import ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.kuaimod import KuaiModRecord
from contracts.verdicts import Verdict
from contracts.videos import VideoUploaded
from policy.casebook import Frames
from policy.decide import judge
from policy.evidence import Decoder
from serving.preprocess.batch import preprocess
from serving.preprocess.media import MediaError
from serving.releases import ReleaseFolder, read_leaves
from serving.scorer import Scorer

LINES = (".jsonl", ".ndjson")
MEDIA = (".mp4", ".mov", ".mkv", ".webm", ".m4v")


def read_uploads(paths: Sequence[Path]) -> Iterator[VideoUploaded]:
    """Yield the uploads of JSONL files (events or KuaiMod records) and one for each media file.

    Raises `BadInputError` naming file, line and rule.
    """
    for path in paths:
        if not path.is_file():
            raise BadInputError(f"{path}: is not a file")
        if path.suffix.lower() in LINES:
            yield from _read_lines(path)
        elif path.suffix.lower() in MEDIA:
            yield _upload_of(path)
        else:
            raise BadInputError(f"{path}: ends in {path.suffix!r}, must be one of {', '.join(LINES + MEDIA)}")


async def score_uploads(
    uploads: Iterable[VideoUploaded],
    *,
    folder: ReleaseFolder,
    scorer: Scorer,
    decoder: Decoder,
    batch: int = 64,
) -> AsyncIterator[Verdict]:
    """Judge uploads in order with one release; raises `BadInputError` naming the first media that is broken."""
    waiting, leaves = iter(uploads), read_leaves(folder.path)
    while some := list(islice(waiting, batch)):
        frames = await _decode(some, decoder)
        inputs = preprocess(some, frames, folder.release.inputs)
        scores = await scorer.score(inputs, folder.pin)
        now = datetime.now(UTC)
        for verdict in judge(some, inputs.present, scores, folder.release, folder.pin, now=now, leaves=leaves):
            yield verdict


async def _decode(uploads: Sequence[VideoUploaded], decoder: Decoder) -> list[Frames]:
    addressed = [(row, u.media_url) for row, u in enumerate(uploads) if u.media_url is not None]
    frames: list[Frames] = [None] * len(uploads)
    answers = await decoder.decode([url for _, url in addressed])
    for (row, url), answer in zip(addressed, answers, strict=True):
        if isinstance(answer, MediaError):
            raise BadInputError(f"video {uploads[row].video_id}: {url}: {answer}")
        frames[row] = answer
    return frames


def _read_lines(path: Path) -> Iterator[VideoUploaded]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                fields = orjson.loads(line)
                if not isinstance(fields, dict):
                    msg = f"is {type(fields).__name__}, must be an object"
                    raise TypeError(msg)
                if "pid" in fields:
                    yield KuaiModRecord.model_validate(fields).to_upload()
                else:
                    yield VideoUploaded.model_validate_json(line)
            except ValidationError as error:
                raise BadInputError(f"{path}:{number}: {first_reason(error)}") from error
            except (orjson.JSONDecodeError, TypeError, ValueError) as error:
                raise BadInputError(f"{path}:{number}: {error}") from error


def _upload_of(path: Path) -> VideoUploaded:
    """An upload that is nothing but a media file; its ids come from the file's address."""
    address = path.resolve().as_uri()
    name = f"file-{sha256(address.encode()).hexdigest()[:16]}"
    return VideoUploaded(
        event_id=name,
        video_id=name,
        author_id="file-author",
        occurred_at=datetime.fromtimestamp(path.stat().st_mtime, UTC),
        media_url=address,
    )
