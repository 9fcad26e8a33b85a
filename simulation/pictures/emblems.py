"""An emblem -> stamped on every frame where its layout has it: what tells look-alikes apart at a second glance."""

from collections.abc import Mapping

from simulation.pictures.film import Film, Stencil
from simulation.pictures.scenes import Emblem
from simulation.pictures.shapes import shape_mask

LAYOUTS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "corners": ((0.12, 0.14), (0.88, 0.14), (0.12, 0.86), (0.88, 0.86)),
    "diagonal": ((0.14, 0.14), (0.38, 0.38), (0.62, 0.62), (0.86, 0.86)),
    "grid": tuple((x, y) for y in (0.3, 0.5, 0.7) for x in (0.26, 0.42, 0.58, 0.74)),
    "middle": ((0.5, 0.5),),
    "pair": ((0.28, 0.78), (0.72, 0.78)),
    "rain": ((0.1, 0.2), (0.22, 0.7), (0.34, 0.4), (0.46, 0.9), (0.58, 0.1), (0.7, 0.6), (0.82, 0.3), (0.94, 0.8)),
    "row": ((0.1, 0.88), (0.3, 0.88), (0.5, 0.88), (0.7, 0.88), (0.9, 0.88)),
    "sides": tuple((x, y) for x in (0.08, 0.92) for y in (0.14, 0.38, 0.62, 0.86)),
}
"""Places in shares of the picture; those of `rain` come down."""
_PER_S = 0.5


def set_emblem(film: Film, emblem: Emblem) -> None:
    """Stamp an emblem on every frame; its colour, its size and its place vary a little from video to video."""
    size = max(4, int(film.rng.uniform(0.85, 1.15) * emblem.size * film.side))
    stencil = Stencil.of(
        shape_mask(emblem.shape, size, film.rng.uniform(-0.15, 0.15)), film.colour(emblem.hue, (0.7, 1.0))
    )
    off_x, off_y = film.rng.uniform(-0.04, 0.04, 2)
    for frame in range(len(film.frames)):
        down = _PER_S * frame / film.fps if emblem.layout == "rain" else 0.0
        for x, y in LAYOUTS[emblem.layout]:
            film.stamp(frame, stencil, (x + off_x) * film.width, (y + off_y + down) % 1.0 * film.height)
