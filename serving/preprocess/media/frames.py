"""One media file -> a few small RGB frames, sampled in time and bit-exact, decoding only what they need.

The uploader's encoder chooses where key frames lie, so key frames say nothing of what viewers see: the frames
are those shown at fixed shares of the playing time. Three things are skipped, none of which changes a pixel of
a chosen frame: groups of pictures without a chosen frame, what follows the last chosen frame of a group, and
frames that no other frame refers to. Leaving out B-frames that others refer to, or the deblocking filter, would
be faster still and is not done: the error runs on until the next key frame.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.preprocess.media.container import (
    DecodeLimits,
    Job,
    Packet,
    opened,
    read_packets,
    video_stream,
)
from serving.preprocess.media.refusals import MediaReason

Frames = npt.NDArray[np.uint8]
_NO_LIMITS_GIVEN = DecodeLimits()


def decode_frames(path: Path, n_frames: int = 9, frame_px: int = 64, limits: DecodeLimits = _NO_LIMITS_GIVEN) -> Frames:
    """The cover and up to `n_frames - 1` frames spread over the playing time: uint8 [F, S, S, 3], RGB, letterboxed.

    F is the number of real frames, 1 to `n_frames`: a video with fewer gives fewer, and whoever stacks a batch
    pads with zeros. Raises `MediaError` for the file, `DependencyError` for the store that holds it.
    """
    job = Job(path, limits, time.thread_time() + limits.cpu_s)
    with opened(job) as container:
        stream = video_stream(container, job)
        packets = read_packets(container, stream, job)
        shown_at = np.array(sorted(p.shown_at for p in packets), dtype=np.int64)
        end = max(p.shown_at + (p.packet.duration or 0) for p in packets)
        wanted = shown_at[choose_frames(shown_at, end, n_frames)]
        with job.translated("cannot be decoded"):
            pictures = _pictures(stream, packets, wanted.tolist(), frame_px, job)
    if 2 * len(pictures) < len(wanted):
        reason = MediaReason.UNREADABLE if pictures else MediaReason.NO_FRAMES
        raise job.refusal(reason, f"{len(pictures)} of {len(wanted)} sampled frames decode, must be half or more")
    return np.stack([pictures[at] for at in sorted(pictures)])


def choose_frames(shown_at: npt.NDArray[np.int64], end: int, n_frames: int) -> npt.NDArray[np.int64]:
    """Positions in sorted `shown_at`: the cover, then what is shown in the middle of each of n - 1 equal spans.

    Where a long still leaves fewer, the rest is filled evenly from the other frames, so that a video with at
    least `n_frames` frames always gives `n_frames`.
    """
    start, spans = int(shown_at[0]), n_frames - 1
    played = max(end, int(shown_at[-1])) - start
    middles = start + (np.arange(spans) + 0.5) * played / max(spans, 1)
    chosen = np.unique(np.append(np.searchsorted(shown_at, middles, side="right") - 1, 0))
    lacking = min(n_frames, len(shown_at)) - len(chosen)
    if lacking > 0:
        others = np.setdiff1d(np.arange(len(shown_at)), chosen)
        evenly = ((np.arange(lacking) + 0.5) * len(others) / lacking).astype(np.int64)
        chosen = np.sort(np.append(chosen, others[evenly]))
    return chosen.astype(np.int64)


def _runs(packets: Sequence[Packet], wanted: set[int]) -> Iterator[tuple[int, int]]:
    """The spans [first, last] of packets to decode: from a key frame to the last wanted frame that needs it.

    A wanted frame shown before its key frame (an open group of pictures) also needs the group before.
    """
    keys = [i for i, packet in enumerate(packets) if packet.is_key or i == 0]
    bounds = [*keys, len(packets)]
    last_needed: dict[int, int] = {}
    for group, first in enumerate(keys):
        for i in range(first, bounds[group + 1]):
            if packets[i].shown_at in wanted:
                last_needed[group] = i
                if group and packets[i].shown_at < packets[first].shown_at:
                    last_needed[group - 1] = first - 1
    for group in sorted(last_needed):
        yield keys[group], last_needed[group]


def _pictures(
    stream: Any, packets: Sequence[Packet], wanted: Sequence[int], frame_px: int, job: Job
) -> dict[int, Frames]:
    """Wanted time -> letterboxed picture [S, S, 3], for each wanted frame that decodes."""
    import av
    from av.video.reformatter import VideoReformatter

    codec, reformatter = stream.codec_context, VideoReformatter()
    stretch = float(stream.sample_aspect_ratio or 1)
    lacking = set(wanted)
    pictures: dict[int, Frames] = {}

    def decode(packet: Any) -> None:
        try:
            frames = codec.decode(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError):
            return  # a damaged frame: whoever called counts those that are lacking
        for frame in frames:
            if frame.pts in lacking:
                size = f"pixels of {frame.width} x {frame.height}"
                job.at_most(MediaReason.TOO_MANY_PIXELS, size, frame.width * frame.height, job.limits.pixels)
                lacking.discard(frame.pts)
                pictures[frame.pts] = letterboxed(frame, frame_px, stretch, reformatter)

    for first, last in list(_runs(packets, lacking)):
        for packet in packets[first : last + 1]:
            job.check_time()
            # a frame that nothing refers to is decoded only where it is wanted
            codec.skip_frame = "DEFAULT" if packet.shown_at in lacking else "NONREF"
            decode(packet.packet)
    decode(None)
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
