"""Real media files, made by the tests through PyAV."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 160, 120


def picture(shade: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A grey picture of one shade: its decoded brightness tells which frame it was."""
    return np.full((height, width, 3), shade, dtype=np.uint8)


def write_video(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    fps: int = 10,
    times: Sequence[int] | None = None,
    gop: int = 250,
    options: dict[str, str] | None = None,
    audio_s: float = 0.0,
    container_options: dict[str, str] | None = None,
    codec: str = "libx264",
) -> Path:
    """Encode pictures as H.264; `times` are in frames of `fps` (default 0, 1, 2, ...)."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", options=container_options or {}) as out:
        video = out.add_stream(codec, rate=fps)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.gop_size = gop
        video.codec_context.thread_count = 1
        video.options = options or {"preset": "ultrafast"}
        sound = out.add_stream("aac", rate=16_000, layout="mono") if audio_s else None
        for index, rgb in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame.pts = index if times is None else times[index]
            out.mux(video.encode(frame))
        out.mux(video.encode())
        if sound is not None:
            _write_tone(out, sound, audio_s)
    return path


def write_audio_only(path: Path, seconds: float = 0.5) -> Path:
    with av.open(str(path), "w") as out:
        _write_tone(out, out.add_stream("aac", rate=16_000, layout="mono"), seconds)
    return path


def write_zero_frames(path: Path) -> Path:
    """A video track with a header and not one frame."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "empty_moov+frag_keyframe"}) as out:
        video = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.open()
        out.start_encoding()
    return path


def turned(path: Path, target: Path) -> Path:
    """The same film with a display matrix that has players turn it by 90 degrees clockwise, as phones write."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    matrix = (0, 0x10000, 0, -0x10000, 0, 0, HEIGHT << 16, 0, 0x40000000)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    target.write_bytes(data)
    return target


def _write_tone(out: av.container.OutputContainer, sound: av.AudioStream, seconds: float) -> None:
    wave = np.sin(np.arange(int(16_000 * seconds)) / 7.0).astype(np.float32)
    for start in range(0, len(wave), 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, start
        out.mux(sound.encode(frame))
    out.mux(sound.encode())
