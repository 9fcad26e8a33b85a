"""Clean videos and what their reports weigh in, how many a brigade gets demoted out: scored by a real release.

The release learns from painted videos whose feedback comes from the same platform, where a violative one earns twenty
times the reports of a harmless one: it believes reports about as much as a release can. A third of the cases have none,
as fresh uploads. Lines are chosen by costs, as a refresh chooses them. The targets are clean videos
that it never saw. They are scored with their honest feedback, and again with what the brigade makes of it, in uploads
such as the clerk sends (`with_feedback`); the clerk itself would send only those whose feedback changed enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.brigade.attack import Attack, weighed_honestly
from bench.brigade.world import START, BrigadeSettings
from contracts.taxonomy import Category
from contracts.verdicts import Decision
from contracts.videos import VideoUploaded
from policy.casebook import Evidence
from policy.cases.coordination import WeighedReports
from policy.cases.rescoring import with_feedback
from policy.decide import toxicity_of
from policy.gate.judged import DECISIONS, REVIEW, judge_all
from policy.lineage import Lineage, write_release
from policy.train import TrainSettings, train
from serving.releases import ReleaseFolder, open_release
from streams.painted import Shown, usual_videos

WEEK_LATER = START + timedelta(days=7)
_Score = tuple[float, int]


class Change(NamedTuple):
    """Of n targets: with a stricter decision, among them under review or removed, and the largest gain of toxicity."""

    stricter: int
    reviewed: int
    most: float


class Demotions(NamedTuple):
    """Of n clean targets: how many are allowed with honest feedback, and what a brigade changes.

    weighed: as the clerk hands its reports in. one_voice: were those who report together heard as one reporter.
    counted: were each of them heard as a stranger.
    """

    n: int
    allowed: int
    weighed: Change
    one_voice: Change
    counted: Change


@dataclass(slots=True)
class Scored:
    """A release and clean videos: each score is asked for once, by row and feedback."""

    release: ReleaseFolder
    videos: Sequence[Evidence]
    known: dict[tuple[int, int, int], _Score]

    def with_reports(self, weighed: Sequence[WeighedReports]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Toxicity and decision of each video with its feedback, [N] each."""
        uploads = [_with(item, reports) for item, reports in zip(self.videos, weighed, strict=True)]
        keys = [_key(row, upload) for row, upload in enumerate(uploads)]
        new = [row for row, key in enumerate(keys) if key not in self.known]
        frames = [self.videos[row].frames for row in new]
        [judged] = judge_all([self.release], [uploads[row] for row in new], frames)
        toxicity = toxicity_of(judged.probabilities).tolist() if new else []
        for row, toxic, decision in zip(new, toxicity, judged.decision.tolist(), strict=True):
            self.known[keys[row]] = (toxic, decision)
        scores = [self.known[key] for key in keys]
        return np.array([toxic for toxic, _ in scores]), np.array([decision for _, decision in scores], np.int64)


def taught_release(
    path: Path, settings: BrigadeSettings, training: TrainSettings, *, cases: int, seed: int
) -> ReleaseFolder:
    """Train a release at `path` from painted cases with a week's honest feedback."""
    shown = usual_videos(cases, seed, training.inputs)
    violative_V = np.array([video.truth is not Category.POSITIVE for video in shown])
    weighed = weighed_honestly(violative_V, settings, seed=seed)
    evidence = [
        _frozen(video.evidence, None if row % 3 == 0 else reports)
        for row, (video, reports) in enumerate(zip(shown, weighed, strict=True))
    ]
    policy = train(evidence, settings=training, seed=0)
    write_release(policy, path, Lineage.of([one.case for one in evidence]), settings=training, now=START)
    return open_release(path)


def clean_videos(n: int, release: ReleaseFolder, *, seed: int) -> Scored:
    """N painted videos that are truly clean."""
    shown: list[Shown] = []
    while len(shown) < n:
        some = usual_videos(2 * n, seed + len(shown), release.release.inputs)
        shown += [video for video in some if video.truth is Category.POSITIVE]
    return Scored(release, [video.evidence for video in shown[:n]], {})


def demotions_of(attacked: Attack, clean: Scored) -> Demotions:
    """What the brigade changes of the decisions on its targets, as many as there are clean videos."""
    targets = attacked.targets[: len(clean.videos)].tolist()
    toxicity, decision = clean.with_reports([attacked.before[v] for v in targets])

    def change(of: Sequence[WeighedReports]) -> Change:
        toxic, then = clean.with_reports([of[v] for v in targets])
        stricter = then > decision
        return Change(int(stricter.sum()), int((stricter & (then >= REVIEW)).sum()), float((toxic - toxicity).max()))

    allowed = int((decision == DECISIONS.index(Decision.ALLOW)).sum())
    one_voice = [video._replace(coordinated_weight=0.0) for video in attacked.after]
    return Demotions(len(targets), allowed, *map(change, (attacked.after, one_voice, attacked.counted)))


def _frozen(item: Evidence, reports: WeighedReports | None) -> Evidence:
    upload = _with(item, reports) if reports else item.case.upload.model_copy(update={"feedback": None})
    return Evidence(item.case.model_copy(update={"upload": upload}), item.frames)


def _with(item: Evidence, reports: WeighedReports) -> VideoUploaded:
    """A video's upload as the clerk sends it, with this feedback alone."""
    return with_feedback(item.case.upload.model_copy(update={"feedback": None}), reports, now=WEEK_LATER)


def _key(row: int, upload: VideoUploaded) -> tuple[int, int, int]:
    assert upload.feedback is not None
    return row, upload.feedback.impressions, upload.feedback.reports
