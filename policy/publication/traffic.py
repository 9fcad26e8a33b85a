"""A sample of recent uploads in, what two casebooks decide of them out: how many live decisions a publication flips."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from contracts.releases import InputShape
from contracts.videos import VideoUploaded
from policy.casebook import Frames
from policy.gate.decision_diff import DecisionDiff, diff_decisions, replay
from policy.publication.embedding import Embedded, KeptEmbeddings, key_of
from serving.casebook import Casebook, search
from serving.preprocess.media import DecodePool, MediaError, PoolSettings
from serving.releases import ReleaseFolder, ReleasesRoot


class Traffic(Protocol):
    """Recent uploads, and their frames as a release reads them; None in the place of what is not there any more."""

    def uploads(self) -> Sequence[VideoUploaded]: ...

    def frames(self, uploads: Sequence[VideoUploaded], shape: InputShape) -> Sequence[Frames | MediaError]: ...


@dataclass(frozen=True, slots=True)
class RecentTraffic:
    """Uploads that are given, their media decoded from under `roots` when first needed."""

    given: Sequence[VideoUploaded]
    roots: tuple[Path, ...] = ()
    workers: int = 2

    def uploads(self) -> Sequence[VideoUploaded]:
        return self.given

    def frames(self, uploads: Sequence[VideoUploaded], shape: InputShape) -> list[Frames | MediaError]:
        """Raises `DependencyError` where the media store is away."""
        frames: list[Frames | MediaError] = [None] * len(uploads)
        addressed = [(row, upload.media_url) for row, upload in enumerate(uploads) if upload.media_url is not None]
        if not addressed:
            return frames
        settings = PoolSettings(
            tuple(root.resolve() for root in self.roots), self.workers, shape.n_frames, shape.frame_px
        )

        async def decode() -> Sequence[Frames | MediaError]:
            async with DecodePool(settings) as pool:
                return await pool.decode([url for _, url in addressed])

        for (row, _), answer in zip(addressed, asyncio.run(decode()), strict=True):
            frames[row] = answer
        return frames


class Sample(NamedTuple):
    """Recent videos that could be embedded, and how many could not: their media are gone."""

    uploads: list[VideoUploaded]
    embedded: Embedded | None
    gone: int


def embed_traffic(root: ReleasesRoot, folder: ReleaseFolder, traffic: Traffic, *, name: str = "traffic") -> Sample:
    """Embed recent uploads by a release's student; what was embedded before is read from the cache `name`."""
    uploads = list(traffic.uploads())
    there, embedded = KeptEmbeddings(root, folder, name).embed(
        uploads,
        [key_of(one) for one in uploads],
        lambda rows: traffic.frames([uploads[row] for row in rows], folder.release.inputs),
    )
    return Sample([uploads[row] for row in there], embedded, len(uploads) - len(there))


def flips(sample: Sample, folder: ReleaseFolder, before: Casebook, after: Casebook) -> DecisionDiff:
    """Cross-count the decisions on the sample by one casebook and by the other, under the release's thresholds."""
    thresholds = folder.release.thresholds
    if sample.embedded is None:
        return diff_decisions([], np.zeros(0, np.int64), np.zeros(0, np.int64))
    classifier, embedding = sample.embedded
    old, new = (search(casebook, embedding, classifier).probabilities for casebook in (before, after))
    return replay([upload.video_id for upload in sample.uploads], (old, thresholds), (new, thresholds))
