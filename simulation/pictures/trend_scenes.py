"""What the pictures of new trends show: looks that no category's scene and no good video's has.

They lack the marks that their category's group has in common, so that nothing learned before gives them away.
"""

from collections.abc import Mapping

from simulation.pictures.scenes import Scene

TREND_SCENES: Mapping[str, Scene] = {
    "fruit_cups": Scene(
        "fruit counter",
        ("waves", "gradient"),
        (0.45, 0.15),
        (0.5, 0.9),
        ("burst",),
        (0.9, 0.3),
        (2, 4),
        (0.2, 0.32),
        "still",
        marks=(("shelves", 0.95),),
    ),
    "subsidy_wheel": Scene(
        "wheel of luck",
        ("rings", "clouds"),
        (0.15, 0.3),
        (0.45, 0.85),
        ("star", "burst"),
        (0.14, 0.15),
        (2, 5),
        (0.16, 0.28),
        "fall",
        marks=(("wheel", 0.95),),
    ),
}
"""By the trend's name; see `simulation.trends`."""
