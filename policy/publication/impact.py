"""A case and the verdicts that cite it in, what they would be without it out: which decisions fall with a precedent.

Both are computed anew, by the live casebook with the precedent and with it masked, so that the difference is the
precedent's alone. Verdicts cite the nearest five precedents; one that spoke from farther away is not found by its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contracts.errors import BadInputError
from contracts.releases import Pin
from contracts.taxonomy import CATEGORIES, Category
from contracts.verdicts import Decision, Verdict
from contracts.videos import VideoUploaded
from policy.decide import decide, toxicity_of
from policy.publication.draft import read_serving
from policy.publication.traffic import RecentTraffic, embed_traffic
from serving.casebook import search
from serving.releases import ReleasesRoot


class Side(NamedTuple):
    """What a casebook says of a video."""

    decision: Decision
    category: Category
    toxicity: float


class Change(NamedTuple):
    """A video, what it is judged now and what it would be without the precedent."""

    video_id: str
    now: Side
    then: Side


@dataclass(frozen=True, slots=True)
class Impact:
    """What falls with a precedent of `pin`: how many verdicts cite it, how many were computed anew, which change.

    `gone` could not be computed: their upload or media are not there any more.
    """

    case_id: str
    category: Category
    pin: Pin
    citing: int
    computed: int
    gone: int
    changes: tuple[Change, ...]


def impact_of(
    root: ReleasesRoot,
    case_id: str,
    verdicts: Sequence[Verdict],
    uploads: Mapping[str, VideoUploaded],
    *,
    media_roots: tuple[Path, ...] = (),
) -> Impact:
    """Judge again, with the case and without it, the videos whose verdicts cite it; `uploads` are by video id.

    Raises `BadInputError` where the live casebook has no such precedent, `DependencyError` where the store is away.
    """
    pin = root.read_pointer().live
    folder, casebook = root.open(pin.release_version), read_serving(root, pin)
    if case_id not in casebook.case_ids:
        place = f"release {pin.release_version}, casebook {pin.casebook_version}"
        raise BadInputError(f"case_id == {case_id!r} is no precedent of what is live: {place}")
    position = casebook.case_ids.index(case_id)
    there = [uploads[verdict.video_id] for verdict in verdicts if verdict.video_id in uploads]
    sample = embed_traffic(root, folder, RecentTraffic(there, media_roots), name="impact")
    sides: list[list[Side]] = []
    for masked in (-1, position):
        if sample.embedded is None:
            sides.append([])
            continue
        classifier, embedding = sample.embedded
        mask = np.full(len(embedding), masked, np.int64)
        probabilities = search(casebook, embedding, classifier, exclude=mask).probabilities
        judged = zip(decide(probabilities, folder.release.thresholds), toxicity_of(probabilities).tolist(), strict=True)
        sides.append([Side(decision, category, toxicity) for (category, decision), toxicity in judged])
    compared = zip(sample.uploads, *sides, strict=True)
    return Impact(
        case_id,
        CATEGORIES[casebook.categories[position]],
        pin,
        citing=len(verdicts),
        computed=len(sample.uploads),
        gone=len(verdicts) - len(sample.uploads),
        changes=tuple(
            Change(upload.video_id, now, then)
            for upload, now, then in compared
            if (now.decision, now.category) != (then.decision, then.category)
        ),
    )


def table(impact: Impact) -> str:
    """The impact as text: a head, then a line for each verdict that would change."""
    lines = [
        f"case {impact.case_id} ({impact.category.value}), release {impact.pin.release_version}, casebook "
        f"{impact.pin.casebook_version}: {impact.citing} recent verdicts cite it, {impact.computed} computed anew, "
        f"{impact.gone} could not be (upload or media gone), {len(impact.changes)} would change without it"
    ]
    if impact.changes:
        width = max(len(change.video_id) for change in impact.changes)
        head = f"{'video':{width}s}  {'decision':18s}  {'category':44s}  toxicity"
        lines.append(head)
        lines += [
            f"{one.video_id:{width}s}  {f'{one.now.decision.value} -> {one.then.decision.value}':18s}  "
            f"{f'{one.now.category.value} -> {one.then.category.value}':44s}  "
            f"{one.now.toxicity:.3f} -> {one.then.toxicity:.3f}"
            for one in impact.changes
        ]
    return "\n".join(lines)
