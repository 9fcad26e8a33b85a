"""Videos of planted sub-types -> uploads, real clips and the truth apart, as files like those of any simulation.

OUT/uploads.jsonl, OUT/media/<video id>.mp4, OUT/truth.jsonl (with `subtype`), OUT/types.jsonl (the planted set)
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.growth import Origin, TypeNode, node_id_of
from simulation.filming import chance_of
from simulation.lines import folder_to_write, write_lines
from simulation.pictures.clips import draw_format, film_clip
from simulation.subtypes.table import planted
from simulation.subtypes.uploads import SubTypeVideo, scene_of, truth_of, upload_of


def write_subtypes(
    out: Path,
    videos: Sequence[SubTypeVideo],
    *,
    media: bool = True,
    on_filmed: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the videos' files under `out`, the lists last; raises `BadInputError` when it cannot be written to."""
    home = folder_to_write(out)
    clips = folder_to_write(home / "media") if media else None
    uploads = []
    for video in videos:
        upload = upload_of(video)
        if clips is not None:
            path = clips / f"{upload.video_id}.mp4"
            rng = chance_of(video.latents, video.seed)
            film_clip(path, scene_of(video, rng), draw_format(rng), rng)
            upload = upload.model_copy(update={"media_url": path.as_uri()})
            on_filmed(1)
        uploads.append(upload)
    write_lines(home / "types.jsonl", planted_nodes())
    write_lines(home / "truth.jsonl", map(truth_of, videos))
    write_lines(home / "uploads.jsonl", uploads)


def planted_nodes() -> list[TypeNode]:
    """The planted set as a taxonomy would hold it, below the categories; sorted by path."""
    paths = sorted(subtype.path for subtype in planted().values())
    return [TypeNode(node_id=node_id_of(path), path=path, origin=Origin.SEED) for path in paths]
