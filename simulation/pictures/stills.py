"""A scene -> the moments of its clip that a policy looks at, painted without a codec between.

A whole clip costs its encoding and decoding; where thousands are judged, and not what a codec does to them, the
moments alone are painted: shape, length and frame rate as `draw_format` gives them.
"""

import numpy as np

from simulation.pictures.clips import draw_format
from simulation.pictures.painting import paint
from simulation.pictures.scenes import Scene
from simulation.pictures.shapes import Pixels


def paint_stills(scene: Scene, n: int, longest_px: int, rng: np.random.Generator) -> Pixels:
    """N moments spread over the clip, its longer side `longest_px`: uint8 [n, H, W, 3]."""
    clip = draw_format(rng)
    scale = longest_px / max(clip.width, clip.height)
    width, height = (max(1, round(side * scale)) for side in (clip.width, clip.height))
    return paint(scene, width, height, n, n * clip.fps / clip.n_frames, rng)
