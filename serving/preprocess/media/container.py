"""A media file -> the compressed frames of its video, opened by content and held to limits.

The header of a file is the uploader's word: its frame count, duration and picture size are checked first because
that is cheap, and again on what the file really holds.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.preprocess.media.addresses import store_errors
from serving.preprocess.media.refusals import MediaError, MediaReason

CONTAINERS = "mov,matroska"
VIDEO_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4"})
AUDIO_CODECS = frozenset({"aac", "mp3float", "mp3", "opus", "vorbis"})
_SIGNATURES = ((4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"))


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one media file may cost: seconds of one core, bytes on disk, pixels a frame, frames, playing time.

    Time is the core's, not the clock's: a busy machine or a slow store must not have good files refused.
    `memory_bytes` is what decoding may allocate beyond a fresh worker process; only `DecodePool` enforces it.
    """

    cpu_s: float = 5.0
    bytes: int = 128 << 20
    pixels: int = 4096 * 2304
    frames: int = 36_000
    duration_s: float = 900.0
    memory_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Packet:
    """A compressed frame: libav's packet, when it is shown, whether decoding can start at it."""

    packet: Any
    shown_at: int
    is_key: bool


@dataclass(frozen=True, slots=True)
class Job:
    """One file in hand: where it is, its limits, and at what reading of this thread's clock its time is up."""

    path: Path
    limits: DecodeLimits
    until_s: float

    def refusal(self, reason: MediaReason, detail: str) -> MediaError:
        return MediaError(reason, str(self.path), detail)

    def at_most(self, reason: MediaReason, name: str, value: float, limit: float) -> None:
        if value > limit:
            raise self.refusal(reason, f"{name} == {value:g}, must be at most {limit:g}")

    def check_time(self) -> None:
        if time.thread_time() > self.until_s:
            limit = self.limits.cpu_s
            raise self.refusal(MediaReason.TIMEOUT, f"decoding took more than {limit:g} s of one core")

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Turn libav's errors into ours: memory, a store that cannot be read, else an unreadable or cut file."""
        import av

        try:
            yield
        except MemoryError as error:
            raise self.refusal(MediaReason.MEMORY, f"{what}: ran out of memory") from error
        except av.FFmpegError as error:
            detail = f"{what}: {error.strerror or error}"
            head = self._read_through()
            if any(head[at:].startswith(mark) for at, mark in _SIGNATURES):
                detail += "; it starts like a video and is cut or damaged"
                raise self.refusal(MediaReason.TRUNCATED, detail) from error
            detail += "; must be MP4, MOV, Matroska or WebM"
            raise self.refusal(MediaReason.UNREADABLE, detail) from error

    def _read_through(self) -> bytes:
        """The first bytes of a file that can be read to its end, else whose fault it is that it cannot.

        libav's error numbers do not tell: a crafted file can have it say `EIO`, and must not stop the line.
        """
        with store_errors(str(self.path)), self.path.open("rb") as file:
            head = file.read(16)
            while file.read(1 << 20):
                pass
        return head


def opened(job: Job) -> Any:
    """Open the container by content, never by name; only files, only the containers and codecs of short video."""
    import av

    with store_errors(str(job.path)):
        size = job.path.stat().st_size
    if size == 0:
        raise job.refusal(MediaReason.EMPTY, "size == 0 bytes, must hold a video")
    job.at_most(MediaReason.TOO_MANY_BYTES, "size in bytes", size, job.limits.bytes)
    options = {
        "format_whitelist": CONTAINERS,
        "protocol_whitelist": "file",
        "codec_whitelist": ",".join(sorted(VIDEO_CODECS | AUDIO_CODECS)),
        "max_pixels": _decoder_pixels(job.limits),
        # probing would otherwise decode up to 20 frames only to guess the reordering delay
        "skip_frame": "all",
        "threads": "1",
    }
    with job.translated("cannot be opened"):
        return av.open(str(job.path), options=options, metadata_errors="replace")


def video_stream(container: Any, job: Job) -> Any:
    """The first moving picture, set to decode in this thread alone."""
    from av.stream import Disposition

    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "none"
        raise job.refusal(MediaReason.NO_VIDEO, f"streams: {kinds}; must hold a video stream")
    stream = moving[0]
    codec = stream.codec_context
    if codec is None or codec.name not in VIDEO_CODECS:
        name, allowed = codec.name if codec is not None else "unknown", ", ".join(sorted(VIDEO_CODECS))
        raise job.refusal(MediaReason.UNREADABLE, f"codec == {name!r}, must be one of {allowed}")
    size = f"pixels of {codec.width} x {codec.height}"
    job.at_most(MediaReason.TOO_MANY_PIXELS, size, codec.width * codec.height, job.limits.pixels)
    job.at_most(MediaReason.TOO_MANY_FRAMES, "frames", stream.frames, job.limits.frames)
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
        job.at_most(MediaReason.TOO_LONG, "duration in s", seconds, job.limits.duration_s)
    codec.thread_count = 1
    codec.thread_type = "NONE"
    codec.options = {"max_pixels": _decoder_pixels(job.limits)}
    return stream


def read_packets(container: Any, stream: Any, job: Job) -> list[Packet]:
    """Every compressed frame that is shown, in decoding order."""
    packets: list[Packet] = []
    cut = False
    with job.translated("cannot be read to its end"):
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            cut = cut or packet.is_corrupt
            shown_at = packet.pts if packet.pts is not None else packet.dts
            if shown_at is None:
                raise job.refusal(MediaReason.UNREADABLE, f"frame {len(packets)} has no time, must have one")
            packets.append(Packet(packet, shown_at, packet.is_keyframe))
            job.at_most(MediaReason.TOO_MANY_FRAMES, "frames", len(packets), job.limits.frames)
            if len(packets) % 64 == 0:
                job.check_time()
    if not packets:
        raise job.refusal(MediaReason.NO_FRAMES, "the video stream holds 0 frames, must hold 1 or more")
    if cut:
        raise job.refusal(MediaReason.TRUNCATED, f"the file ends inside frame {len(packets)}")
    played = max(p.shown_at for p in packets) - min(p.shown_at for p in packets)
    seconds = float(played * stream.time_base)
    job.at_most(MediaReason.TOO_LONG, "duration in s", seconds, job.limits.duration_s)
    return packets


def _decoder_pixels(limits: DecodeLimits) -> str:
    """The decoder's own cap on a frame, whatever the header says: it counts whole macroblocks, so a bit more."""
    return str(2 * limits.pixels + 128 * 128)
