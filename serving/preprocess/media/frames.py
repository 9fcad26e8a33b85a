"""One media file -> a few small RGB frames, sampled in time and bit-exact, decoding only what they need.

The uploader's encoder chooses where key frames lie, so key frames say nothing of what viewers see: the frames
are those shown at fixed shares of the playing time. Three things are skipped, none of which changes a pixel of
a chosen frame: groups of pictures without a chosen frame, what follows the last chosen frame of a group, and
frames that no other frame refers to. Leaving out B-frames that others refer to, or the deblocking filter, would
be faster still and is not done: the error runs on until the next key frame.
"""

import errno
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.preprocess.media.addresses import store_errors
from serving.preprocess.media.refusals import MediaError, MediaReason

Frames = npt.NDArray[np.uint8]

CONTAINERS = "mov,matroska"
VIDEO_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mpeg4"})
AUDIO_CODECS = frozenset({"aac", "mp3float", "mp3", "opus", "vorbis"})
_SIGNATURES = ((4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"))


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one media file may cost: seconds of wall time, bytes on disk, pixels a frame, frames, playing time.

    `memory_bytes` is what decoding may allocate beyond a fresh worker process; only `DecodePool` enforces it.
    """

    seconds: float = 5.0
    bytes: int = 128 << 20
    pixels: int = 4096 * 2304
    frames: int = 36_000
    duration_s: float = 900.0
    memory_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class _Packet:
    """A compressed frame: when it is shown, and whether decoding can start at it."""

    packet: Any
    shown_at: int
    is_key: bool


def decode_frames(path: Path, n_frames: int = 9, frame_px: int = 64, limits: DecodeLimits = DecodeLimits()) -> Frames:
    """The cover and up to `n_frames - 1` frames spread over the playing time: uint8 [F, S, S, 3], RGB, letterboxed.

    F is the number of real frames, 1 to `n_frames`: a video with fewer gives fewer, and whoever stacks a batch
    pads with zeros. Raises `MediaError` for the file, `DependencyError` for the store that holds it.
    """
    place = str(path)
    with store_errors(place):
        size = path.stat().st_size
    if size == 0:
        raise MediaError(MediaReason.EMPTY, place, "size == 0 bytes, must hold a video")
    _at_most(MediaReason.TOO_MANY_BYTES, place, "size in bytes", size, limits.bytes)
    deadline = time.monotonic() + limits.seconds
    with store_errors(place), _opened(path, limits) as container:
        stream = _video_stream(container, place, limits)
        try:
            packets = _packets(container, stream, place, limits, deadline)
            shown_at = np.array(sorted(p.shown_at for p in packets), dtype=np.int64)
            end = max(p.shown_at + (p.packet.duration or 0) for p in packets)
            wanted = shown_at[choose_frames(shown_at, end, n_frames)]
            pictures = _pictures(stream, packets, wanted.tolist(), frame_px, place, deadline)
        except MemoryError as error:
            raise MediaError(MediaReason.MEMORY, place, "ran out of memory while decoding") from error
    if 2 * len(pictures) < len(wanted):
        kind = MediaReason.NO_FRAMES if not pictures else MediaReason.UNREADABLE
        raise MediaError(kind, place, f"{len(pictures)} of {len(wanted)} sampled frames decode, must be half")
    return np.stack([pictures[at] for at in sorted(pictures)])


def choose_frames(shown_at: npt.NDArray[np.int64], end: int, n_frames: int) -> npt.NDArray[np.int64]:
    """Positions in sorted `shown_at`: the cover, then what is shown in the middle of each of n - 1 equal spans.

    Where a long still leaves fewer, the rest is filled evenly from the other frames, so that a video with at
    least `n_frames` frames always gives `n_frames`.
    """
    start = int(shown_at[0])
    spans = n_frames - 1
    middles = start + (np.arange(spans) + 0.5) * (max(end, int(shown_at[-1])) - start) / max(spans, 1)
    chosen = np.unique(np.append(np.searchsorted(shown_at, middles, side="right") - 1, 0))
    lacking = min(n_frames, len(shown_at)) - len(chosen)
    if lacking > 0:
        others = np.setdiff1d(np.arange(len(shown_at)), chosen)
        evenly = ((np.arange(lacking) + 0.5) * len(others) / lacking).astype(np.int64)
        chosen = np.sort(np.append(chosen, others[evenly]))
    return chosen.astype(np.int64)


def _at_most(reason: MediaReason, place: str, name: str, value: float, limit: float) -> None:
    if value > limit:
        raise MediaError(reason, place, f"{name} == {value:g}, must be at most {limit:g}")


def _check_time(deadline: float, place: str) -> None:
    if time.monotonic() > deadline:
        raise MediaError(MediaReason.TIMEOUT, place, "decoding took longer than its time limit")


def _opened(path: Path, limits: DecodeLimits) -> Any:
    """Open the container by content, never by name; only files, only the containers and codecs of short video."""
    import av

    options = {
        "format_whitelist": CONTAINERS,
        "protocol_whitelist": "file",
        "codec_whitelist": ",".join(sorted(VIDEO_CODECS | AUDIO_CODECS)),
        "max_pixels": str(limits.pixels),
        # probing would otherwise decode up to 20 frames only to guess the reordering delay
        "skip_frame": "all",
        "threads": "1",
    }
    try:
        return av.open(str(path), options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        raise _refusal(error, str(path), "cannot be opened") from error


def _refusal(error: Any, place: str, what: str) -> Exception:
    """A libav error as ours: out of memory, the store's I/O error as it is, else an unreadable or cut file."""
    if isinstance(error, OSError) and error.errno not in {errno.EINVAL, errno.EDOM, errno.ERANGE}:
        return error
    if isinstance(error, MemoryError):
        return MediaError(MediaReason.MEMORY, place, f"{what}: ran out of memory")
    detail = f"{what}: {error.strerror or error}"
    if _starts_like_video(place):
        return MediaError(MediaReason.TRUNCATED, place, f"{detail}; it starts like a video and is cut or damaged")
    return MediaError(MediaReason.UNREADABLE, place, f"{detail}; must be MP4, MOV, Matroska or WebM")


def _starts_like_video(place: str) -> bool:
    with store_errors(place), Path(place).open("rb") as file:
        head = file.read(12)
    return any(head[at : at + len(mark)] == mark for at, mark in _SIGNATURES)


def _video_stream(container: Any, place: str, limits: DecodeLimits) -> Any:
    import av

    moving = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not moving:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "none"
        raise MediaError(MediaReason.NO_VIDEO, place, f"streams: {kinds}; must hold a video stream")
    stream = moving[0]
    codec = stream.codec_context
    if codec is None or codec.name not in VIDEO_CODECS:
        name = codec.name if codec is not None else "unknown"
        allowed = ", ".join(sorted(VIDEO_CODECS))
        raise MediaError(MediaReason.UNREADABLE, place, f"codec == {name!r}, must be one of {allowed}")
    pixels = codec.width * codec.height
    _at_most(MediaReason.TOO_MANY_PIXELS, place, f"{codec.width} x {codec.height} pixels", pixels, limits.pixels)
    if stream.duration is not None and stream.time_base is not None:
        _at_most(
            MediaReason.TOO_LONG,
            place,
            "duration in s",
            float(stream.duration * stream.time_base),
            limits.duration_s,
        )
    _at_most(MediaReason.TOO_MANY_FRAMES, place, "frames", stream.frames, limits.frames)
    codec.thread_count = 1
    codec.thread_type = "NONE"
    # what the header says of the size can be a lie: the decoder itself refuses a larger frame
    codec.options = {"max_pixels": str(limits.pixels)}
    return stream


def _packets(container: Any, stream: Any, place: str, limits: DecodeLimits, deadline: float) -> list[_Packet]:
    """Every compressed frame that is shown, in decoding order; the header's frame count and duration are not
    trusted."""
    import av

    packets: list[_Packet] = []
    broken = False
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            broken = broken or packet.is_corrupt
            shown_at = packet.pts if packet.pts is not None else packet.dts
            if shown_at is None:
                raise MediaError(MediaReason.UNREADABLE, place, "a frame has no time, must have one")
            packets.append(_Packet(packet, shown_at, packet.is_keyframe))
            _at_most(MediaReason.TOO_MANY_FRAMES, place, "frames", len(packets), limits.frames)
            if len(packets) % 64 == 0:
                _check_time(deadline, place)
    except av.FFmpegError as error:
        raise _refusal(error, place, f"cannot be read past frame {len(packets)}") from error
    if not packets:
        raise MediaError(MediaReason.NO_FRAMES, place, "the video stream holds 0 frames, must hold 1 or more")
    if broken:
        raise MediaError(MediaReason.TRUNCATED, place, f"the file ends inside frame {len(packets)}")
    played = max(p.shown_at for p in packets) - min(p.shown_at for p in packets)
    _at_most(MediaReason.TOO_LONG, place, "duration in s", float(played * stream.time_base), limits.duration_s)
    return packets


def _runs(packets: Sequence[_Packet], wanted: set[int]) -> Iterator[tuple[int, int]]:
    """The spans [first, last] of packets to decode: from a key frame to the last wanted frame that needs it.

    A wanted frame shown before its key frame (an open group of pictures) also needs the group before.
    """
    keys = [i for i, packet in enumerate(packets) if packet.is_key or i == 0]
    bounds = [*keys, len(packets)]
    needs: dict[int, int] = {}
    for group, first in enumerate(keys):
        for i in range(first, bounds[group + 1]):
            if packets[i].shown_at in wanted:
                needs[group] = i
                if group and packets[i].shown_at < packets[first].shown_at:
                    needs[group - 1] = first - 1
    for group in sorted(needs):
        yield keys[group], needs[group]


def _pictures(
    stream: Any, packets: Sequence[_Packet], wanted: Sequence[int], frame_px: int, place: str, deadline: float
) -> dict[int, Frames]:
    """Wanted time -> letterboxed picture [S, S, 3], for each wanted frame that decodes."""
    import av
    from av.video.reformatter import VideoReformatter

    codec, reformatter = stream.codec_context, VideoReformatter()
    stretch = float(stream.sample_aspect_ratio or 1)
    lacking = set(wanted)
    pictures: dict[int, Frames] = {}

    def keep(frames: Sequence[Any]) -> None:
        for frame in frames:
            if frame.pts in lacking:
                lacking.discard(frame.pts)
                pictures[frame.pts] = letterboxed(frame, frame_px, stretch, reformatter)

    for first, last in list(_runs(packets, lacking)):
        for packet in packets[first : last + 1]:
            _check_time(deadline, place)
            # frames that nothing refers to are decoded only where they are wanted
            codec.skip_frame = "DEFAULT" if packet.shown_at in lacking else "NONREF"
            try:
                keep(codec.decode(packet.packet))
            except (av.error.InvalidDataError, av.error.ArgumentError):
                continue  # counted below: what does not decode stays in `lacking`
            except av.FFmpegError as error:
                raise _refusal(error, place, "cannot be decoded") from error
    try:
        keep(codec.decode(None))
    except av.error.FFmpegError as error:
        if not pictures:
            raise _refusal(error, place, "cannot be decoded") from error
    return pictures


def letterboxed(frame: Any, frame_px: int, stretch: float, reformatter: Any) -> Frames:
    """A decoded frame as players show it, upright in a black square: uint8 [S, S, 3], RGB.

    `stretch` is the width of a pixel over its height.
    """
    shown_w, shown_h = frame.width * stretch, float(frame.height)
    scale = frame_px / max(shown_w, shown_h)
    width = min(frame_px, max(1, round(shown_w * scale)))
    height = min(frame_px, max(1, round(shown_h * scale)))
    small = reformatter.reformat(
        frame, width=width, height=height, format="rgb24", interpolation="AREA", threads=1
    ).to_ndarray()
    upright = np.rot90(small, round(frame.rotation / 90) % 4)
    square = np.zeros((frame_px, frame_px, 3), dtype=np.uint8)
    top, left = (frame_px - upright.shape[0]) // 2, (frame_px - upright.shape[1]) // 2
    square[top : top + upright.shape[0], left : left + upright.shape[1]] = upright
    return square
