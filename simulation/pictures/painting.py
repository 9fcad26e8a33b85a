"""A scene and chance -> the frames of one clip, painted whole-array in NumPy: uint8 [T, H, W, 3]."""

import numpy as np

from simulation.pictures.emblems import set_emblem
from simulation.pictures.film import GRAIN, HIGHEST, LOWEST, Film, Light, Stencil
from simulation.pictures.marks import MARKS
from simulation.pictures.motion import path
from simulation.pictures.scenes import Scene
from simulation.pictures.shapes import Pixels, backdrop, mixed, shape_mask


def paint(scene: Scene, width: int, height: int, n_frames: int, fps: float, rng: np.random.Generator) -> Pixels:
    """Film a scene: uint8 [n_frames, height, width, 3], RGB; the same generator state gives the same pixels."""
    film = Film(np.empty((n_frames, height, width, 3), np.uint8), fps, Light.draw(rng), rng)
    _paint_backdrop(film, scene)
    _paint_things(film, scene)
    marks = [name for name, share in scene.marks if rng.random() < share]
    for name in (*marks, *_passing_marks(rng)):
        MARKS[name](film)
    for emblem in scene.emblems:
        set_emblem(film, emblem)
    _add_grain(film)
    return film.frames


def _passing_marks(rng: np.random.Generator) -> list[str]:
    """Marks that any video may carry."""
    return [name for name, share in (("subtitles", 0.45), ("logo", 0.3), ("border", 0.1)) if rng.random() < share]


def _paint_backdrop(film: Film, scene: Scene) -> None:
    """A texture larger than the picture, seen through a window that pans and shakes."""
    rng, margin = film.rng, max(4, film.side // 5)
    name = scene.backdrops[rng.integers(len(scene.backdrops))]
    first, second = film.colour(scene.hue, scene.light), film.colour(scene.hue, scene.light)
    if rng.random() < 0.5:
        second = np.clip(first * rng.uniform(0.45, 0.75), LOWEST, HIGHEST)
    texture = mixed(backdrop(name, film.width + margin, film.height + margin, rng), first, second)
    n = len(film.frames)
    start, stop = rng.random((2, 2)) * margin
    at = np.linspace(start, stop, n) + rng.normal(0.0, 0.06 * film.side * scene.shake, (n, 2))
    for frame, (x, y) in zip(film.frames, np.clip(at, 0, margin).astype(int), strict=True):
        frame[:] = texture[y : y + film.height, x : x + film.width]


def _paint_things(film: Film, scene: Scene) -> None:
    rng, n = film.rng, len(film.frames)
    for _ in range(int(rng.integers(scene.number[0], scene.number[1] + 1))):
        name = scene.shapes[rng.integers(len(scene.shapes))]
        size = max(6, int(rng.uniform(*scene.size) * film.side))
        outer, inner = film.colour(scene.shape_hue), film.colour(scene.shape_hue, (0.3, 1.0))
        angle = rng.uniform(-0.35, 0.35) + (rng.uniform(0, 6.3) if scene.spins else 0.0)
        turn = rng.uniform(-1.2, 1.2) if scene.spins else 0.0
        looks = [
            (Stencil.of(shape_mask(name, size, a), outer), Stencil.of(shape_mask(name, size, a, 0.55), inner))
            for a in (angle + turn * np.arange(4) / 4 if scene.spins else [angle])
        ]
        where = (path(scene.motion, n, film.fps, rng) * (film.width, film.height)).tolist()
        for frame in range(n):
            whole, core = looks[frame * len(looks) // n]
            film.stamp(frame, whole, *where[frame])
            film.stamp(frame, core, *where[frame])


def _add_grain(film: Film) -> None:
    """Sensor noise that changes from frame to frame; colours stay far enough from 0 and 255 not to wrap."""
    sigma = film.rng.uniform(0.0, 4.0)
    tile = np.clip(film.rng.normal(0.0, sigma, (film.height + 8, film.width + 8, 1)), -GRAIN, GRAIN)
    grain = np.broadcast_to(tile.astype(np.int8).view(np.uint8), (*tile.shape[:2], 3)).copy()
    for frame, (x, y) in enumerate(film.rng.integers(0, 9, (len(film.frames), 2))):
        film.frames[frame] += grain[y : y + film.height, x : x + film.width]
