"""Small real media files -> damaged ones, through the real decode pool: frames or a reason, and no process lost."""

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench.fuzz.watching import Watch
from contracts.errors import DependencyError
from serving.preprocess.media import DecodeLimits, DecodePool, MediaError, MediaReason, PoolSettings

WIDTH, HEIGHT, FRAMES = 64, 48, 12
AT_ONCE = 20
_BOXES = tuple(
    b"ftyp moov mvhd trak tkhd mdia mdhd stbl stsd stts stss ctts stsz stsc stco mdat avcC hvcC esds".split()
)
_EXTREMES = (0, 1, 7, 8, 2**31 - 1, 2**31, 2**32 - 1)


@dataclass(frozen=True, slots=True)
class Source:
    """A kind of media file that is made: its name, the codec of its pictures, and whether it has sound."""

    name: str
    codec: str
    pixels: str = "yuv420p"
    sound: str = ""
    options: tuple[tuple[str, str], ...] = ()


SOURCES = (
    Source("h264.mp4", "libx264", sound="aac"),
    Source("b-frames.mov", "libx264", options=(("bf", "3"), ("g", "4"))),
    Source("faststart.mp4", "libx264", options=(("g", "1"),)),
    Source("h264.mkv", "libx264", sound="aac"),
    Source("vp9.webm", "libvpx-vp9", sound="libopus"),
    Source("vp8.webm", "libvpx"),
    Source("mpeg4.mp4", "mpeg4"),
    Source("hevc.mp4", "libx265", options=(("x265-params", "log-level=none:pools=none:frame-threads=1"),)),
    Source("av1.mp4", "libsvtav1", options=(("preset", "12"),)),
    Source("still.gif", "gif", "rgb8"),
    Source("still.png", "png", "rgb24"),
    Source("still.jpg", "mjpeg", "yuvj420p"),
)


def write_sources(folder: Path, sources: Sequence[Source] = SOURCES) -> list[Path]:
    """Make the sources whose encoders this PyAV has, in a process of their own.

    Run as root, the AV1 encoder gives the thread that opens it the real-time class at its highest priority, and
    whatever that thread starts inherits it: one busy query of a warehouse then leaves a machine's cores to nobody else.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(_write_sources, folder, sources).result()


def _write_sources(folder: Path, sources: Sequence[Source]) -> list[Path]:
    import av

    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder tells its whole life otherwise
    made = []
    for source in sources:
        if source.codec in av.codecs_available:
            _write(folder / source.name, source)
            made.append(folder / source.name)
    return made


def damaged(film: bytes, other: bytes, rng: random.Random) -> bytes:
    """A film with one to three damages: cut, flipped, spliced with another, its header's numbers made extreme."""
    data = bytearray(film)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _damage(data, other, rng)
    return bytes(data)


def _damage(data: bytearray, other: bytes, rng: random.Random) -> None:
    if not data:
        return
    at, width = rng.randrange(len(data)), rng.choice((1, 4, 64, 700))
    match rng.randrange(11):
        case 0:
            del data[at:]
        case 1:
            for _ in range(rng.choice((1, 3, 20, 200))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            data[at : at + width] = bytes(min(width, len(data) - at))
        case 3:
            data[at : at + width] = rng.randbytes(min(width, len(data) - at))
        case 4:
            data[at:at] = data[at : at + width] * rng.choice((1, 3, 40))
        case 5:
            del data[at : at + width]
        case 6 | 7:
            _splice(data, other, at, rng)
        case _:
            _make_extreme(data, rng)


def _splice(data: bytearray, other: bytes, at: int, rng: random.Random) -> None:
    """Another film's header, another film's end, or all of another film in the middle."""
    head = rng.choice((4, 16, 64, 300))
    match rng.randrange(3):
        case 0:
            data[:head] = other[:head]
        case 1:
            data[at:] = other[rng.randrange(len(other)) :]
        case _:
            data[at:at] = other


def _make_extreme(data: bytearray, rng: random.Random) -> None:
    """The size before a box's name or a number behind it; else any number of the first bytes, where headers lie."""
    places = [place for box in _BOXES if (place := data.find(box)) >= 4]
    if places and rng.random() < 0.6:
        place = rng.choice(places) + rng.choice((-4, 8, 12, 16, 20, 28, 32))
    else:
        place = rng.randrange(min(len(data), 400))
    data[place : place + 4] = rng.choice(_EXTREMES).to_bytes(4, rng.choice(("big", "big", "little")))


async def fuzz_films(home: Path, many: int, seed: int) -> dict[str, Any]:
    """Send damaged films, a few at a time, and a sound one behind each few, which must still be decoded."""
    sources = write_sources(home / "sources")
    films, sound = [path.read_bytes() for path in sources], sources[0]
    rng = random.Random(seed)
    refused: Counter[str] = Counter()
    parent, child = Watch("the process that asks"), Watch("the decode process")
    accepted = lost_sound = replaced = 0
    crashed: list[str] = []
    began = time.perf_counter()
    limits = DecodeLimits(cpu_s=2.0, bytes=16 << 20, memory_bytes=512 << 20)
    settings = PoolSettings(roots=(home,), limits=limits, n_frames=9, frame_px=64)
    async with DecodePool(settings) as pool:
        pids = pool.pids
        for start in range(0, many, AT_ONCE):
            paths = [home / f"film-{place}.mp4" for place in range(min(AT_ONCE, many - start))]
            for path in paths:
                film, other = rng.sample(films, 2)
                path.write_bytes(damaged(film, other, rng))
            try:
                *answers, last = await pool.decode([*map(str, paths), str(sound)])
            except DependencyError as error:
                crashed.append(f"one of {AT_ONCE} films passed for a store that is away: {error}")
                refused["passed for a store that is away"] += len(paths)
                continue
            lost_sound += isinstance(last, MediaError)
            for path, answer in zip(paths, answers, strict=True):
                if isinstance(answer, MediaError):
                    refused[answer.reason.value] += 1
                    if answer.reason is MediaReason.CRASHED:
                        crashed.append(f"{answer.detail}: {path.read_bytes()[:64]!r}")
                else:
                    assert answer.dtype == np.uint8
                    accepted += 1
            replaced += pool.pids != pids
            pids = pool.pids
            parent.read(os.getpid(), start)
            child.read(pids[0], start)
    if lost_sound:
        crashed.append(f"{lost_sound} sound films were refused behind damaged ones")
    return {
        "sent": many,
        "accepted": accepted,
        "repeated": 0,
        "refused": dict(refused),
        "crashes": len(crashed),
        "first_crash": crashed[0] if crashed else "",
        "processes_replaced": replaced,
        "sources": [source.name for source in sources],
        "growth": [parent.growth(), child.growth()],
        "took_s": time.perf_counter() - began,
    }


def _write(path: Path, source: Source) -> None:
    import av

    rng = np.random.default_rng(len(source.name))
    scene = rng.integers(0, 255, (HEIGHT + FRAMES, WIDTH + FRAMES, 3), dtype=np.uint8)
    still = path.suffix in {".png", ".jpg"}
    options = {"movflags": "faststart"} if path.name == "faststart.mp4" else {}
    kind = "image2" if still else None
    with av.open(str(path), "w", format=kind, options={"update": "1"} if still else options) as out:
        stream: Any = out.add_stream(source.codec, rate=10, options=dict(source.options))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, source.pixels
        stream.codec_context.thread_count = 1
        tone: Any = out.add_stream(source.sound, rate=48_000, layout="mono") if source.sound else None
        for at in range(1 if still else FRAMES):
            moved = np.ascontiguousarray(scene[at : at + HEIGHT, at : at + WIDTH])
            frame = av.VideoFrame.from_ndarray(moved, "rgb24")
            frame.pts = at
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if tone is not None:
            form = tone.codec_context.format.name
            wave = np.zeros((1, 9_600), np.float32 if form.startswith("flt") else np.int16)
            sound = av.AudioFrame.from_ndarray(wave, format=form, layout="mono")
            sound.sample_rate, sound.pts = 48_000, 0
            out.mux(tone.encode(sound))
            out.mux(tone.encode())
