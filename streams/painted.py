"""Simulated videos as evidence, each painted at the moments that the student looks at: in seconds, without files.

The pictures are those of `precedent simulate uploads`, letterboxed as decoded ones are, but no codec lies between: how
real clips decode is `bench/quality.py`'s to measure.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from contracts.cases import DecidedCase
from contracts.releases import InputShape
from contracts.taxonomy import Category
from policy.casebook import Evidence
from serving.preprocess.media.frames import Frames
from simulation.filming import chance_of, choose_scene
from simulation.pictures.stills import paint_stills
from simulation.trends.uploads import TrendVideo, scene_of, truth_of, upload_of
from simulation.uploads import Simulation, chosen_latents, to_case, to_truth, to_upload


class Shown(NamedTuple):
    """A video with its frames, what it truly is, and what a good one might be taken for."""

    evidence: Evidence
    about: Category

    @property
    def truth(self) -> Category:
        return self.evidence.case.category

    def ruled(self, category: Category) -> Evidence:
        """The same, brought up for a reason and ruled so."""
        case: DecidedCase = self.evidence.case.model_copy(update={"category": category, "sampled": 0.0})
        return Evidence(case, self.evidence.frames)


def usual_videos(
    n: int, seed: int, shape: InputShape, *, plain: bool = False, only: tuple[Category, ...] = ()
) -> list[Shown]:
    """N videos as the platform has always had them, or such as `Simulation` with `plain` and `only` wants."""
    videos = []
    for latents in chosen_latents(Simulation(n, seed, plain=plain, only=only)):
        rng = chance_of(latents, seed)
        frames = _boxed(paint_stills(choose_scene(latents, rng), shape.n_frames, shape.frame_px, rng), shape.frame_px)
        case = to_case(to_upload(latents, seed, None), to_truth(latents, seed))
        videos.append(Shown(Evidence(case, frames), latents.about))
    return videos


def trend_videos(videos: Iterable[TrendVideo], shape: InputShape) -> list[Shown]:
    """A trend's videos, or those that only speak of it."""
    shown = []
    for video in videos:
        rng = chance_of(video.latents, video.seed)
        frames = _boxed(paint_stills(scene_of(video, rng), shape.n_frames, shape.frame_px, rng), shape.frame_px)
        shown.append(Shown(Evidence(to_case(upload_of(video), truth_of(video)), frames), video.trend.category))
    return shown


def _boxed(frames: Frames, side: int) -> Frames:
    """In the middle of a black square: uint8 [F, side, side, 3]."""
    n, high, wide, _ = frames.shape
    square = np.zeros((n, side, side, 3), np.uint8)
    top, left = (side - high) // 2, (side - wide) // 2
    square[:, top : top + high, left : left + wide] = frames
    return square
