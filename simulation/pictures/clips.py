"""The frames of one scene -> an H.264 mp4 file, as phones and editors of all kinds would write it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulation.pictures.painting import paint
from simulation.pictures.scenes import Scene
from simulation.pictures.shapes import Pixels

SIZES = ((160, 120), (120, 160), (90, 160), (160, 90), (128, 128), (127, 203), (101, 177), (176, 99))
SIZE_WEIGHTS = (0.30, 0.20, 0.16, 0.12, 0.10, 0.05, 0.04, 0.03)
SHARE_WITH_SOUND = 0.2
SAMPLES_PER_S = 8_000


@dataclass(frozen=True, slots=True)
class ClipSize:
    """A fixed size in place of the usual mixture: even numbers of pixels, seconds of play, frames per second."""

    width: int
    height: int
    seconds: float
    fps: int


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """How one clip is encoded. `gop` is the longest stretch without a key frame, in frames."""

    width: int
    height: int
    n_frames: int
    fps: int
    gop: int
    b_frames: int
    preset: str
    crf: int
    sound: bool


def draw_format(rng: np.random.Generator, size: ClipSize | None = None) -> ClipFormat:
    """An uploader's choice, the same for good and bad videos; odd sizes lose a row or column, as 4:2:0 needs."""
    width, height = SIZES[rng.choice(len(SIZES), p=SIZE_WEIGHTS)]
    fps, seconds = int(rng.choice([8, 10, 12])), float(rng.uniform(2.0, 3.0))
    gop, b_frames = int(rng.choice([1, 5, 12, 50, 250])), int(rng.choice([0, 0, 2]))
    crf, sound = int(rng.integers(22, 31)), bool(rng.random() < SHARE_WITH_SOUND)
    if size is None:
        return ClipFormat(width & ~1, height & ~1, round(fps * seconds), fps, gop, b_frames, "ultrafast", crf, sound)
    n_frames = max(1, round(size.fps * size.seconds))
    return ClipFormat(size.width & ~1, size.height & ~1, n_frames, size.fps, 250, 3, "medium", 23, sound)


def film_clip(target: Path, scene: Scene, clip: ClipFormat, rng: np.random.Generator) -> None:
    """Paint and encode one clip; the same generator state writes the same frames."""
    encode(target, paint(scene, clip.width, clip.height, clip.n_frames, float(clip.fps), rng), clip, rng)


def encode(target: Path, frames: Pixels, clip: ClipFormat, rng: np.random.Generator) -> None:
    """Write frames uint8 [T, H, W, 3] as H.264 in mp4, with an AAC track where the format says so."""
    import av
    from av.video.reformatter import VideoReformatter

    reformatter = VideoReformatter()
    with av.open(str(target), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=clip.fps)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p"
        video.codec_context.gop_size = clip.gop
        video.codec_context.max_b_frames = clip.b_frames
        video.codec_context.thread_count = 1
        video.options = {"preset": clip.preset, "crf": str(clip.crf)}
        sound = out.add_stream("aac", rate=SAMPLES_PER_S, layout="mono") if clip.sound else None
        if sound is not None:
            sound.options = {"aac_coder": "fast"}
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            small = reformatter.reformat(frame, format="yuv420p", interpolation="FAST_BILINEAR", threads=1)
            small.pts = number
            out.mux(video.encode(small))
        out.mux(video.encode())
        if sound is not None:
            for piece in _tune(len(frames) / clip.fps, rng):
                out.mux(sound.encode(piece))
            out.mux(sound.encode())


def _tune(seconds: float, rng: np.random.Generator) -> list[object]:
    """A few notes, as frames of 1,024 samples."""
    import av

    n = int(seconds * SAMPLES_PER_S) // 1024 * 1024
    notes = 220.0 * 2 ** (rng.integers(0, 24, 8) / 12.0)
    pitch = np.repeat(notes, -(-n // 8))[:n]
    wave = (0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLES_PER_S)).astype(np.float32)
    pieces: list[object] = []
    for start in range(0, n, 1024):
        piece = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
        piece.sample_rate, piece.pts = SAMPLES_PER_S, start
        pieces.append(piece)
    return pieces
