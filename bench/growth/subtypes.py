"""Videos of 40 planted sub-types in, how many of them are matched to their type out, and how many matches are right.

The tiny dual encoder learns frames with the names of their types. A fifth of them are of good videos, with the names of
the everyday scenes that these show. Unseen videos are matched as a growth run matches them (a video is the mean of its
frames; the k nearest types, from a cosine on) to the 40 and to the everyday types. k and the cosine are chosen on
videos of a seed for that, where the lesser of precision and recall is greatest; figures are of another seed. A match of
a planted video is right where it is its sub-type; of a good one no match with a sub-type is. A good video's own scene
is left aside, every other match is wrong. Recall is of the planted videos. The same once more with 115 types offered
that no video shows and whose names the encoder never read, those of the general seeds.

In a first trial these 115 were among the types, `positive` was the one name of all good videos, and frames stood in
black squares: 235 of 318 wrong matches were with the 115, and precision and recall were 0.74 and 0.75. A tiny tower of
texts that read 41 names says nothing of others; so these are now asked apart.

Two trials followed with everyday types and k = 5: 0.84 and 0.85 after 1,800 steps, then 0.88 and 0.87 with clearer
looks of siblings, where the right type was the nearest of 0.91 of the planted videos; with k = 1 it was 0.89 and 0.90,
and with the 115 others 0.88 and 0.89. The settings below, twice as many steps and a k that is chosen, were fixed before
the seed that is reported was looked at. Predicted: k = 1, precision 0.91 to 0.93 and recall 0.91 to 0.93 with the known
types, two to four categories below 0.88 in either; with the 115 others both a point or two lower.

Came: k = 1, precision 0.939 and recall 0.926; one category below 0.88 in either (`exaggerated_claims`, recall 0.84);
with the 115 others 0.924 and 0.917. So precision was a point better than predicted, the rest as predicted or better.
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
from simulation.pictures.scenes import BENIGN_SCENES, SHARED_SCENES
from simulation.subtypes.films import planted_nodes
from simulation.subtypes.uploads import SubTypeVideo, draw_subtypes, stills_of, truth_of

EVERYDAY = "Everyday scenes"


@dataclass(frozen=True, slots=True)
class SubTypesSettings:
    """What is learned, and what is asked: videos of three seeds, a share of them good, and so many frames of each."""

    seed_taught: int = 11
    seed_to_choose: int = 12
    seed_to_report: int = 13
    taught: int = int(os.environ.get("SUBTYPES_TAUGHT", "12000"))
    chosen_on: int = 1_500
    reported: int = 3_000
    good: float = 0.2
    frames_taught: int = 1
    frames: int = 3
    longest_px: int = 64
    ks: tuple[int, ...] = (1, 2, 5)
    encoder: TinySettings = TinySettings(hidden=64, rate=2e-3, steps=int(os.environ.get("SUBTYPES_STEPS", "3600")))


class Matched(NamedTuple):
    """A match: the rows of its video and of its type."""

    video: int
    node: TypeNode


class Found(NamedTuple):
    """Of some videos their matches, and which of them are right; a good one's own scene is left out."""

    right: Sequence[Matched]
    wrong: Sequence[Matched]


def measure() -> dict[str, Any]:
    """Train, choose the cosine, match; prints precision and recall with 95% intervals over all and by category."""
    settings = SubTypesSettings()
    with tempfile.TemporaryDirectory(prefix="precedent-subtypes-") as folder:
        started = time.perf_counter()
        encoder = _taught(settings, Path(folder) / "encoder")
        click.echo(f"taught on {settings.taught} videos in {time.perf_counter() - started:.0f} s")
        to_choose = draw_subtypes(settings.chosen_on, settings.seed_to_choose, good=settings.good)
        to_report = draw_subtypes(settings.reported, settings.seed_to_report, good=settings.good)
        embedded = [_embedded(encoder, videos, settings) for videos in (to_choose, to_report)]
        known = [*planted_nodes(), *everyday_nodes()]
        figures = {}
        for name, types in {"known types": known, "and 115 others": [*known, *read_seeds(SEEDS).leaves]}.items():
            types_T_D = encoder.texts([TypeTexts().of(node) for node in types])
            k, line = _chosen(to_choose, embedded[0], types_T_D, types, settings)
            figures[name] = _told(name, k, line, to_report, Search(types_T_D, k).nearest(embedded[1]), types)
    return figures


def _chosen(
    videos: Sequence[SubTypeVideo],
    embedded: Floats,
    types_T_D: Floats,
    types: Sequence[TypeNode],
    settings: SubTypesSettings,
) -> tuple[int, float]:
    """The k and its cosine that are worth most on the videos for that."""
    found = []
    for k in settings.ks:
        nearest = Search(types_T_D, k).nearest(embedded)
        line = balanced_line(videos, nearest, types)
        found.append((worth(videos, nearest, types, line), k, line))
    _, k, line = max(found)
    return k, line


def _told(
    name: str, k: int, line: float, videos: Sequence[SubTypeVideo], nearest: Nearest, types: Sequence[TypeNode]
) -> dict[str, Any]:
    found = matched(videos, nearest, types, line)
    precision, recall = precision_of(found), recall_of(videos, found)
    click.echo(f"\n{name}: {len(types)} types, the {k} nearest from a cosine of {line:.3f} on, {len(videos)} videos")
    click.echo(f"{'over all':22} precision {precision}  recall {recall}")
    figures: dict[str, Any] = {"k": k, "line": line, "precision": precision.value, "recall": recall.value}
    for category in VIOLATIVE:
        precision, recall = precision_of(found, category), recall_of(videos, found, category)
        figures[category.value] = {"precision": precision.value, "recall": recall.value}
        click.echo(f"{category.value:22} precision {precision}  recall {recall}")
    good = {at for at, video in enumerate(videos) if video.subtype is None}
    lost = Share(len({one.video for one in found.wrong if one.video in good and category_of(one.node)}), len(good))
    others = sum(category_of(one.node) is None for one in found.wrong)
    click.echo(
        f"good videos with a match of a sub-type {lost}; of {len(found.wrong)} wrong matches {others} with others"
    )
    return figures | {"good matched": lost.value, "wrong": len(found.wrong), "wrong with others": others}


def everyday_nodes() -> list[TypeNode]:
    """What good videos show, as types: none of them is a sub-type."""
    paths = [(EVERYDAY, scene.name) for scene in (*BENIGN_SCENES, *SHARED_SCENES)]
    return [TypeNode(node_id=node_id_of(path), path=path, origin=Origin.SEED) for path in paths]


def path_of(video: SubTypeVideo) -> tuple[str, ...]:
    """The path of the type that a video is of."""
    return video.subtype.path if video.subtype else (EVERYDAY, truth_of(video).scene)


def matched(videos: Sequence[SubTypeVideo], nearest: Nearest, types: Sequence[TypeNode], line: float) -> Found:
    """The matches from a cosine of `line` on."""
    right, wrong = list[Matched](), list[Matched]()
    for at, row in np.argwhere(nearest.cosines >= line).tolist():
        node = types[nearest.types[at, row]]
        its_own = node.path == path_of(videos[at])
        if videos[at].subtype or not its_own:
            (right if its_own else wrong).append(Matched(at, node))
    return Found(right, wrong)


def precision_of(found: Found, category: Category | None = None) -> Share:
    """Of the matches, with types of a category or with all, those that are right."""
    right, wrong = (sum(category in {None, category_of(one.node)} for one in some) for some in found)
    return Share(right, right + wrong)


def recall_of(videos: Sequence[SubTypeVideo], found: Found, category: Category | None = None) -> Share:
    """Of the planted videos, of a category or of all, those that are matched to their type."""
    of = {at for at, video in enumerate(videos) if video.subtype and category in {None, video.subtype.category}}
    return Share(len({one.video for one in found.right} & of), len(of))


def balanced_line(videos: Sequence[SubTypeVideo], nearest: Nearest, types: Sequence[TypeNode]) -> float:
    """The cosine that is worth most."""
    tried = np.quantile(nearest.cosines[:, :2], np.linspace(0.0, 0.995, 400)).tolist()
    return max(tried, key=lambda line: worth(videos, nearest, types, line))


def worth(
    videos: Sequence[SubTypeVideo], nearest: Nearest, types: Sequence[TypeNode], line: float
) -> tuple[float, float]:
    """The lesser of precision and recall at a cosine, and where that is the same, their sum."""
    found = matched(videos, nearest, types, line)
    precision, recall = precision_of(found).value, recall_of(videos, found).value
    return min(precision, recall), precision + recall


def _taught(settings: SubTypesSettings, out: Path) -> DualEncoder:
    """The tiny encoder, taught on frames with the names of their types."""
    texts = {node.path: TypeTexts().of(node) for node in (*planted_nodes(), *everyday_nodes())}
    videos = draw_subtypes(settings.taught, settings.seed_taught, good=settings.good)
    pairs = [
        (frame, texts[path_of(video)])
        for video in videos
        for frame in stills_of(video, settings.frames_taught, settings.longest_px)
    ]
    train_tiny(pairs, out, settings.encoder)
    return open_encoder(out, device="cpu")


def _embedded(encoder: DualEncoder, videos: Sequence[SubTypeVideo], settings: SubTypesSettings) -> Floats:
    frames = [frame for video in videos for frame in stills_of(video, settings.frames, settings.longest_px)]
    sums = encoder.pictures(frames).reshape(len(videos), settings.frames, -1).sum(axis=1)
    means: Floats = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return means
