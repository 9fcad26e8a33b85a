"""Parts in, the same parts with their time taken out: each stage of a batch is told to whoever counts or traces it.

A stage's time includes the waiting for its part. Times are those of `time.perf_counter`, in seconds.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from contracts.releases import InputShape, Pin, Release
from contracts.verdicts import CandidateDecision, Verdict
from contracts.videos import VideoUploaded
from policy.decide import NO_LEAVES
from serving.preprocess.inputs import ModelInputs
from serving.preprocess.media import Frames, MediaError
from serving.scorer import Scorer, Scores
from streams.moderation import Decoder, Judge, Parts, Preprocess

STAGES = ("check", "decode", "preprocess", "score", "judge", "features", "deliver")

Tell = Callable[[str, float, float], None]
"""Hears of a stage that is done: its name, when it began and when it ended."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Takes the time of one batch's stages."""

    tell: Tell

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Take the time of a block; a block that raises is told of too."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.tell(stage, began, time.perf_counter())

    def over_parts(self, parts: Parts) -> Parts:
        """The same parts, timed; a second opinion runs beside the scorer and is not."""
        return replace(
            parts,
            decoder=_TimedDecoder(parts.decoder, self),
            preprocess=_TimedPreprocess(parts.preprocess, self),
            scorer=_TimedScorer(parts.scorer, self),
            judge=_TimedJudge(parts.judge, self),
        )


@dataclass(frozen=True, slots=True)
class _TimedDecoder:
    decoder: Decoder
    stages: Stages

    async def decode(self, urls: Sequence[str], shape: InputShape) -> Sequence[Frames | MediaError]:
        with self.stages.timed("decode"):
            return await self.decoder.decode(urls, shape)


@dataclass(frozen=True, slots=True)
class _TimedPreprocess:
    preprocess: Preprocess
    stages: Stages

    def __call__(
        self, uploads: Sequence[VideoUploaded], frames: Sequence[Frames | None], shape: InputShape
    ) -> ModelInputs:
        with self.stages.timed("preprocess"):
            return self.preprocess(uploads, frames, shape)


@dataclass(frozen=True, slots=True)
class _TimedScorer:
    scorer: Scorer
    stages: Stages

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        with self.stages.timed("score"):
            return await self.scorer.score(inputs, pin)

    async def ready(self, pin: Pin) -> bool:
        return await self.scorer.ready(pin)

    async def close(self) -> None:
        await self.scorer.close()


@dataclass(frozen=True, slots=True)
class _TimedJudge:
    judge: Judge
    stages: Stages

    def __call__(
        self,
        uploads: Sequence[VideoUploaded],
        present_B_5: npt.NDArray[np.uint8],
        scores: Scores,
        release: Release,
        pin: Pin,
        *,
        now: datetime,
        candidates: Sequence[CandidateDecision] | None = None,
        leaves: Mapping[str, str] = NO_LEAVES,
    ) -> list[Verdict]:
        with self.stages.timed("judge"):
            return self.judge(uploads, present_B_5, scores, release, pin, now=now, candidates=candidates, leaves=leaves)
