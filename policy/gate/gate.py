"""Candidate, parent, golden set and recent traffic in; `GateResult` out: passed, or every reason why not."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts.errors import BadInputError
from contracts.releases import GateResult
from contracts.videos import VideoUploaded
from policy.benchmark.kuaimod import refuse_taught
from policy.casebook import Evidence, Frames, read_precedents
from policy.evidence import read_taught
from policy.gate.decision_diff import DecisionDiff, diff_decisions
from policy.gate.judged import Judged, judge_all
from policy.gate.limits import GateLimits
from policy.gate.quality import calibration_refusal, compare_quality, ece_of
from policy.gate.stare_decisis import overturned, overturned_refusal, upheld
from serving.releases import MANIFEST, ReleaseFolder, check_models, digest_of, open_release

Traffic = Sequence[tuple[VideoUploaded, Frames]]


def pass_gate(
    candidate: Path,
    parent: Path,
    golden: Sequence[Evidence],
    *,
    now: datetime,
    traffic: Traffic = (),
    limits: GateLimits | None = None,
) -> GateResult:
    """Replay golden cases and recent traffic through both releases; a candidate that cannot be served is refused.

    Raises `BadInputError` when the parent is damaged, the golden set is empty, or one of its cases taught either.
    """
    limits = limits or GateLimits()
    before = open_release(parent)
    if not golden:
        raise BadInputError("the golden set is empty, it must hold at least one case")
    _refuse_seen(before, golden, "the parent")
    after = None
    try:
        after = open_release(candidate)
        check_models(after)
        _seen_by(after)
    except BadInputError as error:
        return _result(before, candidate, after, now, [f"candidate: {error}"])
    _refuse_seen(after, golden, "the candidate")
    uploads = [*(item.case.upload for item in golden), *(upload for upload, _ in traffic)]
    frames = [*(item.frames for item in golden), *(clip for _, clip in traffic)]
    try:
        old, new = judge_all((before, after), uploads, frames)
    except BadInputError as error:
        if str(parent) in str(error):
            raise
        return _result(before, candidate, after, now, [f"candidate: {error}"])
    n = len(golden)
    diff = diff_decisions([upload.video_id for upload, _ in traffic], old.decision[n:], new.decision[n:])
    reasons, figures, lost = _weigh(_first(old, n), _first(new, n), golden, diff, limits)
    reasons += _lost_precedents(before, after, figures, limits)
    return _result(before, candidate, after, now, reasons, figures, lost)


def _weigh(
    old: Judged, new: Judged, golden: Sequence[Evidence], diff: DecisionDiff, limits: GateLimits
) -> tuple[list[str], dict[str, float], tuple[str, ...]]:
    labels = np.array([item.case.category.position for item in golden], np.int64)
    comparisons = compare_quality(old, new, labels, limits)
    figures = {"golden_cases": float(len(golden)), "recent_videos": float(diff.n), "recent_changed": diff.changed}
    for c in comparisons:
        figures |= {f"{c.name}, parent": c.parent, f"{c.name}, candidate": c.candidate}
        figures |= {f"{c.name}, gain low": c.gain.low, f"{c.name}, gain high": c.gain.high}
    before, after = ece_of(old, labels), ece_of(new, labels)
    lost = overturned([item.case.case_id for item in golden], old, new, labels)
    n_upheld = int(upheld(old, labels).sum())
    slower = float(np.median(new.seconds) / np.median(old.seconds))
    figures |= {"ece, parent": before, "ece, candidate": after, "latency_ratio": slower, "upheld": float(n_upheld)}
    reasons = [
        *(c.refusal() for c in comparisons),
        calibration_refusal(before, after, len(golden), limits),
        overturned_refusal(lost, n_upheld, at_most=limits.overturned),
        diff.refusal(at_most=limits.changed),
        None
        if slower <= limits.slower
        else f"latency: {slower:.2f} times the parent's on the same batches, must be at most {limits.slower:.2f}",
    ]
    return [reason for reason in reasons if reason is not None], figures, lost


def _lost_precedents(
    before: ReleaseFolder, after: ReleaseFolder, figures: dict[str, float], limits: GateLimits
) -> list[str]:
    had, has = len(read_precedents(before.precedents)), len(read_precedents(after.precedents))
    figures |= {"precedents, parent": float(had), "precedents, candidate": float(has)}
    fewest = (1.0 - limits.fewer_precedents) * had
    return [] if has >= fewest else [f"{after.precedents}: {has} precedents, parent {had}, must be at least {fewest:g}"]


def _seen_by(folder: ReleaseFolder) -> frozenset[str]:
    """Ids of the cases and videos that a release was trained on or cites."""
    cited = [item.case for item in read_precedents(folder.precedents)]
    return read_taught(folder.taught) | {case.case_id for case in cited} | {case.upload.video_id for case in cited}


def _refuse_seen(folder: ReleaseFolder, golden: Sequence[Evidence], name: str) -> None:
    refuse_taught([item.case for item in golden], _seen_by(folder), name=f"{name} {folder.path}")


def _first(judged: Judged, n: int) -> Judged:
    return Judged(
        judged.probabilities[:n], judged.category[:n], judged.decision[:n], judged.precedent[:n], judged.seconds
    )


def _result(
    before: ReleaseFolder,
    candidate: Path,
    after: ReleaseFolder | None,
    now: datetime,
    reasons: Sequence[str],
    figures: dict[str, float] | None = None,
    lost: tuple[str, ...] = (),
) -> GateResult:
    manifest = candidate / MANIFEST
    return GateResult(
        passed=not reasons,
        refusals=tuple(reasons),
        judged_at=now,
        candidate_version=None if after is None else after.release.version,
        candidate=digest_of(manifest) if manifest.is_file() else None,
        parent_version=before.release.version,
        parent=digest_of(before.path / MANIFEST),
        figures=figures or {},
        overturned=lost,
    )
