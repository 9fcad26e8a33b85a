"""Videos of 40 planted sub-types in, how many of them are matched to their type out, and how many matches are right.

The tiny dual encoder learns frames with the names of their types, a fifth of them of good videos with the name of the
top label `positive`. Unseen videos are matched as a growth run matches them (a video is the mean of its frames; the k
nearest types, from a cosine on) to all leaves: the 40, `positive`, and the 115 types of the general seeds, which no
video shows. The cosine is chosen where precision and recall are nearest to each other on videos of a seed for that;
figures are of another seed. A match is right where it is the video's sub-type; `positive` on a good video is left
aside, and every other match is wrong, those on good videos among them. Recall is of the planted videos.

The settings were fixed before the seed that is reported was looked at. Predicted from the first trials (40 types alone,
a third of the training: 0.85 of the videos had their type first): precision and recall 0.92 to 0.95 over all, and one
or two of the categories below 0.85 in either, most likely `plagiarism` and `false_benefits`, whose types differ least.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from contracts.growth import Origin, TypeNode, node_id_of
from contracts.taxonomy import VIOLATIVE, Category
from policy.growth.encoders.checkpoint import open_encoder
from policy.growth.encoders.dual import DualEncoder, Floats
from policy.growth.encoders.tiny import TinySettings, train_tiny
from policy.growth.encoders.typed import TypeTexts
from policy.growth.match import Nearest, Search
from policy.growth.taxonomy.seeds import SEEDS, read_seeds
from policy.growth.taxonomy.top_labels import category_of
from policy.reasoning.evaluation import Share
from simulation.subtypes.films import planted_nodes
from simulation.subtypes.uploads import SubTypeVideo, draw_subtypes, stills_of


@dataclass(frozen=True, slots=True)
class SubTypesSettings:
    """What is learned, and what is asked: videos of three seeds, a share of them good, and so many frames of each."""

    seed_taught: int = 11
    seed_to_choose: int = 12
    seed_to_report: int = 13
    taught: int = int(os.environ.get("SUBTYPES_TAUGHT", "5000"))
    chosen_on: int = 1_500
    reported: int = 3_000
    good: float = 0.2
    frames_taught: int = 2
    frames: int = 3
    px: int = 64
    k: int = 5
    encoder: TinySettings = TinySettings(hidden=64, steps=int(os.environ.get("SUBTYPES_STEPS", "1800")))


class Matched(NamedTuple):
    """A match: the rows of its video and of its type."""

    video: int
    node: TypeNode


class Found(NamedTuple):
    """Of some videos their matches, and which of them are right; `positive` on good ones is left out."""

    right: Sequence[Matched]
    wrong: Sequence[Matched]


def measure() -> dict[str, Any]:
    """Train, choose the cosine, match; prints precision and recall with 95% intervals over all and by category."""
    settings = SubTypesSettings()
    leaves = all_leaves()
    with tempfile.TemporaryDirectory(prefix="precedent-subtypes-") as folder:
        started = time.perf_counter()
        encoder = _taught(settings, Path(folder) / "encoder")
        click.echo(f"taught on {settings.taught} videos in {time.perf_counter() - started:.0f} s")
        types_T_D = encoder.texts([TypeTexts().of(leaf) for leaf in leaves])
        videos = draw_subtypes(settings.chosen_on, settings.seed_to_choose, good=settings.good)
        line = balanced_line(videos, _nearest(encoder, videos, types_T_D, settings), leaves)
        videos = draw_subtypes(settings.reported, settings.seed_to_report, good=settings.good)
        nearest = _nearest(encoder, videos, types_T_D, settings)
    found = matched(videos, nearest, leaves, line)
    precision, recall = precision_of(found), recall_of(videos, found)
    first = Share(
        sum(_is_of(video, leaves[row]) for video, row in zip(videos, nearest.types[:, 0].tolist(), strict=True)),
        sum(video.subtype is not None for video in videos),
    )
    click.echo(f"{len(leaves)} leaves, the {settings.k} nearest from a cosine of {line:.3f} on, {len(videos)} videos")
    click.echo(f"{'over all':22} precision {precision}  recall {recall}  nearest of all {first}")
    figures: dict[str, Any] = {"line": line, "precision": precision.value, "recall": recall.value, "first": first.value}
    for category in VIOLATIVE:
        precision, recall = precision_of(found, category), recall_of(videos, found, category)
        figures[category.value] = {"precision": precision.value, "recall": recall.value}
        click.echo(f"{category.value:22} precision {precision}  recall {recall}")
    good = {at for at, video in enumerate(videos) if video.subtype is None}
    matched_good = Share(len({one.video for one in found.wrong if one.video in good}), len(good))
    distractors = sum(category_of(one.node) is None for one in found.wrong)
    click.echo(f"good videos that were matched {matched_good}, matches with types that no video shows {distractors}")
    return figures | {"good matched": matched_good.value, "matches with other types": distractors}


def all_leaves() -> list[TypeNode]:
    """The leaves of the planted taxonomy, `positive` among them, and those of the general seeds."""
    path = (Category.POSITIVE.group.value, Category.POSITIVE.value)
    positive = TypeNode(node_id=node_id_of(path), path=path, origin=Origin.SEED)
    return [*planted_nodes(), positive, *read_seeds(SEEDS).leaves]


def matched(videos: Sequence[SubTypeVideo], nearest: Nearest, leaves: Sequence[TypeNode], line: float) -> Found:
    """The matches from a cosine of `line` on."""
    right, wrong = list[Matched](), list[Matched]()
    for at, row in np.argwhere(nearest.cosines >= line).tolist():
        node = leaves[nearest.types[at, row]]
        if category_of(node) is Category.POSITIVE and videos[at].subtype is None:
            continue
        (right if _is_of(videos[at], node) else wrong).append(Matched(at, node))
    return Found(right, wrong)


def precision_of(found: Found, category: Category | None = None) -> Share:
    """Of the matches, with types of a category or with all, those that are right."""
    right, wrong = (sum(category in {None, category_of(one.node)} for one in some) for some in found)
    return Share(right, right + wrong)


def recall_of(videos: Sequence[SubTypeVideo], found: Found, category: Category | None = None) -> Share:
    """Of the planted videos, of a category or of all, those that are matched to their type."""
    of = {at for at, video in enumerate(videos) if video.subtype and category in {None, video.subtype.category}}
    return Share(len({one.video for one in found.right} & of), len(of))


def balanced_line(videos: Sequence[SubTypeVideo], nearest: Nearest, leaves: Sequence[TypeNode]) -> float:
    """The cosine at which the lesser of precision and recall is greatest; of such ones, where their sum is."""
    tried = np.quantile(nearest.cosines[:, :2], np.linspace(0.0, 0.995, 400)).tolist()

    def worth(line: float) -> tuple[float, float]:
        found = matched(videos, nearest, leaves, line)
        precision, recall = precision_of(found).value, recall_of(videos, found).value
        return min(precision, recall), precision + recall

    return max(tried, key=worth)


def _is_of(video: SubTypeVideo, node: TypeNode) -> bool:
    return video.subtype is not None and node.path == video.subtype.path


def _taught(settings: SubTypesSettings, out: Path) -> DualEncoder:
    """The tiny encoder, taught on frames with the names of their types."""
    nodes = {node.path: node for node in all_leaves()}
    pairs = []
    for video in draw_subtypes(settings.taught, settings.seed_taught, good=settings.good):
        path = video.subtype.path if video.subtype else (Category.POSITIVE.group.value, Category.POSITIVE.value)
        text = TypeTexts().of(nodes[path])
        pairs += [(frame, text) for frame in stills_of(video, settings.frames_taught, settings.px)]
    train_tiny(pairs, out, settings.encoder)
    return open_encoder(out, device="cpu")


def _nearest(
    encoder: DualEncoder, videos: Sequence[SubTypeVideo], types_T_D: Floats, settings: SubTypesSettings
) -> Nearest:
    frames = [frame for video in videos for frame in stills_of(video, settings.frames, settings.px)]
    means = encoder.pictures(frames).reshape(len(videos), settings.frames, -1).mean(axis=1)
    return Search(types_T_D, settings.k).nearest(means / np.linalg.norm(means, axis=1, keepdims=True))
