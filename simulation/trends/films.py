"""A trend's videos and their look-alikes in, real clips and decided cases out: what a demonstration uploads."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from contracts.cases import DecidedCase
from simulation.filming import chance_of
from simulation.lines import folder_to_write
from simulation.pictures.clips import draw_format, film_clip
from simulation.trends.uploads import TrendVideo, scene_of, upload_of

RULED_AFTER = timedelta(hours=6)


def film_trend(videos: Sequence[TrendVideo], folder: Path) -> list[DecidedCase]:
    """Film each video into `folder`; returns the uploads with what they truly are, in order."""
    home = folder_to_write(folder)
    cases = []
    for video in videos:
        path = home / f"{video.latents.video_id}.mp4"
        rng = chance_of(video.latents, video.seed)
        film_clip(path, scene_of(video, rng), draw_format(rng, None), rng)
        upload = upload_of(video).model_copy(update={"media_url": path.absolute().as_uri(), "feedback": None})
        cases.append(
            DecidedCase(
                case_id=f"truth-{upload.video_id}",
                upload=upload,
                category=video.latents.category,
                decided_at=upload.occurred_at + RULED_AFTER,
            )
        )
    return cases
