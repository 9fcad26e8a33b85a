"""Scenes that only good videos show, and scenes that good and bad videos show alike.

No single colour, texture or shape tells: hues, backdrops and shapes are shared, and each scene varies in light,
place, size and number. What tells is their combination, as marks (price tags, censored patches, split screens,
watermarks, flashing light) on moving things.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Emblem:
    """A shape that stands where its layout has it, in one colour, on top of all else; `size` as a scene's."""

    shape: str
    layout: str
    hue: tuple[float, float]
    size: float


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture is made of; ranges are drawn from for every video.

    `hue` is a place on the colour circle in turns with its spread; `size` a share of the shorter side; a mark is
    shown with its probability.
    """

    name: str
    backdrops: tuple[str, ...]
    hue: tuple[float, float]
    light: tuple[float, float]
    shapes: tuple[str, ...]
    shape_hue: tuple[float, float]
    number: tuple[int, int]
    size: tuple[float, float]
    motion: str
    spins: bool = False
    marks: tuple[tuple[str, float], ...] = ()
    shake: float = 0.0
    emblems: tuple[Emblem, ...] = ()


BENIGN_SCENES: tuple[Scene, ...] = (
    Scene(
        "meadow",
        ("horizon",),
        (0.30, 0.10),
        (0.55, 0.9),
        ("leaf", "crescent"),
        (0.12, 0.10),
        (4, 8),
        (0.14, 0.24),
        "drift",
        spins=True,
    ),
    Scene(
        "kitchen",
        ("gradient", "checker"),
        (0.08, 0.08),
        (0.6, 0.9),
        ("ring",),
        (0.05, 0.15),
        (2, 4),
        (0.35, 0.55),
        "sway",
        marks=(("steam", 0.9),),
    ),
    Scene(
        "sports",
        ("grating",),
        (0.33, 0.06),
        (0.45, 0.75),
        ("disc",),
        (0.10, 0.5),
        (1, 3),
        (0.13, 0.22),
        "bounce",
        marks=(("field", 0.95),),
    ),
    Scene(
        "seaside", ("waves",), (0.55, 0.08), (0.55, 0.9), ("crescent", "leaf"), (0.0, 0.3), (2, 5), (0.16, 0.28), "sway"
    ),
    Scene(
        "crafts",
        ("checker",),
        (0.80, 0.4),
        (0.4, 0.8),
        ("leaf", "ring"),
        (0.6, 0.4),
        (3, 6),
        (0.16, 0.28),
        "orbit",
        spins=True,
    ),
    Scene(
        "pets",
        ("clouds", "gradient"),
        (0.09, 0.12),
        (0.5, 0.85),
        ("disc",),
        (0.07, 0.08),
        (1, 2),
        (0.4, 0.6),
        "sway",
        marks=(("ears", 1.0),),
    ),
)

SHARED_SCENES: tuple[Scene, ...] = (
    Scene(
        "talking head",
        ("gradient", "clouds"),
        (0.5, 0.5),
        (0.35, 0.85),
        ("disc",),
        (0.07, 0.04),
        (1, 1),
        (0.45, 0.6),
        "sway",
        marks=(("shoulders", 1.0),),
    ),
    Scene(
        "street", ("grating", "horizon"), (0.6, 0.3), (0.3, 0.7), ("square",), (0.5, 0.5), (3, 6), (0.16, 0.3), "drift"
    ),
    Scene("slides", ("gradient",), (0.6, 0.5), (0.5, 0.95), ("bar",), (0.5, 0.5), (3, 6), (0.3, 0.5), "still"),
    Scene(
        "stage",
        ("rings", "gradient"),
        (0.75, 0.3),
        (0.15, 0.45),
        ("disc", "bar"),
        (0.15, 0.3),
        (2, 4),
        (0.2, 0.35),
        "orbit",
    ),
    Scene(
        "game",
        ("checker", "clouds"),
        (0.4, 0.5),
        (0.3, 0.7),
        ("square", "bar"),
        (0.0, 0.5),
        (4, 8),
        (0.12, 0.2),
        "jitter",
    ),
)
