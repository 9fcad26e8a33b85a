"""What is laid over a scene: subtitles and logos on any video, price tags, censored patches, flashing light on some."""

from collections.abc import Callable, Mapping

import numpy as np

from simulation.pictures.film import GRAIN, HIGHEST, LOWEST, Film, Stencil
from simulation.pictures.motion import path
from simulation.pictures.shapes import shape_mask


def _subtitles(film: Film) -> None:
    """Two lines of letter-like dashes near the bottom, which change once."""
    pale, half = film.colour((0.15, 1.0), (0.9, 1.0)), len(film.frames) // 2
    line = film.rng.random((2, 2, 12)) < 0.7
    for when, dashes in ((slice(0, half), line[0]), (slice(half, None), line[1])):
        for row, y in enumerate((0.82, 0.9)):
            for column in np.flatnonzero(dashes[row]):
                film.patch(0.14 + 0.06 * column, y, 0.045, 0.045)[when] = pale


def _logo(film: Film) -> None:
    corner_x, corner_y = film.rng.choice([0.04, 0.86]), film.rng.choice([0.04, 0.1])
    film.patch(corner_x, corner_y, 0.1, 0.08)[:] = film.colour((0.5, 1.0))


def _border(film: Film) -> None:
    colour, edge = film.colour((0.5, 1.0)), max(2, film.side // 24)
    for part in (film.frames[:, :edge], film.frames[:, -edge:], film.frames[:, :, :edge], film.frames[:, :, -edge:]):
        part[:] = colour


def _sirens(film: Film) -> None:
    """Red and blue light flashing from the sides."""
    phase = (np.arange(len(film.frames)) * film.rng.uniform(2.0, 4.0) / film.fps).astype(int) % 2
    reach = int(film.rng.uniform(0.25, 0.45) * film.width)
    red, blue = film.light.colour(0.0, 0.9, 0.95), film.light.colour(0.63, 0.9, 0.95)
    for part, colours in ((film.frames[:, :, :reach], (red, blue)), (film.frames[:, :, -reach:], (blue, red))):
        for state, colour in enumerate(colours):
            part[phase == state] = part[phase == state] // 3 + (colour * 0.6).astype(np.uint8)


def _vignette(film: Film) -> None:
    high, wide = film.height // 5, film.width // 5
    for part in (film.frames[:, :high], film.frames[:, -high:], film.frames[:, :, :wide], film.frames[:, :, -wide:]):
        part[:] = part // 2 + np.uint8(GRAIN)


def _mosaic(film: Film) -> None:
    """A censored patch: coarse squares that wander with what they hide."""
    rng, cells = film.rng, 5
    cell = max(2, int(rng.uniform(0.36, 0.5) * film.side) // cells)
    base = film.colour((0.06, 0.12), (0.6, 0.9))
    shades = rng.uniform(0.3, 1.3, (1 + len(film.frames) // 3, cells, cells, 1))
    squares = np.clip(base * shades, LOWEST, HIGHEST).astype(np.uint8).repeat(cell, 1).repeat(cell, 2)
    room = np.array([film.width - cells * cell, film.height - cells * cell])
    where = np.clip(path("sway", len(film.frames), film.fps, rng), 0.0, 1.0) * room
    for frame, (left, top) in enumerate(where.astype(int).tolist()):
        film.frames[frame, top : top + cells * cell, left : left + cells * cell] = squares[frame // 3]


def _price_tag(film: Film) -> None:
    """A starburst with figures on it, somewhere near an edge."""
    rng = film.rng
    size = int(rng.uniform(0.3, 0.45) * film.side)
    mask = shape_mask("burst", size, rng.uniform(0, 6.3))
    x, y = rng.choice([0.2, 0.8]) * film.width, rng.uniform(0.2, 0.7) * film.height
    colour, ink = film.colour((0.1, 0.14), (0.85, 1.0)), film.colour((0.0, 0.08), (0.5, 0.8))
    digit = np.zeros((size, size), np.bool_)
    for column in (0.3, 0.47, 0.64):
        digit[int(0.36 * size) : int(0.64 * size), int(column * size) : int((column + 0.1) * size)] = True
    tag, figures = Stencil.of(mask, colour), Stencil.of(digit, ink)
    for frame in range(len(film.frames)):
        film.stamp(frame, tag, x, y)
        film.stamp(frame, figures, x, y)


def _banner(film: Film) -> None:
    """A coloured band with blocks on it at the bottom or top."""
    y = film.rng.choice([0.02, 0.78])
    film.patch(0.0, y, 1.0, 0.2)[:] = film.colour((0.02, 0.12), (0.7, 1.0))
    ink = film.colour((0.14, 0.06), (0.9, 1.0))
    for column in range(4):
        film.patch(0.06 + 0.23 * column, y + 0.05, 0.17, 0.1)[:] = ink


def _code(film: Film) -> None:
    """A square of black and white cells to scan."""
    cells, rng = 7, film.rng
    cell = max(2, int(rng.uniform(0.34, 0.46) * film.side) // cells)
    grid = np.where(rng.random((cells, cells, 1)) < 0.5, LOWEST, HIGHEST).repeat(cell, 0).repeat(cell, 1)
    left, top = rng.integers(0, film.width - cells * cell), rng.integers(0, film.height - cells * cell)
    film.frames[:, top : top + cells * cell, left : left + cells * cell] = grid.astype(np.uint8)


def _watermark(film: Film) -> None:
    """Pale slanted lines over the whole picture."""
    x = np.arange(film.width)[None, :] / film.side
    y = np.arange(film.height)[:, None] / film.side
    slant = film.rng.choice([-1.0, 1.0]) * film.rng.uniform(0.6, 1.2)
    lines = (film.rng.uniform(3.0, 4.5) * (x + slant * y)) % 1.0 < 0.22
    film.frames[:, lines] = film.frames[:, lines] // 3 + np.uint8(145)


def _frame(film: Film) -> None:
    """A screen filmed off a screen: a thick dark frame."""
    edge = max(3, int(film.rng.uniform(0.07, 0.12) * film.side))
    shade = film.light.colour(0.6, 0.1, film.rng.uniform(0.05, 0.25))
    for part in (film.frames[:, :edge], film.frames[:, -edge:], film.frames[:, :, :edge], film.frames[:, :, -edge:]):
        part[:] = shade


def _letterbox(film: Film) -> None:
    """A film cut to another shape: bands of one colour above and below."""
    band, colour = int(film.rng.uniform(0.14, 0.22) * film.height), film.colour((0.5, 1.0), (0.1, 0.9))
    film.frames[:, :band] = colour
    film.frames[:, -band:] = colour


def _mirror(film: Film) -> None:
    half = film.width // 2
    film.frames[:, :, -half:] = film.frames[:, :, :half][:, :, ::-1]


def _steam(film: Film) -> None:
    pale = film.light.colour(0.1, 0.05, 0.95)
    puff = Stencil.of(shape_mask("leaf", max(6, film.side // 4), np.pi / 2), pale)
    for x in film.rng.uniform(0.25, 0.75, 3):
        drift = film.rng.random()
        for frame in range(len(film.frames)):
            rise = (drift + 0.5 * frame / film.fps) % 1.0
            film.stamp(frame, puff, x * film.width, (0.75 - 0.7 * rise) * film.height)


def _field(film: Film) -> None:
    """White lines of a pitch and its circle."""
    white, width = film.light.colour(0.3, 0.03, 0.95), max(2, film.side // 40)
    at = int(film.rng.uniform(0.3, 0.7) * film.width)
    film.frames[:, :, at : at + width] = white
    mask = shape_mask("ring", int(0.5 * film.side), 0.0) & ~shape_mask("disc", int(0.5 * film.side), 0.0, 0.92)
    circle = Stencil.of(mask, white)
    for frame in range(len(film.frames)):
        film.stamp(frame, circle, at, 0.5 * film.height)


def _ears(film: Film) -> None:
    """An animal's head: two ears and two eyes that nod together."""
    rng, size = film.rng, int(0.26 * film.side)
    fur, dark = film.colour((0.07, 0.06), (0.4, 0.9)), film.light.colour(0.1, 0.3, 0.12)
    head, ear, eye = (
        Stencil.of(shape_mask(name, pixels, 0.0), colour)
        for name, pixels, colour in (("disc", 2 * size, fur), ("triangle", size, fur), ("disc", size // 3, dark))
    )
    where = path("sway", len(film.frames), film.fps, rng) * (0.5, 0.3) + (0.25, 0.4)
    for frame, (x, y) in enumerate(where * (film.width, film.height)):
        film.stamp(frame, head, x, y)
        for side in (-1, 1):
            film.stamp(frame, ear, x + side * 0.6 * size, y - 0.95 * size)
            film.stamp(frame, eye, x + side * 0.4 * size, y - 0.2 * size)


def _shoulders(film: Film) -> None:
    film.patch(0.25, 0.72, 0.5, 0.28)[:] = film.colour((0.6, 0.8), (0.2, 0.8))


def _shelves(film: Film) -> None:
    """Rails across the picture with upright things in a row on each, as in a shop."""
    rails, pale = int(film.rng.integers(2, 4)), film.light.colour(0.1, 0.1, 0.9)
    for rail in range(rails):
        y = (rail + 0.85) / (rails + 0.2)
        film.patch(0.0, y, 1.0, 0.03)[:] = pale
        for place in range(int(film.rng.integers(6, 10))):
            film.patch(0.03 + 0.1 * place, y - 0.16, 0.05, 0.16)[:] = film.colour((0.5, 1.0), (0.6, 1.0))


def _wheel(film: Film) -> None:
    """A wheel of fortune: a large disc of sectors in two colours that turns."""
    rng, size, sectors = film.rng, int(film.rng.uniform(0.6, 0.8) * film.side), 2 * int(film.rng.integers(3, 6))
    colours = film.colour((0.85, 0.3), (0.7, 1.0)), film.colour((0.15, 0.1), (0.8, 1.0))
    disc, at = shape_mask("disc", size, 0.0), np.linspace(-1.0, 1.0, size)
    angle = np.arctan2(at[:, None], at[None, :]) / (2 * np.pi)
    x, y, turns = rng.uniform(0.35, 0.65) * film.width, rng.uniform(0.4, 0.6) * film.height, rng.uniform(0.2, 0.6)
    for frame in range(len(film.frames)):
        odd = np.floor(sectors * (angle + turns * frame / film.fps)) % 2 == 1
        film.stamp(frame, Stencil.of(disc & odd, colours[0]), x, y)
        film.stamp(frame, Stencil.of(disc & ~odd, colours[1]), x, y)


def _bubbles(film: Film) -> None:
    """A chat: bubbles in two colours that come one below the other from the left and from the right."""
    wide = film.rng.uniform(0.4, 0.55)
    colours = film.colour((0.33, 0.1), (0.8, 1.0)), film.light.colour(0.6, 0.05, 0.95)
    for place, y in enumerate((0.08, 0.3, 0.52, 0.74)):
        since = place * len(film.frames) // 8
        left = 0.05 if place % 2 == 0 else 0.95 - wide
        film.patch(left, y, wide, 0.13)[since:] = colours[place % 2]


def _dial(film: Film) -> None:
    """A clock that counts down: a pale dial with a dark sector that grows."""
    rng, size = film.rng, int(film.rng.uniform(0.42, 0.55) * film.side)
    dial, at = shape_mask("disc", size, 0.0), np.linspace(-1.0, 1.0, size)
    angle = (np.arctan2(at[None, :], -at[:, None]) / (2 * np.pi)) % 1.0
    pale, dark = film.light.colour(0.12, 0.08, 0.95), film.light.colour(0.0, 0.8, 0.4)
    x, y, begun = rng.uniform(0.3, 0.7) * film.width, rng.uniform(0.3, 0.6) * film.height, rng.uniform(0.2, 0.5)
    for frame in range(len(film.frames)):
        gone = angle < begun + 0.35 * frame / len(film.frames)
        film.stamp(frame, Stencil.of(dial, pale), x, y)
        film.stamp(frame, Stencil.of(dial & gone, dark), x, y)


def _levels(film: Film) -> None:
    """The levels of a sound: narrow bars side by side in the lower part, which jump."""
    bars, colour = 11, film.colour((0.45, 0.2), (0.85, 1.0))
    high = film.rng.uniform(0.12, 0.42, (len(film.frames), bars))
    for frame in range(len(film.frames)):
        for bar in range(bars):
            top = int((0.92 - high[frame, bar]) * film.height)
            left = int((0.08 + 0.078 * bar) * film.width)
            film.frames[frame, top : int(0.92 * film.height), left : left + max(2, film.width // 24)] = colour


def _split(film: Film) -> None:
    """Before and after: the right half darker, a pale line between them."""
    half, line = film.width // 2, max(2, film.width // 32)
    film.frames[:, :, half:] = film.frames[:, :, half:] // 2 + np.uint8(GRAIN)
    film.frames[:, :, half : half + line] = film.light.colour(0.1, 0.05, 0.95)


MARKS: Mapping[str, Callable[[Film], None]] = {
    "banner": _banner,
    "border": _border,
    "bubbles": _bubbles,
    "code": _code,
    "dial": _dial,
    "ears": _ears,
    "field": _field,
    "frame": _frame,
    "letterbox": _letterbox,
    "levels": _levels,
    "logo": _logo,
    "mirror": _mirror,
    "mosaic": _mosaic,
    "price tag": _price_tag,
    "shelves": _shelves,
    "shoulders": _shoulders,
    "sirens": _sirens,
    "split": _split,
    "steam": _steam,
    "subtitles": _subtitles,
    "vignette": _vignette,
    "watermark": _watermark,
    "wheel": _wheel,
}
