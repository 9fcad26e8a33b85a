"""Candidate, parent, golden set and recent traffic in; `GateResult` out: passed, or every reason why not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from contracts.errors import BadInputError
from contracts.releases import GateResult
from contracts.taxonomy import POSITIVE_INDEX
from contracts.verdicts import Decision
from contracts.videos import VideoUploaded
from policy.benchmark.kuaimod import refuse_taught
from policy.casebook import Evidence, Frames, read_precedents
from policy.evidence import read_taught
from policy.gate.decision_diff import DecisionDiff, diff_decisions
from policy.gate.judged import DECISIONS, Judged, judge_all
from policy.gate.limits import GateLimits
from policy.gate.quality import (
    calibration_refusal,
    compare_quality,
    ece_of,
    names_loss_of,
    names_refusal,
    unguarded,
)
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
    recorded: Mapping[str, Decision] | None = None,
    limits: GateLimits | None = None,
) -> GateResult:
    """Replay golden cases and recent traffic through both releases; a candidate that cannot be served is refused.

    `recorded`: by event id what the parent, with its own casebook, decided of traffic already; it is not asked again.
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
    try:
        old, new = judge_all((before, after), [i.case.upload for i in golden], [i.frames for i in golden])
        diff = _replayed(before, after, traffic, recorded or {})
    except BadInputError as error:
        if str(parent) in str(error):
            raise
        return _result(before, candidate, after, now, [f"candidate: {error}"])
    reasons, figures, lost = _weigh(old, new, golden, diff, limits)
    reasons += _lost_precedents(before, after, figures, limits)
    return _result(before, candidate, after, now, reasons, figures, lost)


def _replayed(
    before: ReleaseFolder, after: ReleaseFolder, traffic: Traffic, recorded: Mapping[str, Decision]
) -> DecisionDiff:
    """How decisions on recent traffic change; of what is recorded the parent is not asked again."""
    known = [(upload, clip) for upload, clip in traffic if upload.event_id in recorded]
    asked = [(upload, clip) for upload, clip in traffic if upload.event_id not in recorded]
    old, new = judge_all((before, after), [u for u, _ in asked], [c for _, c in asked], side_by_side=True)
    [alone] = judge_all((after,), [u for u, _ in known], [c for _, c in known], side_by_side=True)
    stood = np.array([DECISIONS.index(recorded[upload.event_id]) for upload, _ in known], np.int64)
    return diff_decisions(
        [upload.video_id for upload, _ in (*asked, *known)],
        np.concatenate([old.decision, stood]),
        np.concatenate([new.decision, alone.decision]),
    )


def _weigh(
    old: Judged, new: Judged, golden: Sequence[Evidence], diff: DecisionDiff, limits: GateLimits
) -> tuple[list[str], dict[str, float], tuple[str, ...]]:
    labels = np.array([item.case.category.position for item in golden], np.int64)
    comparisons = compare_quality(old, new, labels, limits)
    figures = {"golden_cases": float(len(golden)), "recent_videos": float(diff.n), "recent_changed": diff.changed}
    for c in comparisons:
        figures |= {f"{c.name}, parent": c.parent, f"{c.name}, candidate": c.candidate}
        figures |= {f"{c.name}, gain low": c.gain.low, f"{c.name}, gain high": c.gain.high}
        figures |= {f"{c.name}, cases": float(c.n), f"{c.name}, at least": c.at_least, f"{c.name}, margin": c.margin}
    figures |= {f"unguarded, {name}": float(n) for name, n in unguarded(labels, limits).items()}
    before, after = ece_of(old, labels), ece_of(new, labels)
    names_before, names_after = names_loss_of(old, labels), names_loss_of(new, labels)
    figures |= {"names, parent": names_before, "names, candidate": names_after}
    lost = overturned([item.case.case_id for item in golden], old, new, labels)
    n_upheld = int(upheld(old, labels).sum())
    slower = float(np.median(new.seconds) / np.median(old.seconds))
    figures |= {"ece, parent": before, "ece, candidate": after, "latency_ratio": slower, "upheld": float(n_upheld)}
    reasons = [
        *(c.refusal() for c in comparisons),
        calibration_refusal(before, after, len(golden), limits),
        names_refusal(names_before, names_after, int((labels != POSITIVE_INDEX).sum()), limits),
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
    had, has = (Counter(i.case.category for i in read_precedents(f.precedents)) for f in (before, after))
    figures |= {"precedents, parent": float(had.total()), "precedents, candidate": float(has.total())}
    kept = 1.0 - limits.fewer_precedents
    if has.total() < (fewest := kept * had.total()):
        return [f"{after.precedents}: {has.total()} precedents, parent {had.total()}, must be at least {fewest:g}"]
    return [
        f"{after.precedents}: {has[category]} precedents of {category.value}, parent {n}, must be at least {kept * n:g}"
        for category, n in had.items()
        if has[category] < kept * n
    ]


def _seen_by(folder: ReleaseFolder) -> frozenset[str]:
    """Ids of the cases and videos that a release was trained on or cites."""
    cited = [item.case for item in read_precedents(folder.precedents)]
    return read_taught(folder.taught) | {case.case_id for case in cited} | {case.upload.video_id for case in cited}


def _refuse_seen(folder: ReleaseFolder, golden: Sequence[Evidence], name: str) -> None:
    refuse_taught([item.case for item in golden], _seen_by(folder), name=f"{name} {folder.path}")


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
