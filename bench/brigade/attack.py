"""A brigade in, what each video's reports weigh without and with it out, and the cases that they open."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.brigade.world import (
    START,
    Array,
    Bools,
    BrigadeSettings,
    Ints,
    Manner,
    brigade_of,
    feedback_of,
    joined,
    seen_in_week,
    user_id,
    video_id,
    week,
)
from contracts.taxonomy import POSITIVE_INDEX, TAXONOMY_VERSION, Category
from contracts.verdicts import Decision, Verdict
from policy.cases.coordination import WeighedReports, weigh_reports
from policy.cases.opening import OpeningSettings, open_cases
from policy.cases.reliability import UNKNOWN, reliabilities
from policy.cases.report_rate import report_rates
from warehouse.feedback import ReporterRecord

ONLY_REPORTS = OpeningSettings(uncertain_within=0.0, audited=dict.fromkeys(Decision, 0.0))


class Attack(NamedTuple):
    """What the reports of a week weigh, by video in order: without the brigade, with it, and with it but counted.

    counted: each report of the brigade as that of a stranger. targets: their places. members, named: of the brigade,
    and of them those whom the weighing names. took_s: of weighing and opening.
    """

    before: list[WeighedReports]
    after: list[WeighedReports]
    counted: list[WeighedReports]
    targets: Ints
    members: int
    named: int
    took_s: float


class Outcome(NamedTuple):
    """What came of one brigade: opened targets, by weighed and by counted reports; honest cases without and with it."""

    opened_targets: int
    counted_targets: int
    honest_cases: int
    kept: int
    members: int
    named: int
    took_s: float


def attack(settings: BrigadeSettings, manner: Manner, *, seed: int) -> Attack:
    """Live both weeks and weigh the second, without the brigade and with it."""
    rng = np.random.default_rng(seed)
    propensity_U = rng.gamma(settings.propensity, 1.0, settings.users)
    chance_U = propensity_U / propensity_U.sum()
    upheld_U, rejected_U = _records(settings, chance_U, rng)
    violative_V, impressions_V, honest = week(settings, chance_U, rng)
    member_U = rng.permutation(settings.users)[: int(settings.brigade_share * settings.users)]
    harmless = np.flatnonzero(~violative_V)
    targets = rng.choice(harmless, size=min(settings.targets, len(harmless)), replace=False)
    upheld_U[member_U] += manner.upheld_before
    rejected_U[member_U] += manner.rejected_before
    known = _reliabilities(upheld_U, rejected_U)
    before = weigh_reports(feedback_of(honest, impressions_V), known).videos
    feedback = feedback_of(joined(honest, brigade_of(manner, settings, member_U, targets, rng)), impressions_V)
    started = time.perf_counter()
    weighing = weigh_reports(feedback, known)
    named = {member for brigade in weighing.brigades for member in brigade.members}
    return Attack(
        before=before,
        after=weighing.videos,
        counted=[
            WeighedReports(a.video_id, a.impressions, a.reporters, 0, b.weight + UNKNOWN * (a.reporters - b.reporters))
            for b, a in zip(before, weighing.videos, strict=True)
        ],
        targets=targets,
        members=len(member_U),
        named=len(named & {user_id(u) for u in member_U.tolist()}),
        took_s=time.perf_counter() - started,
    )


def outcome_of(attacked: Attack) -> Outcome:
    """The cases that an attack opens about its targets, and what it leaves of the honest ones."""
    before, after, counted = (opened(of) for of in (attacked.before, attacked.after, attacked.counted))
    target_ids = {video_id(v) for v in attacked.targets.tolist()}
    # What the honest open against harmless videos they open without the brigade too: no target counts as honest.
    honest_cases = before - target_ids
    return Outcome(
        opened_targets=len((after - before) & target_ids),
        counted_targets=len(counted & target_ids),
        honest_cases=len(honest_cases),
        kept=len(honest_cases & after),
        members=attacked.members,
        named=attacked.named,
        took_s=attacked.took_s,
    )


def weighed_honestly(violative_V: Bools, settings: BrigadeSettings, *, seed: int) -> list[WeighedReports]:
    """What a week of honest reports on these videos weighs, by reporters who had a first week."""
    rng = np.random.default_rng(seed)
    propensity_U = rng.gamma(settings.propensity, 1.0, settings.users)
    chance_U = propensity_U / propensity_U.sum()
    known = _reliabilities(*_records(settings, chance_U, rng))
    impressions_V, said = seen_in_week(violative_V, settings, chance_U, rng)
    return weigh_reports(feedback_of(said, impressions_V), known).videos


def opened(weighed: Sequence[WeighedReports]) -> set[str]:
    """The videos that a case is opened about for their reports."""
    rates = {rate.reports.video_id: rate for rate in report_rates(weighed)}
    verdicts = map(_missed, rates)
    cases = open_cases(verdicts, rates, lines={1: 0.5}, now=START, settings=ONLY_REPORTS)
    return {case.video_id for case in cases}


def _records(settings: BrigadeSettings, chance_U: Array, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """How the reports of a first week were ruled, by user: upheld and rejected, int64 [U] each."""
    violative_V, impressions_V, said = week(settings, chance_U, rng)
    asked = opened(weigh_reports(feedback_of(said, impressions_V), {}).videos)
    ruled_V = np.array([video_id(v) in asked for v in range(settings.videos)])
    found_V = violative_V == (rng.random(settings.videos) < settings.right)
    pairs = np.unique(np.stack([said.video_N, said.user_N]), axis=1)
    video_N, user_N = pairs[:, ruled_V[pairs[0]]]
    upheld = np.bincount(user_N[found_V[video_N]], minlength=settings.users)
    rejected = np.bincount(user_N[~found_V[video_N]], minlength=settings.users)
    return upheld, rejected


def _reliabilities(upheld_U: Ints, rejected_U: Ints) -> Mapping[str, float]:
    return reliabilities(
        ReporterRecord(user_id(u), int(upheld_U[u]), int(rejected_U[u]))
        for u in np.flatnonzero(upheld_U + rejected_U).tolist()
    )


def _missed(video: str) -> Verdict:
    """A verdict that finds nothing: only reports can open a case."""
    probabilities = tuple(0.95 if i == POSITIVE_INDEX else 0.05 if i == 0 else 0.0 for i in range(16))
    return Verdict(
        event_id=f"upload-{video}",
        video_id=video,
        author_id="author",
        occurred_at=START,
        scored_at=START,
        probabilities=probabilities,
        classifier=probabilities,
        toxicity=0.05,
        category=Category.POSITIVE,
        decision=Decision.ALLOW,
        citations=(),
        missing=(),
        release_version=1,
        casebook_version=1,
        taxonomy_version=TAXONOMY_VERSION,
        since_upload_ms=0.0,
    )
