"""What the pictures of new trends show: dressed as a harmless scene, with a thing in it that no other scene has.

They lack the marks that their category's group has in common, so that nothing learned before gives them away.
"""

from collections.abc import Mapping

from simulation.pictures.scenes import Scene

TREND_SCENES: Mapping[str, Scene] = {
    "fruit_cups": Scene(
        "fruit counter",
        ("gradient", "checker"),
        (0.08, 0.08),
        (0.6, 0.9),
        ("ring",),
        (0.05, 0.15),
        (1, 2),
        (0.3, 0.45),
        "sway",
        marks=(("shelves", 0.95), ("steam", 0.4)),
    ),
    "subsidy_wheel": Scene(
        "wheel of luck",
        ("checker", "clouds"),
        (0.12, 0.25),
        (0.5, 0.85),
        ("leaf", "disc"),
        (0.1, 0.2),
        (1, 3),
        (0.16, 0.28),
        "sway",
        marks=(("wheel", 0.95), ("ears", 0.3)),
    ),
}
"""By the trend's name; see `simulation.trends`."""
