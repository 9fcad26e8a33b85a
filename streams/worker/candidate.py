"""A batch in, what a candidate release says of it out: beside the live release, and never in its way.

A candidate that is slow, away or broken costs the live verdicts at most `deadline_s`, and then nothing for `pause_s`:
they go without its decision, the videos and arms that would obey it fall back to the live one, and the log says so.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from contracts.releases import Pin, Release
from contracts.verdicts import CandidateDecision
from contracts.videos import VideoUploaded
from serving.preprocess.inputs import ModelInputs
from serving.preprocess.media import Frames
from serving.scorer import Scorer, Scores, check_probabilities
from streams.moderation import Opinion, Policy, Preprocess

log = logging.getLogger(__name__)
NAMED = 20
"""Videos of a batch that a line of the log names."""

Decide = Callable[[Scores, Release, Pin], list[CandidateDecision]]


class CandidateOpinion:
    """A `SecondOpinion` by the scorer that the live release has too."""

    def __init__(
        self,
        scorer: Scorer,
        preprocess: Preprocess,
        decide: Decide,
        *,
        deadline_s: float = 1.0,
        pause_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scorer = scorer
        self._preprocess = preprocess
        self._decide = decide
        self._deadline_s = deadline_s
        self._pause_s = pause_s
        self._clock = clock
        self._paused: tuple[Pin, float] | None = None

    async def __call__(
        self,
        uploads: Sequence[VideoUploaded],
        frames: Sequence[Frames | None],
        inputs: ModelInputs,
        policy: Policy,
    ) -> Opinion | None:
        """The candidate's scores and decisions on B uploads, in order; None when there are none to be had now."""
        candidate = policy.candidate
        if candidate is None or self._is_paused(candidate.pin):
            return None
        try:
            async with asyncio.timeout(self._deadline_s):
                if candidate.release.inputs != policy.release.inputs:
                    inputs = self._preprocess(uploads, frames, candidate.release.inputs)
                scores = await self._scorer.score(inputs, candidate.pin)
            check_probabilities(scores.probabilities, f"candidate {candidate.pin!r}")
            return Opinion(scores, self._decide(scores, candidate.release, candidate.pin))
        except Exception as error:  # noqa: BLE001 - whatever it is, no live verdict may wait for or die of it
            reason = f"no answer within {self._deadline_s:g} s" if isinstance(error, TimeoutError) else repr(error)
            log.error(
                "ALERT verdicts go without candidate %r for %g s: %s",
                candidate.pin,
                self._pause_s,
                reason,
                extra={
                    "candidate_release": candidate.pin.release_version,
                    "candidate_casebook": candidate.pin.casebook_version,
                    "events": len(uploads),
                    "video_ids": [upload.video_id for upload in uploads[:NAMED]],
                },
            )
            self._paused = candidate.pin, self._clock() + self._pause_s
            return None

    def _is_paused(self, pin: Pin) -> bool:
        return self._paused is not None and self._paused[0] == pin and self._clock() < self._paused[1]
