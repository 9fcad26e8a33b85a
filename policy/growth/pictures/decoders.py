"""Contents in, kept frames or refusals out, in order: pictures in threads, videos in limited processes."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from policy.growth.parts import plan_digest
from policy.growth.pictures.decoding import (
    Picture,
    PictureError,
    PictureLimits,
    decoding,
    picture_of_frame,
    small_picture,
)
from serving.preprocess.media import Answer, DecodeLimits, DecodePool, MediaError, MediaReason, PoolSettings
from serving.preprocess.media.addresses import store_errors

Refused = PictureError | MediaError
Decoded = list[Picture] | Refused
"""The frames of a picture (one) or of a video, or why there are none."""
Decode = Callable[[Sequence[bytes | Path]], list[Decoded]]


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """px: the longer side, at most. frames: of a video, its cover with them. part: pictures of the source a part."""

    px: int = 336
    quality: int = 90
    frames: int = 4
    part: int = 1_024
    limits: PictureLimits = PictureLimits()
    media: DecodeLimits = DecodeLimits()

    @property
    def plan(self) -> str:
        return plan_digest("pictures", asdict(self))


@contextmanager
def decoders(settings: PictureSettings, roots: tuple[Path, ...]) -> Iterator[Decode]:
    """Decode by all cores; the processes for videos start with the first of them.

    `DependencyError` where the store of videos is away.
    """
    cores = os.cpu_count() or 1
    small = partial(small_picture, px=settings.px, quality=settings.quality, limits=settings.limits)
    pool = DecodePool(
        PoolSettings(
            roots=roots, n_workers=cores, n_frames=settings.frames, frame_px=settings.px, limits=settings.media
        )
    )

    def of_picture(content: bytes) -> Decoded:
        try:
            return [small(content)]
        except PictureError as error:
            return error

    def of_video(frames: Answer) -> Decoded:
        if isinstance(frames, MediaError):
            return frames
        return [picture_of_frame(frame, quality=settings.quality) for frame in frames]

    with ThreadPoolExecutor(cores) as threads, asyncio.Runner() as runner, decoding():

        def decode(contents: Sequence[bytes | Path]) -> list[Decoded]:
            videos = [str(content) for content in contents if isinstance(content, Path)]
            seen = iter(runner.run(pool.decode(videos)) if videos else [])
            waiting = [
                threads.submit(of_picture, content)
                if isinstance(content, bytes)
                else threads.submit(of_video, next(seen))
                for content in contents
            ]
            return [one.result() for one in waiting]

        try:
            yield decode
        finally:
            runner.run(pool.close())


def digest_of_video(path: Path, limits: DecodeLimits) -> str | MediaError:
    """The sha256 of a video's file, or why it is not to be read; `DependencyError` where its store is away."""
    try:
        with store_errors(str(path)):
            size = path.stat().st_size
            if size > limits.bytes:
                detail = f"size in bytes == {size}, must be at most {limits.bytes}"
                return MediaError(MediaReason.TOO_MANY_BYTES, str(path), detail)
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
    except MediaError as error:
        return error
