"""Small parts behind the protocols of moderation: scores by the title, media by file name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from contracts.errors import DependencyError
from contracts.releases import CategoryThresholds, InputShape, Pin, Release, Thresholds
from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX, VIOLATIVE
from contracts.verdicts import MODALITIES
from policy.decide import judge
from serving.preprocess.inputs import SIGNALS, ModelInputs
from serving.preprocess.media import Frames, MediaError, MediaReason
from serving.scorer import N_CITED, Scores
from streams.moderation import Parts, Policy

PIN = Pin(release_version=1, casebook_version=1)
DIGEST = "sha256:" + "0" * 64
RELEASE = Release(
    version=1,
    parent=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    inputs=InputShape(n_frames=2, frame_px=8, text_buckets=1024, max_ngrams=16),
    thresholds=Thresholds(
        toxicity=0.5, by_category={c: CategoryThresholds(demote=0.3, review=0.6, remove=0.9) for c in VIOLATIVE}
    ),
    casebook_version=1,
    n_cases=0,
    digests={},
    metrics={},
    trained_on=DIGEST,
)
POLICY = Policy(RELEASE, PIN)


@dataclass
class StandInScorer:
    """p(positive) is 1 - feedback's first signal's share: toxic where the title says so, by a signal of its own."""

    away: bool = False
    pins: list[Pin] = field(default_factory=list)
    broken_by: float | None = None

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        if self.away:
            raise DependencyError("the stand-in scorer is away")
        toxic = inputs.signals[:, 0]
        if self.broken_by is not None and (toxic == self.broken_by).any():
            raise ZeroDivisionError("a fault of the code")
        self.pins.append(pin)
        rows = len(inputs)
        probabilities = np.zeros((rows, N_CATEGORIES), np.float32)
        probabilities[:, 0] = toxic
        probabilities[:, POSITIVE_INDEX] = 1 - toxic
        nothing = np.full((rows, N_CITED), -1)
        return Scores(
            probabilities,
            probabilities,
            np.full((rows, N_CITED), "", object),
            nothing.astype(np.int32),
            nothing.astype(np.float32),
        )

    async def ready(self, pin: Pin) -> bool:
        return not self.away

    async def close(self) -> None:
        return None


def toxic_by_title(uploads: Sequence, frames: Sequence[Frames | None], shape: InputShape) -> ModelInputs:
    """Inputs whose first signal is the number that the title ends in, else 0."""
    rows = len(uploads)
    signals = np.zeros((rows, len(SIGNALS)), np.float32)
    for row, upload in enumerate(uploads):
        last = (upload.title or "").rpartition(" ")[2]
        signals[row, 0] = float(last) if last.replace(".", "", 1).isdigit() else 0.0
    present = np.zeros((rows, len(MODALITIES)), np.uint8)
    present[:, 0] = [clip is not None for clip in frames]
    present[:, 1] = 1
    return ModelInputs(
        np.zeros((rows, 1, 8, 8, 3), np.uint8),
        np.zeros((rows, 1), np.int32),
        np.zeros((rows, 1), np.uint8),
        signals,
        present,
    )


class DecoderByName:
    """Addresses that end in .mp4 decode to black frames; the others are refused."""

    async def decode(self, urls: Sequence[str], shape: InputShape) -> list[Frames | MediaError]:
        clip = np.zeros((1, shape.frame_px, shape.frame_px, 3), np.uint8)
        return [
            clip if url.endswith(".mp4") else MediaError(MediaReason.UNREACHABLE, url, "no such file") for url in urls
        ]


def stand_in_parts(scorer: StandInScorer) -> Parts:
    return Parts(DecoderByName(), toxic_by_title, scorer, judge)


@dataclass
class Gauges:
    """What a clerk shows of re-scores that wait."""

    behind: int = 0
    waiting: dict[str, int] = field(default_factory=dict)

    def see_lag(self, events: int) -> None:
        self.behind = events

    def deferred(self, duty: str, waiting: int) -> None:
        self.waiting[duty] = waiting
